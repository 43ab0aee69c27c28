"""Batches that fit in memory cover every row once, in order."""

import pytest
import torch
from torch import nn

from pushforward.core import batching


@pytest.mark.parametrize(("total", "size"), [(0, 3), (1, 3), (3, 3), (10, 3), (10, 1), (10, 100)])
def test_chunks_cover_the_range_in_order(total, size):
    pairs = list(batching.chunks(total, size))
    assert [row for a, b in pairs for row in range(a, b)] == list(range(total))
    assert all(0 < b - a <= size for a, b in pairs)


@pytest.mark.parametrize("size", [1, 3, 10, 11])
def test_in_chunks_equals_one_call_and_passes_absent_arguments_on(size):
    sizes = []

    def function(a, b, c):
        assert b is None
        sizes.append(len(a))
        return a + c

    a, c = torch.randn(10, 2), torch.randn(10, 2)
    assert torch.equal(batching.in_chunks(function, size, a, None, c), a + c)
    assert max(sizes) == min(size, 10)
    assert sum(sizes) == 10


def test_no_rows_are_one_empty_call():
    assert batching.in_chunks(lambda a: a.sum(1), 5, torch.zeros(0, 3)).shape == (0,)


def test_the_memory_budget_is_positive_and_at_most_one_gibibyte():
    assert 0 < batching.memory_budget(torch.device("cpu")) <= 1 << 30


def test_the_widest_output_is_found_and_hooks_are_removed():
    net = nn.Sequential(nn.Linear(2, 50), nn.ReLU(), nn.Linear(50, 3))
    assert batching.widest_output(net, lambda: net(torch.zeros(1, 2))) == 50

    def fails():
        raise RuntimeError("probe")

    with pytest.raises(RuntimeError, match="probe"):
        batching.widest_output(net, fails)
    assert all(not part._forward_hooks for part in net.modules())


def test_fewer_rows_fit_when_events_are_wider_or_memory_is_short(monkeypatch):
    module = nn.Identity()
    monkeypatch.setattr(batching, "memory_budget", lambda device: 128 * 1000)
    assert batching.rows_that_fit(module, 10) == 64
    assert batching.rows_that_fit(module, 1) == 512
    assert batching.rows_that_fit(module, 10**9) == 1
    wide = nn.Linear(1, 500)
    assert batching.rows_that_fit(wide, 1, lambda: wide(torch.zeros(1, 1))) == 2
    monkeypatch.setattr(batching, "memory_budget", lambda device: 1 << 60)
    assert batching.rows_that_fit(module, 1) == 65536
    assert batching.rows_that_fit(module, 1000) == 512, "what the cache of a processor holds"
    assert batching.rows_that_fit(module, 10**6) == 64


def test_a_shape_is_counted():
    assert batching.count(torch.Size((2, 3))) == 6
    assert batching.count(torch.Size(())) == 1
