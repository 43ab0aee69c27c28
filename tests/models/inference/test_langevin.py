"""Edges of `Langevin`; what it samples is certified in `tests/laws/test_langevin.py`."""

import torch

import pushforward as pf
from pushforward.core.random import RowGenerator


def test_it_runs_where_gradients_are_off_and_keeps_none():
    kernel = pf.inference.Langevin(pf.distributions.Gaussian(torch.zeros(2), torch.ones(2), learn=True), 0.1)
    with torch.no_grad():
        quiet = kernel.run(torch.ones(3, 2), 2, RowGenerator(0, 3)).x
    loud = kernel.run(torch.ones(3, 2), 2, RowGenerator(0, 3)).x
    assert torch.equal(quiet, loud)
    assert not loud.requires_grad


def test_the_same_state_and_generator_give_the_same_next_state():
    kernel = pf.inference.Langevin(pf.distributions.Gaussian.standard(2), 0.1)
    state = kernel.init(torch.ones(3, 2))
    one, other = (kernel.step(state, RowGenerator(1, 3))[0].x for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(state.x, torch.ones(3, 2))
