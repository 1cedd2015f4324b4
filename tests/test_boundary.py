"""Where the caller errs: every public function is called with one argument spoilt, and must say so or be right.

What comes is a finite answer, or an error of ours in one sentence that names the function or the argument; never an
error out of a dependency, and never NaN. Functions are collected by inspection, so that none is forgotten.
"""

import importlib
import inspect
import math
import traceback
from pathlib import Path

import pytest
import torch
from torch import Tensor

from course_lib.denoisers import MLPDenoiser, ring
from course_lib.guidance import Repulsion, rbf
from course_lib.metrics import GaussianStatistics
from course_lib.metrics.bootstrap import Estimate
from course_lib.samplers import ddim, geometric
from course_lib.world import Factors, draw

DOUBLE = torch.float64
MODULES = (
    "samplers", "seeds", "denoisers", "guidance", "metrics", "manifolds", "constraints", "penalties", "dimension",
    "claims", "verdicts", "world", "flow_matching",
)  # fmt: skip


def made(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


X, X0, Y = made(0, 6, 2), made(1, 6, 2), made(2, 6, 2)
K = rbf(X, 1.0)
SIGMA, SIGMAS = torch.tensor(0.6, dtype=DOUBLE), geometric(2.0, 0.5, 3)
MASK = torch.tensor([True, False])
ESTIMATE = Estimate(1.0, 0.1, 5)
LABELS = torch.tensor([0, 1, 2, 1])


def loss(x0: Tensor) -> Tensor:
    return x0.square().flatten(1).sum(1)


def denoise(denoiser):
    return denoiser(X, SIGMA)


def step(one):
    return one(X, X0, SIGMA, SIGMA / 2, torch.zeros_like)


STEP = {"x": X, "x0": X0, "sigma": SIGMA}
TWO = {"real": X, "fake": Y}
SAMPLER = {"denoiser": ring(), "x": X, "sigmas": SIGMAS, "corrections": 1, "tau": 0.1}
# Valid arguments of each public function, and what is done with a function that it answers with.
CALLS = {
    "samplers.geometric": {"high": 2.0, "low": 0.5, "T": 3},
    "samplers.karras": {"high": 2.0, "low": 0.5, "T": 3, "rho": 7.0},
    "samplers.scaled_linear": {"T": 3, "beta_start": 0.001, "beta_end": 0.01},
    "samplers.ddim": {**STEP, "sigma_next": 0.3},
    "samplers.ddpm": {**STEP, "sigma_next": SIGMA / 2},
    "samplers.euler_maruyama": {**STEP, "sigma_next": SIGMA / 2},
    "samplers.langevin": {**STEP, "tau": 0.1},
    "samplers.dpmpp_2m": ({}, step),
    "samplers.trajectory": (SAMPLER, list),
    "samplers.sample": SAMPLER,
    "samplers.first_half": {"sigmas": SIGMAS},
    "seeds.Noise": ({"seeds": [1, 2]}, lambda noise: noise.randn(3)),
    "seeds.Noise.randn": {"shape": 3},
    "seeds.Noise.randn_like": {"x": X[:2]},
    "seeds.coupled": {"eps": X},
    "seeds.spawned": {"x": X, "n": 2},
    "seeds.select_from_many": {"phi": X, "n": 3, "first": 1},
    "seeds.chi_nll": {"z": X},
    "seeds.chi_score": {"z": X},
    "seeds.gaussian_kl": {"z": X},
    "seeds.combined": {"z": X, "weights": [1.0] * 6},
    "denoisers.score": {"denoiser": ring(), "x": X, "sigma": SIGMA},
    "denoisers.jacobian": {"denoiser": ring(), "x": X, "sigma": SIGMA},
    "denoisers.GaussianMixture": ({"means": X, "s": 0.1, "weights": [1.0] * 6}, denoise),
    "denoisers.GaussianMixture.__call__": {"x": X, "sigma": SIGMA},
    "denoisers.GaussianMixture.log_prob": {"x": X, "sigma": SIGMA},
    "denoisers.GaussianMixture.sample": {"n": 3},
    "denoisers.ring": ({"modes": 4, "radius": 1.0, "s": 0.1}, denoise),
    "denoisers.IdealDenoiser": ({"points": X}, denoise),
    "denoisers.IdealDenoiser.__call__": {"x": X, "sigma": SIGMA},
    "denoisers.MLPDenoiser": (
        {"d": 2, "width": 4, "depth": 2, "labels": 2, "sigma_data": 0.5}, lambda net: net(X.float(), 1)
    ),
    "denoisers.MLPDenoiser.forward": {"x": X.float(), "sigma": 0.5},
    "denoisers.MLPDenoiser.given": ({"label": 1}, lambda net: net(X.float(), 1.0)),
    "denoisers.cfg": ({"conditional": ring(), "unconditional": ring(4), "w": 2.0}, denoise),
    "denoisers.interval": ({"w": 2.0, "low": 0.1, "high": 1.0}, lambda w: w(SIGMA)),
    "guidance.flatten": {"x": X},
    "guidance.median_bandwidth": {"d2": K},
    "guidance.rbf": {"phi": X, "h": 1.0},
    "guidance.radial": {"phi": X, "h": 1.0},
    "guidance.Repulsion": (
        {"alpha": 1.0, "kernel": rbf, "features": lambda x: x, "on": "x", "h": 1.0}, lambda p: p(X, X0, SIGMA)
    ),
    "guidance.Determinantal": ({"alpha": 1.0, "on": "x", "h": 1.0, "jitter": 1e-4}, lambda p: p(X, X0, SIGMA)),
    "guidance.VendiPotential": ({"alpha": 1.0, "on": "x", "h": 1.0, "q": 1.0}, lambda p: p(X, X0, SIGMA)),
    "guidance.Above": ({"level": 0.5, "potential": Repulsion(1.0)}, lambda p: p(X, X0, SIGMA)),
    "guidance.Groups": ({"size": 3, "potential": Repulsion(1.0)}, lambda p: p(X, X0, SIGMA)),
    "guidance.guided": ({"denoiser": ring(), "sigma_data": 1.0, "relative": 0.1, "clip": 0.1}, denoise),
    "guidance.switch": ({"level": 0.5, "above": ring(), "below": ring()}, denoise),
    "guidance.in_groups": ({"denoiser": ring(), "size": 3}, denoise),
    "guidance.svgd": ({"denoiser": ring(), "kernel": rbf, "alpha": 1.0, "h": 1.0}, denoise),
    "guidance.spell": ({"denoiser": ring(), "radius": 0.5, "lam": 1.0, "memory": Y}, denoise),
    "guidance.cads": (
        {"denoiser_of": lambda y: ring(), "y": X, "sigmas": SIGMAS, "tau1": 0.1, "tau2": 0.9, "scale": 0.1, "psi": 0.5},
        denoise,
    ),
    "guidance.turned": ({"step": ddim, "potential": Repulsion(1.0)}, step),
    "metrics.mean_and_error": {"values": [1.0, 2.0]},
    "metrics.bootstrap": {"values": X, "statistic": lambda x: x.mean(), "draws": 5},
    "metrics.squared_distances": {"a": X, "b": Y},
    "metrics.hill": {"p": [0.5, 0.5], "q": 1.0},
    "metrics.vendi": {"k": K, "q": 1.0},
    "metrics.rke": {"k": K},
    "metrics.vendi_features": {"phi": X, "q": 1.0},
    "metrics.in_batch_similarity": {"phi": X},
    "metrics.factor_entropy": {"factors": LABELS},
    "metrics.factor_coverage": {"labels": LABELS, "kinds": 3},
    "metrics.frechet_bias": {"eigenvalues": [1.0, 2.0], "n": 5, "m": 4},
    "metrics.frechet_infinity": {"x": X, "reference": Y, "points": 3, "smallest": 2},
    "metrics.frechet": {"a": X, "b": Y},
    "metrics.frechet_parts": {"a": X, "b": Y},
    "metrics.max_diversity_distance": {"x": X, "maximum": 2 * Y},
    "metrics.kid": {"x": X, "y": Y},
    "metrics.kid_subsets": {"x": X, "y": Y, "subsets": 2, "size": 3},
    "metrics.nearest_mode": {"x": X, "centres": Y},
    "metrics.on_mode": {"x": X, "centres": Y, "radius": 0.5},
    "metrics.modes_covered": {"counts": [3.0, 5.0], "N": 8},
    "metrics.modes_hit": {"x": X, "centres": Y, "radius": 0.5},
    "metrics.expected_modes": {"weights": [0.5, 0.5], "N": 3},
    "metrics.precision": {**TWO, "k": 2},
    "metrics.recall": {**TWO, "k": 2},
    "metrics.density": {**TWO, "k": 2},
    "metrics.coverage": {**TWO, "k": 2},
    "metrics.prdc": {**TWO, "k": 2},
    "metrics.expected_coverage": {"n": 5, "m": 4, "k": 2},
    "metrics.nearer_to_training": {"generated": X, "training": Y, "held_out": X0},
    "metrics.clip_score": {"images": X, "texts": Y, "scale": 1.0},
    "metrics.div": {"layers": X, "groups": torch.tensor([0, 0, 0, 1, 1, 1])},
    "metrics.pres": {"generated": X, "subject": Y},
    "metrics.GaussianStatistics": ({}, lambda statistics: statistics.n),
    "metrics.GaussianStatistics.update": {"x": X},
    "metrics.GaussianStatistics.from_features": {"x": X},
    "manifolds.Circle": ({"mu": 0.0, "kappa": 1.0, "weights": [1.0], "radius": 1.0, "d": 2}, denoise),
    "manifolds.Circle.__call__": {"x": X, "sigma": SIGMA},
    "manifolds.Circle.sample": {"n": 3},
    "manifolds.Circle.point": {"angle": X[:, 0]},
    "manifolds.Circle.project": {"x": X},
    "manifolds.Circle.distance": {"x": X},
    "manifolds.Sphere": ({"k": 1, "d": 2, "radius": 1.0}, denoise),
    "manifolds.Sphere.__call__": {"x": made(3, 6, 3), "sigma": SIGMA},
    "manifolds.Sphere.sample": {"n": 3},
    "manifolds.Sphere.project": {"x": made(3, 6, 3)},
    "manifolds.Sphere.distance": {"x": made(3, 6, 3)},
    "manifolds.bessel_ratio": {"order": 0.5, "z": X.abs(), "depth": 20},
    "manifolds.SwissRoll": ({"points": 10, "s": 0.1}, denoise),
    "manifolds.SwissRoll.__call__": {"x": X, "sigma": SIGMA},
    "manifolds.SwissRoll.sample": {"n": 3},
    "manifolds.SwissRoll.point": {"share": X[:, 0].sigmoid()},
    "manifolds.SwissRoll.share": {"x": X},
    "manifolds.SwissRoll.turn": {"x": X},
    "manifolds.SwissRoll.project": {"x": X},
    "manifolds.SwissRoll.distance": {"x": X},
    "constraints.edited": ({"denoiser": ring(), "y": X[0], "mask": MASK}, denoise),
    "constraints.cfgpp_weight": ({"lam": 0.5, "sigmas": SIGMAS}, lambda w: w(SIGMAS[0])),
    "constraints.mpgd": ({"step": ddim, "loss": loss, "scale": 0.1}, step),
    "constraints.mpgd_latent": (
        {"step": ddim, "loss": loss, "scale": 0.1, "encode": lambda x: x, "decode": lambda x: x}, step
    ),
    "constraints.tangent": ({"denoiser": ring(), "k": 1}, lambda along: along(Y, X, SIGMA)),
    "constraints.dps": ({"step": ddim, "denoiser": ring(), "loss": loss, "scale": 0.1}, step),
    "constraints.replaced": ({"step": ddim, "y": X[0], "mask": MASK}, step),
    "constraints.mcg": ({"denoiser": ring(), "y": X[0], "mask": MASK, "scale": 0.1, "step": ddim}, step),
    "penalties.nearest_neighbours": {"x": X, "points": Y, "k": 2},
    "penalties.local_pca": {"x": X, "points": Y, "k": 3, "dimension": 1},
    "penalties.kernel_density": {"x": X, "points": Y, "h": 0.5},
    "penalties.denoiser_residual": {"x": X, "denoiser": ring(), "sigma": 0.5},
    "penalties.autoencoder_residual": {"x": X, "autoencoder": lambda x: x / 2},
    "penalties.Autoencoder": ({"d": 2, "bottleneck": 1, "width": 4}, lambda net: net(X.float())),
    "dimension.local_pca_dimension": {"x": X, "points": Y, "k": 3, "share": 0.9},
    "dimension.normal_bundle": {"denoiser": ring(), "x": X, "sigma": 0.5, "scores": 4},
    "dimension.flipd": {"denoiser": ring(), "x": X, "sigma": 0.5},
    "dimension.spectrum": {"denoiser": ring(), "x": X, "sigma": 0.5},
    "dimension.coding_rate": {"z": X, "eps": 0.5},
    "world.draw": {"n": 3, "generator": generator()},
    "world.long_tail": {"generator": generator()},
    "world.thirds": {"x": X[:, 0], "y": X[:, 1]},
    "world.phrase": {"shape": "star", "colour": "red", "style": "flat", "place": "at the top"},
    "world.named": {"text": "a red star"},
    "world.caption": {"factors": draw(2, generator()), "generator": generator()},
    "world.distance": {"factors": draw(2, generator()), "width": 4},
    "world.render": {"factors": draw(2, generator()), "width": 4},
    "claims.identity": {
        "number": "1.1", "sentence": "It is.", "error": 0.0, "tolerance": 1e-9, "broken": 1.0, "broken_how": "sign"
    },
    "claims.effect": {
        "number": "1.1", "sentence": "It does.", "measured": ESTIMATE, "baseline": ESTIMATE, "control": ESTIMATE,
        "control_how": "none", "above": 2.0, "calls": 3, "decimals": 2,
    },
    "verdicts.estimated": {"arm": ESTIMATE},
    "verdicts.excess": {"measured": ESTIMATE, "limit": 0.5},
    "verdicts.judged": {"measured": ESTIMATE, "baseline": ESTIMATE, "control": ESTIMATE, "above": 0.5},
    "claims.stored": {"name": "ch01_rare_mode"},
    "flow_matching.level_of": {"t": 0.4},
    "flow_matching.time_of": {"sigma": 0.4},
    "flow_matching.denoiser_of": ({"velocity": lambda x_t, t: -x_t}, denoise),
    "flow_matching.velocity_of": ({"denoiser": ring()}, lambda velocity: velocity(X, 0.4)),
    "flow_matching.flow_levels": {"T": 3, "shift": 2.0},
    "flow_matching.flow_weight": {"sigma": X.abs()},
}  # fmt: skip
# No argument that could be spoilt, or a container that its functions fill.
EXEMPT = {
    "samplers.State", "metrics.Estimate", "metrics.Extrapolation", "metrics.FrechetParts", "metrics.MaxDiversity",
    "metrics.PRDC", "verdicts.Excess", "verdicts.Judgement", "world.Factors", "world.Factors.cat", "world.pair_counts",
    "claims.Claim", "denoisers.Denoiser",
    "metrics.GaussianStatistics.merge", "metrics.GaussianStatistics.arrays", "metrics.GaussianStatistics.from_arrays",
    "denoisers.Denoiser.__call__", "penalties.Autoencoder.forward",
    *(f"guidance.{name}.__call__" for name in ("Repulsion", "Determinantal", "VendiPotential", "Above", "Groups")),
    *(f"guidance.{name}.similarity" for name in ("Repulsion", "Determinantal", "VendiPotential")),
}  # fmt: skip
# In every step of a sampler, where looking at values would make the host wait; `trajectory` looks once a step.
STEPS = {
    *(f"samplers.{name}" for name in ("ddim", "ddpm", "euler_maruyama", "langevin")),
    *(f"guidance.{name}" for name in ("flatten", "median_bandwidth", "rbf", "radial")),
    *(f"denoisers.{name}" for name in ("score", "jacobian", "IdealDenoiser.__call__", "MLPDenoiser.forward")),
    *(f"denoisers.GaussianMixture.{name}" for name in ("__call__", "log_prob")),
    *(f"manifolds.{name}.__call__" for name in ("Circle", "Sphere", "SwissRoll")),
    *(f"manifolds.Circle.{name}" for name in ("point", "project", "distance")),
    *(f"manifolds.Sphere.{name}" for name in ("project", "distance")),
    *(f"manifolds.SwissRoll.{name}" for name in ("share", "turn", "project", "distance")),
    "manifolds.bessel_ratio", "metrics.squared_distances", "seeds.Noise.randn_like", "seeds.coupled", "seeds.spawned",
}  # fmt: skip
OWNERS = {"Noise": {"seeds": [1, 2]}, "GaussianMixture": {"means": X, "s": 0.1}, "IdealDenoiser": {"points": X}}


def public() -> set[str]:
    """Names of all public functions and methods of the modules."""
    found = set()
    for module_name in MODULES:
        module = importlib.import_module(f"course_lib.{module_name}")
        names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
        for name in names:
            value = getattr(module, name)
            if getattr(value, "__module__", "").startswith(f"course_lib.{module_name}") and callable(value):
                found.add(f"{module_name}.{name}")
                if inspect.isclass(value):
                    found |= {
                        f"{module_name}.{name}.{own}"
                        for own, method in vars(value).items()
                        if own == "__call__"
                        or (
                            not own.startswith("_")
                            and (inspect.isfunction(method) or isinstance(method, classmethod | staticmethod))
                        )
                    }
    return found


def test_no_public_function_is_forgotten():
    """Each has an example here, or a reason to have none; what is gone is gone here too."""
    assert public() - set(CALLS) - EXEMPT == set()
    assert (set(CALLS) | EXEMPT) - public() <= {name for name in EXEMPT if name.endswith(("similarity", "__call__"))}


def function(name: str):
    module, *path = name.split(".")
    value = importlib.import_module(f"course_lib.{module}")
    for i, own in enumerate(path):
        is_method = i == 1 and not isinstance(inspect.getattr_static(value, own), classmethod)
        if is_method:
            torch.manual_seed(0)
            value = MLPDenoiser(labels=2) if path[0] == "MLPDenoiser" else value(**OWNERS.get(path[0], {}))
        value = getattr(value, own)
    return value


def example(name: str):
    call = CALLS[name]
    return call if isinstance(call, tuple) else (call, lambda answer: answer)


def bad_tensors(good: Tensor, in_step: bool) -> dict:
    bad = {"text": "text", "None": None, "list of texts": ["a", "b"], "dict": {}, "function": len, "bool": True}
    bad |= {"complex": good.to(torch.complex128), "empty": good[:0] if good.ndim else "", "object": object()}
    if good.ndim:
        bad |= {
            "more axes": good[None, None, None],
            "one row": good[:1],
            "integers": good.long(),
            "scalar": good.flatten()[0],
        }
        bad |= {"half": good.half() if good.is_floating_point() else good.short()}
    if not in_step and good.is_floating_point():
        for value in (math.nan, math.inf, -math.inf):
            spoilt = good.clone()
            spoilt.view(-1)[0] = value
            bad[str(value)] = spoilt
    return bad


def bad_values(name: str, argument: str, good) -> dict:
    if isinstance(good, Tensor):
        return bad_tensors(good, name in STEPS)
    bad = {"text": "text", "dict": {}, "object": object()}
    if isinstance(good, bool | int | float):
        bad |= {"nan": math.nan, "infinite": math.inf, "negative": -1, "None": None, "list": [], "true": True}
        bad |= {"-infinite": -math.inf, "zero": 0, "tensor": torch.ones(2), "half": 1.5, "digits": "2"}
        if name in STEPS:  # levels and bandwidths by themselves; the levels of a run are looked at once
            bad = {kind: value for kind, value in bad.items() if "infinite" not in kind}
    elif isinstance(good, str):
        bad |= {"empty": "", "number": 3, "None": None, "bytes": b"x", "list": ["a"]}
    elif isinstance(good, list):
        bad |= {"digits": "12", "empty": [], "nan": [math.nan] * len(good), "number": 3, "texts": ["a"] * len(good)}
        bad |= {"None inside": [None] * len(good), "longer": [*good, good[0]]}
    elif callable(good):
        bad = {"text": "text", "number": 1.0, "None": None, "tensor": X}
    elif isinstance(good, torch.Generator):
        bad = {"text": "text", "number": 1, "None": None}
    return bad


def values_of(answer):
    """All numbers of an answer."""
    if isinstance(answer, Tensor):
        yield from answer.detach().flatten().tolist() if not answer.is_complex() else [math.nan]
    elif isinstance(answer, int | float):
        yield answer
    elif isinstance(answer, list | tuple):
        for one in answer:
            yield from values_of(one)
    elif isinstance(answer, GaussianStatistics):
        yield from answer.mean.tolist()
    elif isinstance(answer, Factors):
        yield from answer.x.tolist()


def called(name: str, arguments: dict):
    """The answer, and what the function it may be does with good input."""
    fn, then = function(name), example(name)[1]
    arguments = dict(arguments)
    positional = [arguments.pop(one.name) for one in inspect.signature(fn).parameters.values()
                  if one.kind is one.VAR_POSITIONAL and one.name in arguments]  # fmt: skip
    return then(fn(*positional, **arguments))


@pytest.mark.parametrize("name", CALLS)
def test_the_examples_are_valid(name):
    """Each example gives finite numbers, so that what a spoilt argument does is the argument's doing."""
    assert all(math.isfinite(value) for value in values_of(called(name, example(name)[0])))


def told(error: Exception, name: str, argument: str) -> bool:
    """Whether an error is ours: raised in the library, one sentence, naming the function, its class or the argument."""
    ours = "course_lib" in Path(traceback.extract_tb(error.__traceback__)[-1].filename).parts
    text = str(error)
    called = {"samplers.sample": "trajectory", "guidance.rbf": "squared_distances"}.get(name, argument)
    words = (
        [called]
        + [part for part in name.split(".")[1:] if part != "__call__"]
        + [
            argument,
            name.split(".")[0],
            "world",
            "Claim",
        ]
    )
    return ours and text.endswith(".") and "\n" not in text and any(word in text for word in words)


@pytest.mark.parametrize("name", CALLS)
def test_a_spoilt_argument_is_named_or_does_no_harm(name):
    """One argument after the other, one way after the other."""
    good, wrong = example(name)[0], []
    for argument in good:
        for kind, value in bad_values(name, argument, good[argument]).items():
            try:
                answer = called(name, {**good, argument: value})
            except (ValueError, FloatingPointError, FileNotFoundError, TypeError) as error:
                if not told(error, name, argument):
                    wrong.append(f"{argument} ({kind}): {type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001
                wrong.append(f"{argument} ({kind}): {type(error).__name__}: {error}")
            else:
                if not all(math.isfinite(one) for one in values_of(answer)):
                    wrong.append(f"{argument} ({kind}): not finite")
    assert not wrong, "\n".join(wrong)
