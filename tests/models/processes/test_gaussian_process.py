"""Gaussian processes: what may be asked of them at the edges, saving, data of all kinds, and sentences."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.process import Context
from pushforward.models.processes import (
    GaussianProcess,
    JointNormal,
    fit_marginal_likelihood,
    gaussian_process,
    oracle_for,
)
from pushforward.parts.data import Series, Table, gp_draws, sawtooth


def test_one_place_may_be_seen_twice_even_without_noise():
    x, y = torch.zeros(1, 3, 1), torch.full((1, 3, 1), 0.7)
    for noise in (0.0, 0.1):
        prediction = GaussianProcess("rbf", noise=noise).predict(
            Context.of(x, y), torch.tensor([[[0.0], [0.0], [1.0]]])
        )
        assert float(prediction.mean[0, 0].detach()) == pytest.approx(0.7, abs=0.01)
        assert prediction.sample((2,)).isfinite().all()
        assert prediction.log_prob(prediction.mean.detach()).isfinite().all()


def test_no_targets_no_points_and_one_point():
    process = GaussianProcess("matern52", 2, 3)
    one, none = torch.zeros(2, 1, 2), torch.zeros(2, 0, 2)
    for x in (one, none):
        context = Context.of(x, torch.ones(*x.shape[:2], 3))
        assert process.predict(context, torch.zeros(2, 4, 2)).sample().shape == (2, 4, 3)
        empty = process.predict(context, none)
        assert empty.sample().shape == (2, 0, 3)
        assert empty.log_prob(torch.zeros(2, 0, 3)).tolist() == [0, 0]
    assert process.predict(Context.of(none, torch.zeros(2, 0, 3)), one).stddev.flatten().tolist() == pytest.approx(
        [(1 + 0.05**2) ** 0.5] * 6
    )


def test_numbers_come_in_the_dtype_of_the_context_and_parameters_have_gradients():
    process = GaussianProcess("rbf")
    prediction = process.predict(Context.of(torch.zeros(1, 1, 1), torch.ones(1, 1, 1)), torch.ones(1, 2, 1))
    value = prediction.log_prob(torch.zeros(1, 2, 1))
    assert value.dtype == prediction.mean.dtype == prediction.stddev.dtype == torch.float32
    value.sum().backward()
    assert process.log_length_scale.grad is not None


def test_a_process_is_saved_with_what_it_learned(tmp_path):
    process = gaussian_process(sawtooth(2, points=8), kernel="rbf*periodic", restarts=1)
    pf.save(process, tmp_path / "gp")
    again = pf.load(tmp_path / "gp")
    context, at = sawtooth(2, points=5).context(), torch.zeros(2, 3, 1)
    torch.testing.assert_close(again.predict(context, at).mean, process.predict(context, at).mean)


def test_tables_and_series_may_be_fitted():
    torch.manual_seed(0)
    x = torch.rand(25, 1)
    table = Table.of(torch.cat([x, (6 * x).sin()], 1).numpy(), ["x", "y"]).given("x")
    for data in (table, Series.of(x[:, 0].sort().values, (6 * x.sort(0).values).sin()[None])):
        process = gaussian_process(data, restarts=1)
        at = torch.tensor([[[0.3], [0.6]]])
        prediction = process.predict(pf.processes.as_functions(data).context(), at)
        torch.testing.assert_close(prediction.mean, (6 * at).sin(), atol=0.05, rtol=0)


def test_a_fit_by_gradients_and_one_with_fixed_parameters():
    data = gp_draws("rbf(0.5)", 6, points=12)
    process = GaussianProcess("rbf", length_scale=1.0)
    loss = process.objective(process, data.take(torch.arange(6)), pf.RowGenerator(0, 6))
    before = -float(loss.value.detach())
    noise = process.log_noise.detach().clone()
    after = fit_marginal_likelihood(process, data, restarts=1, fixed=("log_noise", "log_variance"))
    assert after / 72 > before
    assert torch.equal(process.log_noise, noise)


def test_a_large_set_is_fitted_by_a_part_of_it():
    process = gaussian_process(gp_draws("rbf(0.5)", 300, points=6, noise=0.1), restarts=1)
    assert 0.3 < float(process.kernel[0].factors[0].length_scale.detach()) < 0.8


def test_inducing_points_begin_at_points_and_move():
    data = gp_draws("rbf(0.4)", 1, points=60, noise=0.1)
    process = gaussian_process(data, inducing=6, restarts=0)
    start = process.inducing.detach().clone()
    assert all(any(torch.isclose(own, x.double()) for x in data.x[0]) for own in start)
    fit_marginal_likelihood(process, data, restarts=1, steps=10)
    assert not torch.allclose(process.inducing, start)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: GaussianProcess("rbff"), ConfigError, "expected kernels among rbf"),
        (lambda: GaussianProcess(noise=-1), ConfigError, "noise 0 or more"),
        (lambda: GaussianProcess(noise=0, inducing=3), ConfigError, "more than 0 with inducing"),
        (lambda: gaussian_process(sawtooth(1, points=30), most_points=20), DataError, "got 30; set inducing=50"),
        (lambda: gaussian_process(Table.of([[1.0, 2.0]])), DataError, r"expected a table with given columns"),
        (lambda: oracle_for("sines"), ConfigError, "expected one of gp_rbf, .* got 'sines'"),
        (lambda: fit_marginal_likelihood(GaussianProcess(), sawtooth(1), fixed=("noise",)), ConfigError, "got 3, 200 and noise"),
        (lambda: _predict(torch.zeros(1, 2, 2), torch.zeros(1, 1, 1)), ShapeError, r"expected a context of x \(n, points, 1\)"),
        (lambda: _predict(torch.zeros(1, 2, 1), torch.zeros(2, 1, 1)), ShapeError, r"expected x_target of shape \(1, targets, 1\)"),
        (lambda: JointNormal(torch.zeros(1, 2, 1), torch.eye(2)[None], torch.ones(1)).log_prob(torch.zeros(1, 3, 1)),
         ShapeError, r"expected values of shape \(1, 2, 1\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def _predict(x, at):
    return GaussianProcess().predict(Context.of(x, torch.zeros(1, 2, 1)), at)


def test_functions_of_no_gaussian_process_have_no_oracle():
    assert oracle_for(sawtooth(2)) is None
