// The mathematics of the plane, as course_lib has it: the numbers in brackets are the book's equations.
// Points are [x, y], sets of them lists. Nothing here draws; a test holds every function against course_lib.

const sum = (values) => values.reduce((a, b) => a + b, 0);
const along = (a, b, f) => a.map((point, i) => [f(point[0], b[i][0]), f(point[1], b[i][1])]);
const squaredDistance = (a, b) => (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2;

// ---- densities and their exact denoisers

/** A mixture of round Gaussians: means (M, 2), widths s (M,), weights (M,), made to sum to one. */
export function mixture(means, s, weights = means.map(() => 1)) {
  const total = sum(weights);
  return { means, s: means.map((_, m) => s[m] ?? s), weights: weights.map((w) => w / total) };
}

/** log w_m N(x; mu_m, s_m**2 + sigma**2) of each mode, for one point. */
function logJoint(p, x, sigma) {
  return p.means.map((mean, m) => {
    const v = p.s[m] ** 2 + sigma ** 2;
    return Math.log(p.weights[m]) - squaredDistance(mean, x) / (2 * v) - Math.log(2 * Math.PI * v);
  });
}

/** Log density of the noisy mixture at one point (1.2). */
export function logDensity(p, x, sigma) {
  const joint = logJoint(p, x, sigma);
  const top = Math.max(...joint);
  return top + Math.log(sum(joint.map((value) => Math.exp(value - top))));
}

/** The mean of the clean point given a noisy one, exact (1.3): a denoiser (points, sigma) -> points. */
export function exact(p) {
  const one = (x, sigma) => {
    const joint = logJoint(p, x, sigma);
    const top = Math.max(...joint);
    const r = joint.map((value) => Math.exp(value - top));
    const total = sum(r);
    const x0 = [0, 0];
    p.means.forEach((mean, m) => {
      const shrink = p.s[m] ** 2 / (p.s[m] ** 2 + sigma ** 2);
      x0[0] += (r[m] / total) * (mean[0] - shrink * (mean[0] - x[0]));
      x0[1] += (r[m] / total) * (mean[1] - shrink * (mean[1] - x[1]));
    });
    return x0;
  };
  return (x, sigma) => x.map((point) => one(point, sigma));
}

/** Tweedie's formula (D(x, sigma) - x) / sigma**2 (1.4). */
export const score = (denoiser, x, sigma) => along(denoiser(x, sigma), x, (x0, at) => (x0 - at) / sigma ** 2);

/** Equally spaced modes on a circle. */
export function ring(modes = 10, radius = 1, s = Math.sqrt(0.005), weights = undefined) {
  const angles = Array.from({ length: modes }, (_, m) => (2 * Math.PI * m) / modes);
  return mixture(angles.map((a) => [radius * Math.cos(a), radius * Math.sin(a)]), s, weights);
}

/** The same modes under the prompt "to the right": each weight times exp(2 x). */
export const prompted = (p) => mixture(p.means, p.s, p.weights.map((w, m) => w * Math.exp(2 * p.means[m][0])));

// ---- kernels and forces

/** Squared distances of a set, (N, N): Euclidean, or of the angles about the origin (4.9). */
function squares(x, kernel) {
  if (kernel === "rbf") return x.map((a) => x.map((b) => squaredDistance(a, b)));
  const angle = x.map(([u, v]) => Math.atan2(v, u));
  return angle.map((a) => angle.map((b) => wrapped(a - b) ** 2));
}

/** A difference of angles, brought into [-pi, pi). */
function wrapped(difference) {
  const turn = 2 * Math.PI;
  return ((((difference + Math.PI) % turn) + turn) % turn) - Math.PI;
}

/** Median rule (4.5); the mean, then 1, where more than half of the pairs coincide. */
export function medianBandwidth(d2) {
  const pairs = d2.flatMap((row, i) => row.slice(i + 1)).sort((a, b) => a - b);
  const median = pairs[Math.floor((pairs.length - 1) / 2)] || sum(pairs) / pairs.length || 1;
  return median / Math.log(d2.length);
}

/** Kernel exp(-d2 / h) of a set, "rbf" (4.3) or "radial" (4.9), h by the median rule if null, with its h. */
export function kernelMatrix(x, kernel = "rbf", h = null) {
  const d2 = squares(x, kernel);
  const width = h ?? medianBandwidth(d2);
  return { k: d2.map((row) => row.map((value) => Math.exp(-value / width))), h: width };
}

/** The force of the repulsive potential (4.4): its gradient in the points that the kernel compares. */
export function force(x, alpha, kernel = "rbf", h = null) {
  const N = x.length;
  const { k, h: width } = kernelMatrix(x, kernel, h);
  const strength = (2 * alpha) / (N * width);
  return x.map((a, i) => {
    if (kernel === "rbf") return [0, 1].map((c) => strength * sum(x.map((b, j) => k[i][j] * (a[c] - b[c]))));
    const own = Math.atan2(a[1], a[0]);
    const turn = strength * sum(x.map((b, j) => k[i][j] * wrapped(own - Math.atan2(b[1], b[0]))));
    const r2 = a[0] ** 2 + a[1] ** 2;
    return r2 > 0 ? [(-a[1] / r2) * turn, (a[0] / r2) * turn] : [0, 0];
  });
}

// ---- denoisers made from denoisers

/** Classifier-free guidance D_u + w (D_c - D_u) (2.5). */
export const cfg = (conditional, unconditional, w) => (x, sigma) =>
  along(unconditional(x, sigma), conditional(x, sigma), (u, c) => u + w * (c - u));

/** D + sigma**2 times the force (4.1), while sigma > level; on "x0" by the slope 1 / (sigma**2 + 1) (4.8). */
export function repelled(denoiser, { alpha, kernel = "rbf", h = null, level = 0, on = "x" }) {
  return (x, sigma) => {
    const x0 = denoiser(x, sigma);
    if (!(sigma > level) || x.length < 2) return x0;
    const slope = on === "x0" ? 1 / (sigma ** 2 + 1) : 1;
    const push = force(on === "x0" ? x0 : x, alpha, kernel, h);
    return along(x0, push, (at, f) => at + sigma ** 2 * slope * f);
  };
}

// ---- levels, steps and the loop

/** T levels in constant ratio, then 0 (1.11). */
export const geometric = (high, low, T) =>
  [...Array.from({ length: T }, (_, i) => high * (low / high) ** (T > 1 ? i / (T - 1) : 0)), 0];

/** Prediction steps (x, x0, sigma, sigma_next, noise) -> x: (1.6) and (1.8). */
export const steps = {
  ddim: (x, x0, sigma, next) => along(x, x0, (at, clean) => clean + (next / sigma) * (at - clean)),
  ddpm: (x, x0, sigma, next, randn) => {
    const ratio = (next / sigma) ** 2;
    const mean = along(x, x0, (at, clean) => clean + ratio * (at - clean));
    return along(mean, randn(x), (at, xi) => at + next * Math.sqrt(1 - ratio) * xi);
  },
};

/** Correction step x + tau (x0 - x) + sqrt(2 tau) sigma xi (1.7). */
export function langevin(x, x0, sigma, tau, randn) {
  const drifted = along(x, x0, (at, clean) => at + tau * (clean - at));
  return along(drifted, randn(x), (at, xi) => at + Math.sqrt(2 * tau) * sigma * xi);
}

/** The sets of points at every level, the start first. */
export function trajectory(denoiser, x, levels, { step = "ddim", corrections = 0, tau = 0.05, randn = null } = {}) {
  const sets = [x];
  for (let t = 0; t + 1 < levels.length; t++) {
    const sigma = levels[t];
    for (let i = 0; i < corrections; i++) x = langevin(x, denoiser(x, sigma), sigma, tau, randn);
    x = steps[step](x, denoiser(x, sigma), sigma, levels[t + 1], randn);
    sets.push(x);
  }
  return sets;
}

// ---- what is counted, and chance

/** Modes that are nearest to some point within the radius, and the share of points on any mode (3.2). */
export function counted(x, means, radius) {
  const nearest = x.map((point) => {
    const d2 = means.map((mean) => squaredDistance(point, mean));
    const least = Math.min(...d2);
    return least <= radius ** 2 ? d2.indexOf(least) : -1;
  });
  const on = nearest.filter((m) => m >= 0);
  return { modes: new Set(on).size, share: x.length ? on.length / x.length : 0 };
}

/** Normal numbers from a seed: the same seed, the same numbers, in every browser. */
export function normal(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
