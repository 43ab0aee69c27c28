"""Edges of the kernels with a correction, of their warm-up and of `Chains`; what they sample is in `tests/laws/test_mcmc.py`."""

import sys
from types import SimpleNamespace

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, ShapeError, UserError
from pushforward.core.kernel import Info, State
from pushforward.core.random import RowGenerator

NORMAL = pf.distributions.Gaussian.standard(2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pf.inference.MALA(NORMAL, 0.0), "positive step_size"),
        (lambda: pf.inference.HMC(NORMAL, 0.1, steps=0), "leapfrog step"),
        (lambda: pf.inference.HMC(NORMAL, 0.1, inverse_mass=[1.0, -1.0]), "inverse_mass"),
        (lambda: pf.inference.NUTS(NORMAL, 0.1, max_depth=0), "max_depth"),
        (lambda: pf.inference.ParallelTempering(pf.inference.MALA(NORMAL, 0.1), [2.0, 1.0]), "rise from 1"),
        (lambda: pf.inference.warm_up(pf.inference.Langevin(NORMAL, 0.1), torch.zeros(2, 2)), "to tune"),
        (lambda: pf.inference.sample_chains(pf.inference.MALA(NORMAL, 0.1), 0), "at least 1 draw"),
    ],
)
def test_impossible_settings_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_plain_function_needs_a_start_and_a_log_density_a_row():
    with pytest.raises(UserError, match="expected a start"):
        pf.inference.sample_chains(pf.inference.MALA(lambda x: -x.square().sum(1), 0.1), 5)
    with pytest.raises(UserError, match="one number a chain"):
        pf.inference.MALA(lambda x: -x.square(), 0.1).init(torch.zeros(3, 2))


def test_a_wrong_gradient_that_accepts_nothing_is_told():
    class Cliff(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.where((x == 0).all(1), 0.0, -1e9)

        @staticmethod
        def backward(ctx, grad):
            return torch.zeros(len(grad), 2)

    with pytest.raises(UserError, match="got none in 3 chains"):
        pf.inference.warm_up(pf.inference.MALA(Cliff.apply, 0.1), torch.zeros(3, 2), steps=10)


def test_events_of_any_shape_and_a_table_that_names_them():
    found = pf.inference.sample_chains(
        pf.inference.HMC(lambda x: -x.square().sum((1, 2)) / 2, 0.5, steps=4), 40, start=torch.randn(6, 2, 3), warm_up=0
    )
    assert found.draws.shape == (6, 40, 2, 3)
    table = str(found.summary())
    assert "x[1, 2]" in table
    assert "6 chains of 40 draws" in table
    assert found.energies.isfinite().all()


def test_an_interrupt_returns_what_is_there():
    def stop(state: State, info: Info) -> None:
        if state.step == 101:
            raise KeyboardInterrupt

    found = pf.inference.sample_chains(pf.inference.HMC(NORMAL, 0.5, 3), 200, chains=5, warm_up=0, callback=stop)
    assert found.interrupted
    assert found.draws.shape == (5, 100, 2)


def test_too_few_draws_for_a_diagnostic():
    with pytest.raises(ShapeError, match="at least 4 a chain"):
        pf.inference.split_r_hat(torch.zeros(2, 3))


@pytest.mark.filterwarnings("ignore:R-hat")  # six draws agree on nothing
def test_arviz_is_given_chains_first_and_asked_for_where_it_is_missing(monkeypatch):
    found = pf.inference.sample_chains(pf.inference.HMC(NORMAL, 0.5, 3), 6, chains=3, warm_up=0)
    monkeypatch.setitem(sys.modules, "arviz", SimpleNamespace(from_dict=lambda **groups: groups))
    groups = found.to_arviz()
    assert groups["posterior"]["x"].shape == (3, 6, 2)
    assert groups["sample_stats"]["energy"].shape == (3, 6)
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ConfigError, match="arviz"):
        found.to_arviz()


def test_a_chain_that_leaves_the_numbers_is_refused_and_the_others_go_on():
    walled = {
        "HMC": pf.inference.HMC(lambda x: x.log().sum(1) - x.sum(1), 0.4, steps=6, jitter=0.0),
        "NUTS": pf.inference.NUTS(lambda x: x.log().sum(1) - x.sum(1), 0.4),
    }
    start = torch.linspace(0.05, 4, 40, dtype=torch.float64)[:, None]
    for kernel in walled.values():
        state = kernel.init(start)
        refused = 0
        for _ in range(10):
            state, info = kernel.step(state, RowGenerator(0, 40).fork(state.step))
            refused += int(info.values["divergent"].sum())
            assert (state.x > 0).all()
            assert all(v.isfinite().all() for v in info.values.values())
        assert refused > 0


def test_tempering_is_tuned_by_its_kernel_and_gives_chains():
    ladder = pf.inference.ParallelTempering(pf.inference.MALA(NORMAL, 0.01), [1.0, 2.0])
    found = pf.inference.sample_chains(ladder, 150, chains=8, warm_up=40, generator=torch.Generator().manual_seed(0))
    assert float(found.kernel.kernel.step_size) > 0.2
    assert found.draws.shape == (8, 150, 2)
