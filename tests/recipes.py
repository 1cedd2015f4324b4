"""One call of each function of the library that takes tensors, on the device where its inputs lie."""

import sys
from functools import cache
from types import SimpleNamespace

import torch
from torch import nn

from course_lib import (
    challenge,
    checks,
    claims,
    constraints,
    denoisers,
    devices,
    dimension,
    fit,
    flow_matching,
    flow_pipelines,
    manifolds,
    memory,
    metrics,
    penalties,
    prompted,
    rivals,
    small_pictures,
    unet,
    verdicts,
)
from course_lib import features as f
from course_lib import guidance as gu
from course_lib import samplers as sa
from course_lib import seeds as se
from course_lib import seedselect as ss
from course_lib import training as tr
from course_lib import world as w
from course_lib.features import embeddings, images, latents, networks
from course_lib.metrics import checks as metric_checks
from course_lib.metrics import entropy, linear, statistics
from course_lib.seedselect import losses
from course_lib.stable_diffusion import StableDiffusion
from course_lib.training import average

inception = sys.modules["course_lib.features.inception"]  # the package has a function of this name
SIGMAS = sa.geometric(3.0, 0.1, 4)
SIGMA = SIGMAS[1].float()
RING = denoisers.ring(5)


@cache
def drawn() -> SimpleNamespace:
    """Inputs on the CPU, the same for every call: sets x, y, points of the plane p, latents z, pictures im."""
    g = torch.Generator().manual_seed(0)
    randn = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    factors = w.draw(4, g, shape=w.HEAD)
    return SimpleNamespace(
        x=randn(8, 3), y=randn(8, 3) + 0.5, p=randn(8, 2), q=randn(6, 2), big=randn(40, 3), z=randn(4, 4, 12, 12),
        im=w.render(factors), map=randn(4, 3, 6, 6), noise=randn(8, 2), share=torch.rand(8, generator=g),
        labels=torch.arange(8) % 3, yes=torch.arange(8) % 2 == 0, square=torch.eye(3) + 0.1, factors=factors,
    )  # fmt: skip


class Inputs(SimpleNamespace):
    """The drawn inputs on a device, and fresh things that belong to one call."""

    def __init__(self, device: str):
        super().__init__(**{k: v.to(device) for k, v in vars(drawn()).items() if isinstance(v, torch.Tensor)})
        self.device, self.g = device, torch.Generator().manual_seed(1)
        self.factors = w.Factors(**{k: v.to(device) for k, v in vars(drawn().factors).items()})
        self.k = gu.rbf(self.x)
        self.randn_like = lambda x: se.Noise(range(len(x)), dtype=torch.float32).randn_like(x)

    def network(self, make):
        """An untrained network on the device, the same numbers at each call."""
        torch.manual_seed(0)
        return make().eval().requires_grad_(False).to(self.device)

    def map_of(self, channels: int):
        return self.z.mean(1, keepdim=True).expand(4, channels, 12, 12).contiguous()

    def statistics(self, x):
        return metrics.GaussianStatistics.from_features(x, "x")

    def stepped(self, step):
        return step(self.p, RING(self.p, SIGMA), SIGMA, SIGMA / 2, self.randn_like)

    def pulled(self, *potentials, **options):
        return gu.guided(RING, *potentials, **options)(self.p, SIGMA)

    def weighed(self, potential):
        return potential(self.p, self.p / 2, SIGMA)

    @property
    def mlp(self):
        return self.network(denoisers.MLPDenoiser)


@cache
def loaded(device: str) -> SimpleNamespace:
    """The shipped networks on a device."""
    names = ("oracle", "style", "embedding", "style_levels")
    made = {name: f.load_network(name, device) for name in names}
    return SimpleNamespace(sd=StableDiffusion.load("tiny", device=device), clip=f.load_clip(device=device), **made)


@cache
def flow(device: str) -> flow_pipelines.FlowMatching:
    """The pipeline with random weights on a device."""
    return flow_pipelines.FlowMatching(flow_pipelines.untrained(device=device))


def groups(t: Inputs):
    """Spread and fit of eight groups at two strengths."""
    return torch.stack([t.share, t.share.flip(0), t.share / 2, 1 - t.share], 1).reshape(8, 2, 2)


def scored(t: Inputs, share: float):
    """Spread, fit and quality of eight groups at two strengths."""
    return torch.cat([share * groups(t), groups(t)[..., :1]], 2)


def frame(t: Inputs):
    return challenge.hidden_frame(t.g)


def plain():
    return small_pictures.plain_world(4, torch.Generator().manual_seed(0))


def deltas(t: Inputs):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 3)).to(t.device)
    tr.add_deltas(module, {"0": t.square}, 0.5)
    return module[0].weight.detach()


def trained(t: Inputs):
    layer = t.network(lambda: nn.Linear(2, 2)).requires_grad_()
    loss = lambda batch: (layer(batch) - batch).square().mean()  # noqa: E731
    return [*tr.train(loss, layer.parameters(), [t.p] * 3)]


def adversaries(t: Inputs):
    net = t.network(lambda: rivals.DiffusionGAN(SIGMAS.float())).requires_grad_()
    return [*rivals.train_diffusion_gan(net, [t.p] * 2, generator=t.g)]


def gan(t: Inputs):
    return [*rivals.train_gan(t.network(rivals.GAN).requires_grad_(), [t.p] * 2, generator=t.g)]


def branch(t: Inputs, kind, channels: int, *rest, size: int = 8):
    x = t.map_of(1)[:2, :, :size, :size].expand(2, channels, size, size)
    return t.network(lambda: kind(channels, *rest))(x)


def inception_of(t: Inputs):
    x = nn.functional.interpolate(t.im[:1], (299, 299))
    return t.network(inception.Inception).blocks(x)


def cads(t: Inputs):
    toward = lambda y: lambda x, sigma: RING(x + 0.1 * y, sigma)  # noqa: E731
    return gu.cads(toward, t.noise, SIGMAS, 0.1, 0.9, randn_like=t.randn_like)(t.p, SIGMA)


def along(D, t: Inputs):
    return sa.sample(D, t.p, SIGMAS, randn_like=t.randn_like)


def one(x):
    return x.square().flatten(1).sum(1)


def restored(t: Inputs, step):
    return step(t.p, RING(t.p, SIGMA), SIGMA, SIGMA / 2, t.randn_like)


def seeds_of(t: Inputs):
    run = ss.sampler(RING, SIGMAS)
    return ss.seedselect(run, t.p, one, iterations=3, prior=se.chi_nll, weight=0.1)


def mixed(t: Inputs):
    """Seeds on the CPU, network and loss on the device, as in chapter 11."""
    m = loaded(t.device)
    run = ss.sampler(m.sd.prompt("a star", w=1.0), m.sd.levels(2), start=lambda z: m.sd.start(z, m.sd.levels(2)))
    near = ss.semantic(lambda x: m.clip(m.sd.decode(x)), m.clip.texts("a circle")[0].cpu(), "cosine")
    return ss.seedselect(run, drawn().z[:2], near, iterations=2, lr=0.05, prior=se.chi_nll, weight=0.01).history


MASK = torch.tensor([True, False])
STYLE = lambda t: f.StyleClassifier(loaded(t.device).style)  # noqa: E731
LEVELS = lambda t: f.LevelStyleClassifier(loaded(t.device).style_levels)  # noqa: E731
DEFAULT = lambda t: f.default_embedding(loaded(t.device).embedding)  # noqa: E731
CIRCLE, SPHERE, ROLL = manifolds.Circle(), manifolds.Sphere(2), manifolds.SwissRoll(50)

RECIPES = {
    "challenge.frontier.limits": lambda t: challenge.limits(t.share),
    "challenge.frontier.pseudovalues": lambda t: challenge.pseudovalues(groups(t), challenge.volume),
    "challenge.frontier.stands_above": lambda t: challenge.stands_above(scored(t, 0.5), scored(t, 1.0)),
    "challenge.frontier.volume": lambda t: challenge.volume(t.share.reshape(4, 2)),
    "challenge.frontier.volumes": lambda t: challenge.volumes(groups(t)),
    "challenge.judging.Judge.__call__": lambda t: challenge.Judge(
        f.Oracle(device=t.device), f.Oracle(second=True, device=t.device)
    )(t.im, "a red star"),
    "challenge.judging.renderings": lambda t: challenge.renderings(drawn().im, f.Oracle()(drawn().im), steps=2),
    "challenge.rules.Budget.counted": lambda t: challenge.Budget(9).counted(RING)(t.p, SIGMA),
    "challenge.rules.Frame.back": lambda t: frame(t).back(t.z),
    "challenge.rules.Frame.into": lambda t: frame(t).into(t.z),
    "challenge.rules.Frame.seen": lambda t: frame(t).seen(lambda x, sigma: x / sigma)(t.z, SIGMA),
    "challenge.rules.Round.pictures": lambda t: challenge.rounds(1, t.g, SIGMAS, 4)[0].pictures(
        loaded(t.device).sd, drawn().z
    ),
    "challenge.rules.rounds": lambda t: challenge.rounds(1, t.g, SIGMAS, 4)[0].x,
    "checks.points": lambda t: checks.points(t.x, "x"),
    "checks.one_each": lambda t: checks.one_each(t.x[:1], 3, "here"),
    "checks.finite": lambda t: checks.finite(t.x, "x"),
    "checks.gradients_allowed": lambda t: checks.gradients_allowed("here", t.x),
    "claims.effect": lambda t: claims.effect(
        "1.1",
        "So.",
        measured=t.share,
        baseline=t.share / 2,
        control=t.share - 2,
        control_how="moved",
        above=0.1,
        calls=1,
    ).numbers["measured"],
    "constraints.edited": lambda t: constraints.edited(RING, t.q[:1].expand(8, 2), torch.tensor([True, False]))(
        t.p, SIGMA
    ),
    "constraints.cfgpp_weight": lambda t: constraints.cfgpp_weight(0.5, SIGMAS)(SIGMAS[1]),
    "constraints.dps": lambda t: restored(t, constraints.dps(sa.ddim, RING, one, 0.1)),
    "constraints.mcg": lambda t: restored(t, constraints.mcg(RING, t.q[0], MASK.to(t.device))),
    "constraints.mpgd": lambda t: restored(t, constraints.mpgd(sa.ddpm, one, 0.1)),
    "constraints.mpgd_latent": lambda t: restored(
        t, constraints.mpgd_latent(sa.ddim, one, 0.1, lambda x: x / 2, lambda z: 2 * z)
    ),
    "constraints.replaced": lambda t: restored(t, constraints.replaced(sa.ddim, t.q[0], MASK.to(t.device))),
    "constraints.tangent": lambda t: constraints.tangent(RING, 1)(t.p, t.p, SIGMA),
    "denoisers.GaussianMixture.__call__": lambda t: denoisers.GaussianMixture(t.q, 0.3)(t.p, SIGMA),
    "denoisers.GaussianMixture.log_prob": lambda t: denoisers.GaussianMixture(t.q, 0.3).log_prob(t.p, SIGMA),
    "denoisers.IdealDenoiser.__call__": lambda t: denoisers.IdealDenoiser(t.q)(t.p, SIGMA),
    "denoisers.MLPDenoiser.forward": lambda t: t.mlp(drawn().p, SIGMA),  # moves to the network
    "denoisers.cfg": lambda t: denoisers.cfg(RING, CIRCLE, denoisers.interval(3.0, 0.1, 9.0))(t.p, SIGMA),
    "denoisers.jacobian": lambda t: denoisers.jacobian(RING, t.p, SIGMA),
    "denoisers.ring": lambda t: denoisers.ring(5, weights=t.share[:5].cpu())(t.p, SIGMA),
    "denoisers.score": lambda t: denoisers.score(RING, t.p, SIGMA),
    "devices.handed": lambda t: devices.handed(drawn().x, t.network(lambda: nn.Linear(3, 3))),
    "dimension.coding_rate": lambda t: dimension.coding_rate(t.x),
    "dimension.flipd": lambda t: dimension.flipd(RING, t.p, 0.3),
    "dimension.local_pca_dimension": lambda t: dimension.local_pca_dimension(t.x, t.big),
    "dimension.normal_bundle": lambda t: dimension.normal_bundle(RING, t.p, 0.3, t.g),
    "dimension.spectrum": lambda t: dimension.spectrum(RING, t.p, SIGMA),
    "features.clip.CLIP.__call__": lambda t: loaded(t.device).clip(drawn().im),
    "features.clip.CLIP.texts": lambda t: loaded(t.device).clip.texts(["a star", "a red ring"]),
    "features.embeddings.Embedding.__call__": lambda t: DEFAULT(t)(drawn().im),
    "features.embeddings.blocks_of": lambda t: embeddings.blocks_of(loaded(t.device).embedding, drawn().im),
    "features.embeddings.embed": lambda t: f.embed(drawn().im, [DEFAULT(t)], 3),
    "features.embeddings.gram": lambda t: f.gram(t.map),
    "features.embeddings.location": lambda t: f.location(t.map),
    "features.embeddings.pooled": lambda t: embeddings.pooled((t.map, t.map, t.x)),
    "features.embeddings.streamed": lambda t: [*f.streamed(drawn().im.split(3), [DEFAULT(t)])],
    "features.embeddings.style": lambda t: f.style(t.map),
    "features.images.checked": lambda t: images.checked(t.im, "here"),
    "features.images.finite": lambda t: images.finite("these", t.im, "here"),
    "features.images.resize_clean": lambda t: f.resize_clean(t.im, 20),
    "features.inception.A.forward": lambda t: branch(t, inception.A, 8, 4),
    "features.inception.B.forward": lambda t: branch(t, inception.B, 8),
    "features.inception.Branches.through": lambda t: branch(t, inception.A, 4, 4),
    "features.inception.C.forward": lambda t: branch(t, inception.C, 8, 4),
    "features.inception.D.forward": lambda t: branch(t, inception.D, 8),
    "features.inception.E.forward": lambda t: branch(t, inception.E, 8),
    "features.inception.Inception.blocks": inception_of,
    "features.inception.Inception.forward": lambda t: t.network(lambda: nn.Linear(2048, 8))(inception_of(t)[2]),
    "features.inception.Unit.forward": lambda t: branch(t, inception.Unit, 3, 4, 3),
    "features.inception.average_pool": lambda t: inception.average_pool(t.map),
    "features.inception.halve": lambda t: inception.halve(t.map),
    "features.inception.max_pool": lambda t: inception.max_pool(t.map),
    "features.latents.RandomCNN.__call__": lambda t: f.RandomCNN(0)(t.z),
    "features.latents.StyleClassifier.__call__": lambda t: STYLE(t)(drawn().z),
    "features.latents.StyleClassifier.thirds": lambda t: STYLE(t).thirds(drawn().z),
    "features.latents.cell_means": lambda t: f.cell_means(t.z, 3),
    "features.latents.channel_mean": lambda t: f.channel_mean(t.z),
    "features.latents.decoded": lambda t: f.decoded(loaded(t.device).sd, DEFAULT(t))(drawn().z[:2]),
    "features.latents.rule_of_thirds": lambda t: f.rule_of_thirds(t.z),
    "features.latents.thirds_mean": lambda t: f.thirds_mean(t.z),
    "features.latents.upper_triangle": lambda t: latents.upper_triangle(t.k[None]),
    "features.level_style.LevelStyleClassifier.__call__": lambda t: LEVELS(t)(drawn().z, SIGMA),
    "features.level_style.LevelStyleClassifier.thirds": lambda t: LEVELS(t).thirds(drawn().z, SIGMA),
    "features.networks.EmbeddingNetwork.blocks": lambda t: t.network(networks.EmbeddingNetwork).blocks(drawn().im),
    "features.networks.EmbeddingNetwork.forward": lambda t: t.network(networks.EmbeddingNetwork)(drawn().im),
    "features.networks.FactorNetwork.forward": lambda t: t.network(networks.FactorNetwork)(drawn().im),
    "features.networks.LevelStyleNetwork.features": lambda t: t.network(networks.LevelStyleNetwork).features(
        drawn().z, SIGMA
    ),
    "features.networks.LevelStyleNetwork.forward": lambda t: t.network(networks.LevelStyleNetwork)(drawn().z, SIGMA),
    "features.networks.StyleNetwork.features": lambda t: t.network(networks.StyleNetwork).features(drawn().z),
    "features.networks.StyleNetwork.forward": lambda t: t.network(networks.StyleNetwork)(drawn().z),
    "features.silhouettes.arms": lambda t: f.arms(t.big.T[:, :36].abs()),
    "features.silhouettes.iou": lambda t: f.iou(t.map[:, 0] > 0, t.map[:, 1] > 0),
    "features.silhouettes.overlap": lambda t: f.overlap(t.im),
    "features.silhouettes.profile": lambda t: f.profile(f.silhouette(t.im)),
    "features.silhouettes.silhouette": lambda t: f.silhouette(t.im),
    "features.tiny.Oracle.__call__": lambda t: f.Oracle(network=loaded(t.device).oracle)(drawn().im),
    "fit.nearest_drawing": lambda t: fit.nearest_drawing(small_pictures.plain_pictures(plain()).to(t.device), steps=4),
    "flow_matching.denoiser_of": lambda t: flow_matching.denoiser_of(lambda x_t, time: time - x_t)(t.p, SIGMA),
    "flow_matching.flow_weight": lambda t: flow_matching.flow_weight(t.share + 0.1),
    "flow_matching.level_of": lambda t: flow_matching.level_of(t.share),
    "flow_matching.time_of": lambda t: flow_matching.time_of(t.share),
    "flow_matching.velocity_of": lambda t: flow_matching.velocity_of(RING)(t.p, t.share[:, None] * 0.8 + 0.1),
    "flow_pipelines.FlowMatching.decode": lambda t: flow(t.device).decode(drawn().z[..., :8, :8]),
    "flow_pipelines.FlowMatching.encode": lambda t: flow(t.device).encode(drawn().im[..., :16, :16], 3),
    "flow_pipelines.FlowMatching.generate": lambda t: flow(t.device).generate(
        ["a star", "a red ring"], noise=drawn().z[:2, :, :8, :8], steps=2, step=sa.ddpm
    ),
    "flow_pipelines.FlowMatching.prompt": lambda t: flow(t.device).prompt("a star")(
        drawn().z[..., :8, :8], torch.tensor([0.5, 1.0, 2.0, 4.0]).reshape(4, 1, 1, 1)
    ),
    "flow_pipelines.FlowMatching.start": lambda t: flow(t.device).start(drawn().z, SIGMAS),
    "guidance.kernels.flatten": lambda t: gu.flatten(t.z),
    "guidance.kernels.median_bandwidth": lambda t: gu.median_bandwidth(t.k),
    "guidance.kernels.radial": lambda t: gu.radial(t.p),
    "guidance.kernels.rbf": lambda t: gu.rbf(t.x, 2.0),
    "guidance.potentials.Above.__call__": lambda t: t.pulled(gu.Above(0.1, gu.Repulsion(3.0))),
    "guidance.potentials.Determinantal.__call__": lambda t: t.pulled(gu.Determinantal(1.0)),
    "guidance.potentials.Groups.__call__": lambda t: t.pulled(gu.Groups(4, gu.Repulsion(2.0)), relative=0.3),
    "guidance.potentials.Repulsion.__call__": lambda t: t.weighed(gu.Repulsion(2.0, on="x0", h=lambda sigma: sigma)),
    "guidance.potentials.VendiPotential.__call__": lambda t: t.weighed(gu.VendiPotential(2.0)),
    "guidance.potentials.blocks": lambda t: gu.potentials.blocks(t.p, 4),
    "guidance.steps.turned": lambda t: t.stepped(gu.turned(sa.ddim, gu.Repulsion(2.0, kernel=gu.radial))),
    "guidance.wrappers.cads": cads,
    "guidance.wrappers.guided": lambda t: t.pulled(gu.Repulsion(2.0), through_denoiser=True, clip=0.5),
    "guidance.wrappers.in_groups": lambda t: gu.in_groups(gu.spell(RING, 0.6), 4)(t.p, SIGMA),
    "guidance.wrappers.spell": lambda t: gu.spell(RING, 0.6, memory=drawn().q)(t.p, SIGMA),
    "guidance.wrappers.svgd": lambda t: gu.svgd(RING)(t.p, SIGMA),
    "guidance.wrappers.switch": lambda t: gu.switch(0.4, RING, CIRCLE)(t.p, SIGMA),
    "manifolds.Circle.__call__": lambda t: CIRCLE(t.p, SIGMA),
    "manifolds.Circle.distance": lambda t: CIRCLE.distance(t.p),
    "manifolds.Circle.point": lambda t: CIRCLE.point(t.share),
    "manifolds.Circle.project": lambda t: CIRCLE.project(t.p),
    "manifolds.Sphere.__call__": lambda t: SPHERE(t.x, SIGMA),
    "manifolds.Sphere.distance": lambda t: SPHERE.distance(t.x),
    "manifolds.Sphere.project": lambda t: SPHERE.project(t.x),
    "manifolds.SwissRoll.__call__": lambda t: ROLL(t.p, SIGMA),
    "manifolds.SwissRoll.distance": lambda t: ROLL.distance(t.p),
    "manifolds.SwissRoll.point": lambda t: ROLL.point(t.share),
    "manifolds.SwissRoll.project": lambda t: ROLL.project(t.p),
    "manifolds.SwissRoll.share": lambda t: ROLL.share(t.p),
    "manifolds.SwissRoll.turn": lambda t: ROLL.turn(t.p),
    "manifolds.bessel_ratio": lambda t: manifolds.bessel_ratio(1.0, t.share),
    "memory.encoded": lambda t: memory.encoded(loaded(t.device).sd.pipe.vae, drawn().im, 3),
    "memory.decoded": lambda t: memory.decoded(loaded(t.device).sd.pipe.vae, drawn().z),
    "memory.in_chunks": lambda t: memory.in_chunks(lambda a, b: a - b, 3, t.x, t.y),
    "metrics.bootstrap.bootstrap": lambda t: metrics.bootstrap(t.x, lambda x: x.mean(), 20, t.g),
    "metrics.bootstrap.mean_and_error": lambda t: metrics.mean_and_error(t.share),
    "metrics.checks.checked": lambda t: metric_checks.checked(t.x, "x"),
    "metrics.checks.checked_pair": lambda t: metric_checks.checked_pair(t.x, t.y, "here"),
    "metrics.checks.precise": lambda t: metric_checks.precise(t.x.half(), "x"),
    "metrics.checks.unit": lambda t: metric_checks.unit(t.x, "x"),
    "metrics.distances.exact_squares": lambda t: metrics.distances.exact_squares(t.x, t.y),
    "metrics.distances.squared_distances": lambda t: metrics.squared_distances(t.x, t.y),
    "metrics.entropy.hill": lambda t: metrics.hill(t.share / t.share.sum()),
    "metrics.entropy.in_batch_similarity": lambda t: metrics.in_batch_similarity(t.x),
    "metrics.entropy.rke": lambda t: metrics.rke(t.k),
    "metrics.entropy.spectrum_number": lambda t: entropy.spectrum_number(t.k, 1),
    "metrics.entropy.vendi": lambda t: metrics.vendi(t.k),
    "metrics.entropy.vendi_features": lambda t: metrics.vendi_features(t.x),
    "metrics.factors.factor_coverage": lambda t: metrics.factor_coverage(t.labels, 4),
    "metrics.factors.factor_entropy": lambda t: metrics.factor_entropy(t.labels, t.yes.long()),
    "metrics.finite.frechet_bias": lambda t: metrics.frechet_bias(t.share, 20),
    "metrics.finite.frechet_infinity": lambda t: metrics.frechet_infinity(t.big, t.x, 4, generator=t.g),
    "metrics.gaussian.frechet": lambda t: metrics.frechet(t.x, t.y),
    "metrics.gaussian.frechet_parts": lambda t: metrics.frechet_parts(t.x, t.y),
    "metrics.gaussian.max_diversity_distance": lambda t: metrics.max_diversity_distance(t.x, t.big, t.x / 9, t.y / 2),
    "metrics.kernel.kid": lambda t: metrics.kid(t.x, t.y),
    "metrics.kernel.kid_subsets": lambda t: metrics.kid_subsets(t.x, t.y, 3, 5, t.g),
    "metrics.linear.congruence": lambda t: linear.congruence(t.square.triu(), t.square),
    "metrics.linear.factor": lambda t: linear.factor(t.square),
    "metrics.linear.gram": lambda t: linear.gram(t.x),
    "metrics.linear.nuclear": lambda t: linear.nuclear(t.x, t.y),
    "metrics.linear.root_trace": lambda t: linear.root_trace(t.square, t.square.trace()),
    "metrics.linear.triangle": lambda t: linear.triangle(t.square),
    "metrics.modes.expected_modes": lambda t: metrics.expected_modes((t.share / t.share.sum()), 4),
    "metrics.modes.modes_covered": lambda t: metrics.modes_covered(t.share, 1000),
    "metrics.modes.modes_hit": lambda t: metrics.modes_hit(t.p, t.q, 0.8),
    "metrics.modes.nearest_mode": lambda t: metrics.nearest_mode(t.p, t.q),
    "metrics.modes.on_mode": lambda t: metrics.on_mode(t.p, t.q, 0.8),
    "metrics.neighbours.coverage": lambda t: metrics.coverage(t.x, t.y, 2),
    "metrics.neighbours.density": lambda t: metrics.density(t.x, t.y, 2),
    "metrics.neighbours.nearer_to_training": lambda t: metrics.nearer_to_training(t.big, t.x, t.y),
    "metrics.neighbours.prdc": lambda t: metrics.prdc(t.x, t.y, 2),
    "metrics.neighbours.precision": lambda t: metrics.precision(t.x, t.y, 2),
    "metrics.neighbours.recall": lambda t: metrics.recall(t.x, t.y, 2),
    "metrics.similarity.clip_score": lambda t: metrics.clip_score(t.x, t.y),
    "metrics.similarity.div": lambda t: metrics.div([t.map], t.yes[:4].long()),
    "metrics.similarity.pres": lambda t: metrics.pres(t.x, t.y),
    "metrics.statistics.GaussianStatistics.from_features": lambda t: t.statistics(t.x).arrays(),
    "metrics.statistics.GaussianStatistics.merge": lambda t: t.statistics(t.x).merge(t.statistics(t.y)).arrays(),
    "metrics.statistics.GaussianStatistics.update": lambda t: t.statistics(t.x).update(t.y).arrays(),
    "metrics.statistics.same_embedding": lambda t: statistics.same_embedding(
        t.statistics(t.x), t.statistics(t.y), "here"
    ),
    "penalties.Autoencoder.forward": lambda t: t.network(lambda: penalties.Autoencoder(2, 1))(t.p),
    "penalties.autoencoder_residual": lambda t: penalties.autoencoder_residual(t.p, lambda x: x / 2),
    "penalties.denoiser_residual": lambda t: penalties.denoiser_residual(t.p, RING, 0.3),
    "penalties.kernel_density": lambda t: penalties.kernel_density(t.p, t.q, 0.5),
    "penalties.local_pca": lambda t: penalties.local_pca(t.x, t.big),
    "penalties.nearest_neighbours": lambda t: penalties.nearest_neighbours(t.p, t.q),
    "prompted.first_noise": lambda t: prompted.first_noise([3, 5], None, 2, (2, 3), t.x.device)[1],
    "prompted.prompted": lambda t: prompted.prompted(
        lambda x, sigma, e: x / (1 + sigma) + e, (t.z[:1],), (0 * t.z,), 2.0, 3, 4, t.z.device, "here"
    )(drawn().z, torch.tensor([0.5, 1.0, 2.0, 4.0]).reshape(4, 1, 1, 1)),
    "rivals.DiffusionGAN.judged": lambda t: t.network(lambda: rivals.DiffusionGAN(SIGMAS.float())).judged(
        t.p, t.p, SIGMA
    ),
    "rivals.DiffusionGAN.x0": lambda t: t.network(lambda: rivals.DiffusionGAN(SIGMAS.float())).x0(t.p, t.noise, SIGMA),
    "rivals.VAE.loss": lambda t: t.network(rivals.VAE).loss(t.p, t.noise),
    "rivals.critic_loss": lambda t: rivals.critic_loss(t.share, t.share / 2),
    "rivals.generator_loss": lambda t: rivals.generator_loss(t.share),
    "rivals.gradient_penalty": lambda t: rivals.gradient_penalty(one, t.p),
    "rivals.kl": lambda t: rivals.kl(t.p, t.noise),
    "rivals.train_diffusion_gan": adversaries,
    "rivals.train_gan": gan,
    "samplers.ddim": lambda t: t.stepped(sa.ddim),
    "samplers.ddpm": lambda t: t.stepped(sa.ddpm),
    "samplers.euler_maruyama": lambda t: t.stepped(sa.euler_maruyama),
    "samplers.first_half": lambda t: sa.first_half(SIGMAS),
    "samplers.langevin": lambda t: sa.langevin(t.p, RING(t.p, SIGMA), SIGMA, 0.1, t.randn_like),
    "samplers.sample": lambda t: along(RING, t),
    "samplers.trajectory": lambda t: [*sa.trajectory(RING, t.p, SIGMAS, sa.dpmpp_2m())],
    "seeds.Noise.randn_like": lambda t: se.Noise(range(8)).randn_like(t.p),
    "seeds.chi_nll": lambda t: se.chi_nll(t.z),
    "seeds.chi_score": lambda t: se.chi_score(t.z),
    "seeds.combined": lambda t: se.combined(t.z, t.share[:4]),
    "seeds.coupled": lambda t: se.coupled(t.p),
    "seeds.gaussian_kl": lambda t: se.gaussian_kl(t.z),
    "seeds.select_from_many": lambda t: se.select_from_many(t.x, 3),
    "seeds.spawned": lambda t: se.spawned(t.p, 3),
    "seedselect.losses.appearance": lambda t: ss.appearance(drawn().q[0])(t.p),
    "seedselect.losses.as_released": lambda t: ss.as_released(lambda x: x, drawn().q[0], drawn().q[1])(
        torch.stack([t.p, t.noise, t.p])
    ),
    "seedselect.losses.bootstrap_centroid": lambda t: ss.bootstrap_centroid(t.q, 3, t.g),
    "seedselect.losses.contrastive": lambda t: ss.contrastive(lambda x: x, drawn().q, 1)(t.p),
    "seedselect.losses.over_last": lambda t: ss.over_last(one, [1.0, 2.0])(torch.stack([t.p, t.noise])),
    "seedselect.losses.semantic": lambda t: ss.semantic(lambda x: x, drawn().q[0])(t.p),
    "seedselect.losses.wide": lambda t: losses.wide(t.p.half()),
    "seedselect.sampling.best_of": lambda t: ss.best_of(ss.sampler(RING, SIGMAS), one, torch.stack([t.p, t.noise])),
    "seedselect.sampling.checkpointed": lambda t: ss.checkpointed(RING)(t.p, SIGMA),
    "seedselect.sampling.sampler": mixed,
    "seedselect.sampling.success_of_best": lambda t: ss.success_of_best(t.share, t.yes, 3),
    "seedselect.search.seedselect": seeds_of,
    "small_pictures.plain_pictures": lambda t: small_pictures.plain_pictures(plain()),
    "stable_diffusion.StableDiffusion.decode": lambda t: loaded(t.device).sd.decode(drawn().z),
    "stable_diffusion.StableDiffusion.encode": lambda t: loaded(t.device).sd.encode(drawn().im, 3),
    "stable_diffusion.StableDiffusion.generate": lambda t: loaded(t.device).sd.generate(
        ["a star", "a red ring"], noise=drawn().z[:2], steps=2, step=sa.ddpm
    ),
    "stable_diffusion.StableDiffusion.prompt": lambda t: loaded(t.device).sd.prompt("a star")(
        drawn().z, torch.tensor([0.5, 1.0, 2.0, 4.0]).reshape(4, 1, 1, 1)
    ),
    "stable_diffusion.StableDiffusion.sigma_at": lambda t: loaded(t.device).sd.sigma_at(9 * t.share),
    "stable_diffusion.StableDiffusion.start": lambda t: loaded(t.device).sd.start(drawn().z, SIGMAS),
    "training.average.moving_average": lambda t: average.moving_average([t.x], [t.y], 0.9, 3),
    "training.loop.train": trained,
    "training.lora.add_deltas": deltas,
    "training.losses.denoising_loss": lambda t: tr.denoising_loss(
        RING, t.p, t.share[:, None] + 0.1, t.noise, sigma_data=1.0
    ),
    "training.losses.epsilon_weight": lambda t: tr.epsilon_weight(t.share + 0.1),
    "training.losses.manifold_loss": lambda t: tr.manifold_loss(
        RING, t.p, t.share[:, None] + 0.1, t.noise, one, 0.5, 0.5
    ),
    "training.losses.preserving": lambda t: tr.preserving(torch.sum, torch.mean, 0.5)((t.p, t.q)),
    "unet.Block.forward": lambda t: t.network(lambda: unet.Block(4, 4))(t.z, t.z[:, :, 0, 0]),
    "unet.SmallUNet.code": lambda t: t.network(lambda: unet.SmallUNet(4, 8)).code(
        t.share[:4, None] + 0.1, t.labels[:4]
    ),
    "unet.SmallUNet.forward": lambda t: t.network(lambda: unet.SmallUNet(4, 8))(drawn().z, SIGMA),
    "unet.SmallUNet.network": lambda t: t.network(lambda: unet.SmallUNet(4, 4)).network(
        t.z, t.z[:, :, 0, :4].flatten(1)
    ),
    "unet.joined": lambda t: unet.joined(t.z, t.z.repeat(1, 1, 2, 2)),
    "unet.normalised": lambda t: unet.normalised(t.z),
    "unet.residual": lambda t: unet.residual(
        t.z, t.z[:, :, 0, 0], t.z[:, :, :3, :3], t.z[:, :, 3:6, :3], t.z[:, :, 0, 0]
    ),
    "verdicts.estimated": lambda t: verdicts.estimated(t.share, "share"),
    "verdicts.excess": lambda t: verdicts.excess(t.share, t.share.flip(0) / 2),
    "verdicts.judged": lambda t: verdicts.judged(t.share, t.share / 2, t.share - 2, above=0.1).over_baseline,
    "world.Factors.cat": lambda t: w.Factors.cat([t.factors, t.factors]),
    "world.caption": lambda t: w.caption(t.factors, t.g),
    "world.distance": lambda t: w.distance(t.factors, 16),
    "world.render": lambda t: w.render(t.factors, 16),
    "world.thirds": lambda t: w.thirds(t.share, t.share),
}
