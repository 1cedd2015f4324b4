"""LoRA on any module, prior preservation, the gated manifold term, early stopping."""

import copy
import math

import pytest
import torch
from torch import nn

from course_lib.denoisers import MLPDenoiser
from course_lib.training import (
    add_deltas,
    add_lora,
    early_stopped,
    lora_deltas,
    manifold_loss,
    preserving,
    train,
)

TARGETS = ["first", "hidden.0", "hidden.1"]


@pytest.fixture
def net():
    before = torch.random.get_rng_state()
    torch.manual_seed(0)
    made = MLPDenoiser(2, width=32, labels=2).double()
    torch.random.set_rng_state(before)
    return made


@pytest.fixture
def x(g):
    return torch.randn(9, 2, generator=g, dtype=torch.float64)


def adapted(net, g, rank=3, scale=2.0):
    """A copy with an adapter whose B is no longer zero."""
    net = copy.deepcopy(net)
    for parameter in add_lora(net, rank, TARGETS, scale):
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=g).to(parameter)
    return net


def test_an_adapter_changes_nothing_at_first_and_freezes_the_rest(net, x):
    before = net(x, 0.5).detach()
    parameters = add_lora(net, 4, TARGETS)
    assert torch.equal(net(x, 0.5), before)
    assert {id(p) for p in net.parameters() if p.requires_grad} == {id(p) for p in parameters}
    assert sum(p.numel() for p in parameters) == 4 * (3 + 32) + 2 * 4 * (32 + 32)


def test_the_delta_is_scale_b_a_of_the_rank(net, g):
    net = adapted(net, g, rank=3, scale=2.0)
    deltas = lora_deltas(net)
    assert list(deltas) == TARGETS
    layer = net.hidden[0]
    by_hand = 2.0 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(deltas["hidden.0"], by_hand.detach())
    assert torch.linalg.matrix_rank(deltas["hidden.0"]) == 3
    assert (deltas["hidden.0"] != 0).all()  # low rank is not sparse


def test_only_the_targets_are_adapted(net):
    add_lora(net, 2, ["last"])
    assert list(lora_deltas(net)) == ["last"]


def test_dropout_acts_while_training_only(net, x):
    parameters = add_lora(net, 4, TARGETS, dropout=0.5)
    for parameter in parameters:
        parameter.data += 0.3
    net.train()
    assert not torch.equal(net(x, 0.5), net(x, 0.5))
    net.eval()
    assert torch.equal(net(x, 0.5), net(x, 0.5))


def test_merged_it_is_the_same_function(net, x, g):
    tuned, merged = adapted(net, g, rank=3, scale=2.0), copy.deepcopy(net)
    add_deltas(merged, lora_deltas(tuned))
    torch.testing.assert_close(merged(x, 0.5), tuned(x, 0.5), atol=1e-6, rtol=0)
    assert not torch.allclose(net(x, 0.5), tuned(x, 0.5), atol=1e-3)


def test_a_share_of_a_delta_is_the_adapter_at_that_strength(net, x, g):
    tuned, half = adapted(net, g, scale=2.0), copy.deepcopy(net)
    add_deltas(half, lora_deltas(tuned), share=0.5)
    for layer in (tuned.first, *tuned.hidden):
        layer.scaling["default"] = 1.0
    torch.testing.assert_close(half(x, 0.5), tuned(x, 0.5), atol=1e-12, rtol=0)


def test_averaging_deltas_is_not_averaging_factors(net, g):
    """The mean of two products against the product of two means, in which cross terms appear."""
    a, b = adapted(net, g), adapted(net, g)
    mean = {name: (delta + lora_deltas(b)[name]) / 2 for name, delta in lora_deltas(a).items()}
    merged = copy.deepcopy(net)
    for tuned in (a, b):
        add_deltas(merged, lora_deltas(tuned), share=0.5)
    torch.testing.assert_close(merged.hidden[0].weight - net.hidden[0].weight, mean["hidden.0"])
    factors = [(t.hidden[0].lora_B["default"].weight, t.hidden[0].lora_A["default"].weight) for t in (a, b)]
    apart = 2.0 * (factors[0][0] + factors[1][0]) / 2 @ (factors[0][1] + factors[1][1]) / 2
    assert (apart - mean["hidden.0"]).norm() > 0.3 * mean["hidden.0"].norm()


def test_preserving_adds_the_prior():
    loss = preserving(lambda batch: 2 * batch, lambda batch: 3 * batch, lam=0.5)
    assert loss((torch.tensor(1.0), torch.tensor(10.0))) == 2 + 0.5 * 30
    assert preserving(lambda b: b, lambda b: b, 0.0)((torch.tensor(1.0), torch.tensor(9.0))) == 1


def test_manifold_loss_by_hand_and_its_gate(g):
    x0, eps = torch.randn(2, 6, 2, generator=g, dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.2, 0.5, 1.0, 2.0, 4.0], dtype=torch.float64)[:, None]
    D = lambda x, sigma: x / (1 + sigma)  # noqa: E731
    estimate = D(x0 + sigma * eps, sigma)
    distance2 = lambda points: points.square().sum(1)  # noqa: E731
    errors = (estimate - x0).square().sum(1)
    torch.testing.assert_close(
        manifold_loss(D, x0, sigma, eps, distance2, 3.0), (errors + 3 * distance2(estimate)).mean()
    )
    gated = errors + 3 * distance2(estimate) * torch.tensor([1, 1, 0, 0, 0, 0])
    torch.testing.assert_close(manifold_loss(D, x0, sigma, eps, distance2, 3.0, gate=0.5), gated.mean())


def test_early_stopping_keeps_the_lowest_and_ends():
    values, kept = iter([3.0, 2.0, 2.5, 2.4, 1.0]), []
    seen = list(early_stopped(range(100), lambda: next(values), 10, 2, lambda: kept.append(len(kept))))
    assert len(seen) == 40
    assert [value for _, value in seen if value is not None] == [3.0, 2.0, 2.5, 2.4]
    assert len(kept) == 2
    assert len(list(early_stopped(range(25), lambda: 1.0, 10, 9, lambda: None))) == 25


def test_weight_decay_shrinks_what_the_loss_does_not_want():
    weights = []
    for decay in (0.0, 0.5):
        p = nn.Parameter(torch.ones(1))
        list(train(lambda _, p=p: 0 * p.sum(), [p], range(10), lr=0.1, decay=decay))
        weights.append(p.item())
    assert weights == [1.0, pytest.approx(0.95**10)]


class Attention(nn.Module):
    """Layers called as in a UNet."""

    def __init__(self):
        super().__init__()
        self.to_q, self.to_v = nn.Linear(4, 4), nn.Linear(4, 4)
        self.to_out = nn.ModuleList([nn.Linear(4, 4)])
        self.conv = nn.Conv2d(4, 4, 3)


@pytest.mark.parametrize("targets", ["to_q", {"to_q"}, ("to_q",), (name for name in ["to_q"])])
def test_targets_are_one_name_or_any_collection_of_names(targets):
    module = Attention()
    assert len(add_lora(module, 2, targets)) == 2
    assert list(lora_deltas(module)) == ["to_q"]


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (["to_q", "to_vv"], "no layer's name ends in to_vv;"),
        (["q"], "no layer's name ends in q;"),  # a part of a name
        ([], "at least one"),
        ([""], "at least one"),
        ([3], "must be names of layers"),
        (["conv"], "only linear layers take an adapter, but conv is of kind Conv2d"),
        (["to_out"], "to_out is of kind ModuleList"),
        (["to_q", "conv"], "of kind Conv2d"),
    ],
)
def test_targets_that_do_not_fit_are_named_and_nothing_changes(targets, sentence):
    module = Attention()
    with pytest.raises(ValueError, match=sentence):
        add_lora(module, 2, targets)
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not any("lora" in name for name, _ in module.named_modules())


def test_a_second_adapter_is_refused_and_the_first_one_kept(net, g):
    tuned = adapted(net, g)
    before = lora_deltas(tuned)
    for targets in (TARGETS, ["last"]):
        with pytest.raises(ValueError, match="has an adapter on first and 2 more, which a second one would replace"):
            add_lora(tuned, 2, targets)
    assert all(torch.equal(before[name], delta) for name, delta in lora_deltas(tuned).items())
    assert list(before) == TARGETS


@pytest.mark.parametrize("rank", [0, -1, 2.0, True, "2", None, math.nan])
def test_a_rank_that_is_no_whole_number_is_refused(rank):
    with pytest.raises(ValueError, match=r"whole rank >= 1 and a finite scale > 0, got rank ="):
        add_lora(MLPDenoiser(), rank, ["first"])


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, "1"])
def test_a_scale_that_is_no_positive_number_is_refused(scale):
    with pytest.raises(ValueError, match="a finite scale > 0, got rank = 1, scale ="):
        add_lora(MLPDenoiser(), 1, ["first"], scale)
    with pytest.raises(ValueError, match="share from 0 to below 1"):
        add_lora(MLPDenoiser(), 1, ["first"], dropout=1.0)


def test_an_adapter_of_any_name_is_read_and_two_on_one_layer_are_refused(net):
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=2, target_modules=["first"], init_lora_weights=False)
    inject_adapter_in_model(config, net, adapter_name="friend")
    assert lora_deltas(net)["first"].abs().max() > 0
    inject_adapter_in_model(config, net, adapter_name="other")
    with pytest.raises(ValueError, match=r"needs one adapter on each layer, got \['friend', 'other'\]"):
        lora_deltas(net)


def test_deltas_are_added_all_or_none(net, g):
    deltas, before = lora_deltas(adapted(net, g)), net.first.weight.clone()
    with pytest.raises(ValueError, match="no layer nowhere with weights"):
        add_deltas(net, {**deltas, "nowhere": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match="share must be a finite number, got nan"):
        add_deltas(net, deltas, math.nan)
    assert torch.equal(net.first.weight, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_on_a_half_the_adapter_is_float32_and_what_it_adds_is_rounded_once(net, g, dtype):
    half = copy.deepcopy(net).to(dtype)
    parameters = add_lora(half, 2, TARGETS)
    assert {p.dtype for p in parameters} == {torch.float32}
    for p in parameters:
        p.data += 0.3 * torch.randn(p.shape, generator=g)
    deltas, merged = lora_deltas(half), copy.deepcopy(net).to(dtype)
    assert deltas["first"].dtype == torch.float32
    add_deltas(merged, deltas)
    exact = (net.first.weight.to(dtype).float() + deltas["first"]).to(dtype)
    assert torch.equal(merged.first.weight, exact)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: lora_deltas(MLPDenoiser()), "has no adapter"),
        (lambda: add_deltas(MLPDenoiser(), {"first": torch.zeros(2, 2)}), "no layer first with weights"),
        (lambda: preserving(None, None, -1.0), "must not be negative"),
        (lambda: preserving(None, None, math.nan), "must not be negative"),
        (lambda: list(early_stopped([], None, 0, 1, None)), "must be at least 1"),
    ],
)
def test_bad_input_gets_a_sentence(made, sentence):
    with pytest.raises(ValueError, match=sentence):
        made()
