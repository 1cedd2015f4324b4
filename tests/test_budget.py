"""Costs by shapes alone: what is counted, and that full size fits where the course says it does."""

import gc

import pytest
import torch
from torch import nn

from course_lib.tools import budget
from course_lib.tools.precompute import sd2_budget

GB = 1e9


@pytest.fixture(scope="module")
def rows():
    return list(sd2_budget.rows())


def one(rows, method, pictures, saving, levels):
    (row,) = [row for row in rows if row[:4] == (method, pictures, saving, levels)]
    return row


def test_peak_counts_each_storage_once_and_what_is_freed_no_more():
    x = torch.empty(1000, device="meta")

    def work():
        a = x + 1  # 4,000 bytes
        b = a.reshape(10, 100).T  # a view: nothing
        del a
        c = b * 2  # 8,000 alive
        del b
        return c + 1  # the first is gone: 8,000 again

    assert budget.cost(work) == budget.Cost(8000, 0)


def test_work_counts_two_operations_a_product_and_gradients_too():
    net, x = nn.Linear(30, 20, bias=False, device="meta"), torch.empty(5, 30, device="meta")
    assert budget.cost(lambda: net(x).sum().backward()).work == 2 * 2 * 5 * 30 * 20


def test_values_that_are_asked_for_are_finite_and_flags_of_zeros_are_down():
    with budget.Peak():
        x = torch.empty(3, 4, device="meta")
        assert x.isfinite().all()
        stopped = torch.zeros(3, dtype=torch.bool, device="meta")
        assert not stopped.all()
        assert not (stopped | torch.zeros_like(stopped)).any()
        assert torch.linspace(2, 1, 3).to("meta").tolist() == [2, 1.5, 1]  # noise levels keep their values


def test_networks_have_the_published_sizes():
    made = {budget.unet: 865.9, budget.autoencoder: 83.7, budget.text_encoder: 340.4, budget.picture_encoder: 632.1}
    for make, millions in made.items():
        net = make()
        assert round(sum(one.numel() for one in net.parameters()) / 1e6, 1) == millions
        assert {one.dtype for one in net.parameters()} == {torch.half}


def test_seedselect_fits_in_14_gb_and_does_not_grow_with_its_levels(rows):
    few = one(rows, "SeedSelect", 1, "levels and decoder", 2)
    gc.collect()
    short = budget.cost(few.call)
    with budget.Peak() as long:
        one(rows, "SeedSelect", 1, "levels and decoder", 5).call()
    assert budget.weights(*few.networks) + long.peak < 14 * GB
    assert short.peak <= long.peak < 1.02 * short.peak


def test_chunks_bound_the_memory_of_a_repelled_set(rows):
    four, chunked = (one(rows, "repulsion by thirds", n, saving, 2) for n, saving in ((4, "none"), (16, "chunks of 4")))
    costs = [budget.cost(row.call) for row in (four, chunked)]
    assert costs[0].peak <= costs[1].peak < 1.05 * costs[0].peak
    assert costs[1].work == pytest.approx(4 * costs[0].work, rel=1e-6)


def test_a_step_of_an_adapter_is_cheaper_with_blocks_computed_again(rows):
    plain, again = (budget.cost(one(rows, "LoRA", 1, saving, 1).call) for saving in ("none", "blocks"))
    assert again.peak < 0.7 * plain.peak
    assert again.work > plain.work
