"""`Residual`: what it refuses, and what it reports."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError
from pushforward.parts.numerics import log_det_series, log_det_unbiased


def test_settings_that_are_not_there_are_refused():
    network = pf.nn.ContractiveMLP(2)
    with pytest.raises(ConfigError, match="log_det among"):
        pf.bijections.Residual(network, log_det="guess")
    with pytest.raises(ConfigError, match="1 term"):
        pf.bijections.Residual(network, "unbiased", terms=0)


def test_estimates_are_passed_on_by_chains_and_inverses():
    part = pf.bijections.Residual(pf.nn.ContractiveMLP(2), "series")
    exact = pf.bijections.Residual(pf.nn.ContractiveMLP(2))
    chain = pf.bijections.Chain([exact, pf.bijections.Inverse(part)])
    assert (part.log_det_kind, exact.log_det_kind, chain.log_det_kind) == ("estimate", "exact", "estimate")
    assert chain.inverse_kind == "iterative"


def test_series_need_terms_and_probes():
    x = torch.zeros(3, 2)
    with pytest.raises(pf.UserError, match="at least 1 term"):
        log_det_series(torch.tanh, x, torch.ones(1, 3, 2), 0)
    with pytest.raises(pf.UserError, match="probes of shape"):
        log_det_series(torch.tanh, x, torch.ones(0, 3, 2), 2)
    with pytest.raises(pf.UserError, match="stop"):
        log_det_unbiased(torch.tanh, x, torch.ones(1, 3, 2), torch.rand(1, 3), stop=1.0)


@pytest.mark.parametrize("log_det", ["exact", "auto", "unbiased", "series"])
@pytest.mark.parametrize("training", [False, True])
def test_no_rows_and_inference_mode(log_det, training):
    part = pf.bijections.Residual(pf.nn.ContractiveMLP(3, hidden=[8]), log_det).train(training)
    x, total = part.forward(torch.empty(0, 3))
    assert x.shape == (0, 3)
    assert total.shape == (0,)
    assert part.inverse(x)[0].shape == (0, 3)
    with torch.inference_mode():
        z = torch.randn(4, 3)
        torch.testing.assert_close(part.inverse(part.forward(z)[0])[0], z, rtol=1e-4, atol=1e-5)
    part.forward(torch.randn(4, 3))[1].sum().backward()  # what inference mode kept can be used in a graph
