// What can be set in the playground: densities by name, sliders and menus, and how a setting becomes a run.

import * as plane from "./plane.js";

const evenly = (n, of) => Array.from({ length: n }, (_, i) => of(i));

/** n draws of equally likely modes, the same for the same seed. */
function draws(p, n, seed) {
  const randn = plane.normal(seed);
  const mode = () => p.means[Math.floor(p.means.length * (Math.atan2(randn(), randn()) / (2 * Math.PI) + 0.5))];
  return evenly(n, () => mode().map((mean) => mean + p.s[0] * randn()));
}

// Each is a function of the settings; "radius" says how near a sample must be to count (three widths).
export const DENSITIES = {
  ring: { title: "ring of ten modes", of: () => plane.ring(10) },
  six: { title: "ring of six modes", of: () => plane.ring(6) },
  rare: {
    title: "eight modes, one of them rare",
    of: ({ rare }) => plane.ring(8, 1, 0.0375, evenly(8, (m) => (m ? (1 - rare) / 7 : rare))),
  },
  circle: { title: "circle, as sixteen places", of: () => plane.ring(16, 1, 0.1) },
  grid: { title: "grid of nine modes", of: () => plane.mixture(evenly(9, (i) => [(i % 3) - 1, ((i / 3) | 0) - 1]), 0.1) },
  points: {
    title: "training points (ideal denoiser)",
    of: ({ n }) => plane.mixture(draws(plane.ring(10), n, 5), 0),
    what: "training points",
    radius: 0.03,
  },
};

const plain = (digits) => (value) => value.toFixed(digits);

// Sliders: what they are called, from where to where, and what their value reads as.
export const SLIDERS = {
  N: { title: "particles N", min: 1, max: 48, step: 1, value: 10 },
  alpha: { title: "strength of the force α", min: 0, max: 20, step: 0.5, value: 0, reads: plain(1) },
  h: {
    title: "bandwidth h",
    min: -3.1,
    max: 1,
    step: 0.1,
    value: -3.1,
    reads: (v) => (bandwidth(v) === null ? "median rule" : bandwidth(v).toPrecision(2)),
  },
  level: { title: "force only while σ is above", min: 0, max: 2, step: 0.05, value: 0.4, reads: plain(2) },
  w: { title: "guidance weight w, “to the right”", min: 0, max: 12, step: 0.25, value: 0, reads: plain(2) },
  T: { title: "steps T", min: 1, max: 80, step: 1, value: 40 },
  high: { title: "first level", min: 0.5, max: 10, step: 0.5, value: 2, reads: (v) => `σ = ${v.toFixed(1)}` },
  corrections: { title: "corrections at each level", min: 0, max: 5, step: 1, value: 0 },
  tau: { title: "size of a correction τ", min: 0.01, max: 1, step: 0.01, value: 0.1, reads: plain(2) },
  rare: { title: "weight of the rare mode", min: 0.005, max: 0.3, step: 0.005, value: 0.01, reads: plain(3) },
  n: { title: "training points n", min: 2, max: 60, step: 1, value: 12 },
};

export const MENUS = {
  density: { title: "density", choices: Object.entries(DENSITIES).map(([name, { title }]) => [name, title]) },
  kernel: { title: "kernel", choices: [["rbf", "distances"], ["radial", "angles"]] },
  on: { title: "compares", choices: [["x", "x"], ["x0", "x0"]] },
  step: { title: "prediction step", choices: [["ddim", "DDIM"], ["ddpm", "DDPM"]] },
};

const LAST_LEVEL = 0.02;

// Sliders that only one density has a use for.
export const ONLY_FOR = { rare: "rare", n: "points" };

/** The bandwidth that a position of its slider stands for; null is the median rule. */
export const bandwidth = (position) => (position < -3.05 ? null : 10 ** position);

/** Settings: the defaults, then what a text like "density=rare N=16" sets. */
export function settingsOf(text = "") {
  const settings = {};
  for (const [name, { choices }] of Object.entries(MENUS)) settings[name] = choices[0][0];
  for (const [name, { value }] of Object.entries(SLIDERS)) settings[name] = value;
  for (const [name, value] of text.split(/\s+/).filter(Boolean).map((pair) => pair.split("="))) {
    if (!(name in settings)) throw new Error(`playground: there is no setting ${name}.`);
    settings[name] = name in SLIDERS ? Number(value) : value;
  }
  return settings;
}

/** One start from its seed, standard normal, in units of the first level; drawn again while it is beyond a limit. */
export function startOf(seed, limit = Infinity) {
  const randn = plane.normal(seed);
  let z = [randn(), randn()];
  while (Math.max(...z.map(Math.abs)) > limit) z = [randn(), randn()];
  return z;
}

/** Means over sets of new starts, since one set proves nothing. */
export function average(settings, sets) {
  const starts = (set) => evenly(settings.N, (i) => startOf(1000 * (500 + set) + i));
  const runs = evenly(sets, (set) => run(settings, starts(set)));
  const mean = (of) => runs.reduce((total, one) => total + of(one), 0) / sets;
  const both = (of) => ({ modes: mean((one) => of(one).modes), share: mean((one) => of(one).share) });
  return { ...both((one) => one), without: settings.alpha ? both((one) => one.without) : null };
}

/** A run from starts in units of the first level: the levels, the particles at each, and what is counted at the end. */
export function run(settings, starts) {
  const { of, what = "modes", radius } = DENSITIES[settings.density];
  const p = of(settings);
  const levels = plane.geometric(settings.high, LAST_LEVEL, settings.T);
  const within = radius ?? 3 * Math.max(...p.s);
  const free = settings.w === 0 ? plane.exact(p) : plane.cfg(plane.exact(plane.prompted(p)), plane.exact(p), settings.w);
  const first = starts.map((z) => z.map((value) => value * settings.high));
  const go = (denoiser) => {
    const own = starts.map((_, i) => plane.normal(1000 + i)); // noise by particle: a new one changes no other's
    const randn = (x) => x.map((_, i) => [own[i](), own[i]()]);
    return plane.trajectory(denoiser, first, levels, { ...settings, randn });
  };
  const sets = go(settings.alpha ? plane.repelled(free, { ...settings, h: bandwidth(settings.h) }) : free);
  const count = (all) => plane.counted(all.at(-1), p.means, within);
  const finite = sets.at(-1).flat().every(Number.isFinite);
  return { p, levels, sets, what, radius: within, finite, ...count(sets), without: settings.alpha ? count(go(free)) : null };
}
