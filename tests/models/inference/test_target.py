"""Targets, modes and approximate posteriors: what they take, and what they say when it does not fit."""

import math

import pytest
import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, ConvergenceError, ShapeError, UserError
from pushforward.models.inference import (
    Target,
    fit_posterior,
    full_rank,
    map_estimate,
    mean_field,
    pareto_smoothed,
    posterior_report,
)
from pushforward.parts.distributions import Gaussian, Mixture


def flat(theta: dict[str, Tensor]) -> Tensor:
    return -sum((v.reshape(len(v), -1).square().sum(1) for v in theta.values()), torch.zeros(()))


def test_values_land_in_their_supports_and_come_back():
    spec = {
        "a": ("interval", 1, 3, (2, 2)),
        "b": ("simplex", (2, 3)),
        "c": ("ordered", 3),
        "d": ("correlation_cholesky", 3),
    }
    target = Target(flat, spec)
    assert target.features == 4 + 4 + 3 + 3
    z = torch.randn(2, 5, 14)
    theta = target.constrain(z)
    assert theta["a"].shape == (2, 5, 2, 2)
    assert ((theta["a"] > 1) & (theta["a"] < 3)).all()
    torch.testing.assert_close(theta["b"].sum(-1), torch.ones(2, 5, 2))
    assert (theta["c"].diff(dim=-1) > 0).all()
    torch.testing.assert_close((theta["d"] @ theta["d"].mT).diagonal(dim1=-2, dim2=-1), torch.ones(2, 5, 3))
    torch.testing.assert_close(target.unconstrain(theta), z, rtol=1e-3, atol=1e-3)
    assert target(z).shape == (2, 5)
    assert target(z).dtype == torch.float32
    assert target.unconstrain({**theta, "a": torch.full((2, 2), 2.0)}).shape == (2, 5, 14)  # one start for all rows


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonnegative", "expected a support among real, positive"),
        (("interval", 2, 1), "low < high"),
        ("simplex", "expected a shape for x, which is simplex"),
        (("simplex", 1), "expected a shape for x, which is simplex"),
        (("real", 2, 3), "one shape"),
    ],
)
def test_a_support_that_cannot_be_is_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        Target(flat, {"x": spec})


def test_mistakes_of_a_target_are_said():
    target = Target(flat, {"x": "positive", "y": ("real", 2)})
    with pytest.raises(ShapeError, match="expected z of shape"):
        target(torch.zeros(4, 2))
    with pytest.raises(UserError, match="expected values for x, y, got x"):
        target.unconstrain({"x": torch.ones(1)})
    with pytest.raises(UserError, match="expected x inside its support"):
        target.unconstrain({"x": -1.0, "y": [0.0, 1.0]})
    with pytest.raises(UserError, match=r"expected log_joint to return \(3,\).*got \(3, 2\)"):
        Target(lambda t: t["y"], {"y": ("real", 2)})(torch.zeros(3, 2))
    with pytest.raises(ConfigError, match="at least one parameter"):
        Target(flat, {})
    with pytest.raises(ConfigError, match="data and batch_size together"):
        Target(flat, {"x": "real"}, data=torch.zeros(3))
    with pytest.raises(ConfigError, match="batch_size from 1 to 3"):
        Target(flat, {"x": "real"}, data=torch.zeros(3), batch_size=4)
    with pytest.raises(ShapeError, match="one number of rows"):
        Target(flat, {"x": "real"}, data=[torch.zeros(3), torch.zeros(4)], batch_size=2)


def test_minibatches_of_a_dict_keep_rows_together_and_depend_on_the_seed():
    seen = []

    def log_joint(theta: dict[str, Tensor], batch: dict[str, Tensor], scale: float) -> Tensor:
        seen.append((batch, scale))
        return torch.zeros(len(theta["x"]))

    rows = torch.arange(10.0)
    target = Target(log_joint, {"x": "real"}, data={"a": rows, "b": rows[:, None] * 2}, batch_size=4)
    for seed in (1, 1, 2):
        target.minibatch(seed)(torch.zeros(1, 1))
    target(torch.zeros(1, 1))
    (first, scale), (again, _), (other, _), (everything, one) = seen
    assert scale == 2.5
    assert one == 1
    assert torch.equal(first["a"] * 2, first["b"][:, 0])
    assert torch.equal(first["a"], again["a"])
    assert not torch.equal(first["a"], other["a"])
    assert len(everything["a"]) == 10


def test_a_mode_that_is_not_there_is_missed_aloud():
    with pytest.raises(ConvergenceError, match="expected a mode, but"):
        map_estimate(lambda z: z.sum(1), features=2, most_steps=5)
    with pytest.raises(ConfigError, match="features or a start"):
        map_estimate(lambda z: -z.square().sum(1))
    with pytest.raises(ConfigError, match="expected a Target for jacobian=False"):
        map_estimate(lambda z: -z.square().sum(1), features=1, jacobian=False)


def test_of_several_starts_the_best_mode_is_kept():
    bumps = Mixture(torch.tensor([0.2, 0.8]), [Gaussian(torch.tensor([m]), torch.tensor([0.5])) for m in (-3.0, 3.0)])
    assert float(map_estimate(bumps, torch.tensor([-2.5])).z) == pytest.approx(-3, abs=1e-3)
    assert float(map_estimate(bumps, torch.tensor([[-2.5], [2.5]])).z) == pytest.approx(3, abs=1e-3)


def normal(z: Tensor) -> Tensor:
    return -z.square().sum(1) / 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradient": "reinforce"}, "expected gradient path, stl, score"),
        ({"gradient": "score", "bound": "iwae"}, "expected gradient path or stl for bound 'iwae'"),
        ({"gradient": "score", "draws": 1}, "at least 2 draws"),
        ({"steps": 0}, "at least 1 step"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        fit_posterior(mean_field(2), normal, **{"steps": 1, **settings})


def test_posteriors_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="with parameters to fit"):
        fit_posterior(Gaussian.standard(2), normal, steps=1)
    with pytest.raises(ConfigError, match="expected 3 features, as the target has, got 2"):
        fit_posterior(mean_field(2), Gaussian.standard(3), steps=1)
    with pytest.raises(ConfigError, match="whose draws carry no gradients"):
        fit_posterior(Mixture(torch.ones(1), [mean_field(2)]), normal, steps=1)
    with pytest.raises(ConfigError, match="over vectors"):
        fit_posterior(Gaussian(torch.zeros(2, 2), torch.ones(2, 2), learn=True), normal, steps=1)


def test_a_bound_that_is_not_finite_stops_the_fit():
    with pytest.raises(UserError, match="expected a finite elbo, got"):
        fit_posterior(
            mean_field(1),
            lambda z: torch.where(z[:, 0] < 20, z[:, 0], math.nan),
            steps=60,
            learning_rate=1.0,
            log_every=20,
        )


def test_the_same_seed_gives_the_same_fit_and_a_mixture_fits_by_its_score():
    first, second = full_rank(2), full_rank(2)
    records = [fit_posterior(q, normal, steps=20, log_every=7).records for q in (first, second)]
    assert records[0] == records[1]
    assert [r["step"] for r in records[0]] == [7, 14, 20]
    assert torch.equal(first.loc, second.loc)
    mixture = Mixture(torch.tensor([0.5, 0.5]), [mean_field(1), mean_field(1, scale=2.0)], learn=True)
    before = mixture.weights.tolist()
    fit_posterior(mixture, normal, steps=40, gradient="score", learning_rate=0.05)
    assert mixture.weights[0] > before[0]


def test_weights_beyond_repair_are_called_so():
    degenerate = pareto_smoothed(torch.cat([torch.tensor([0.0]), torch.full((99,), -2000.0)]))
    assert degenerate.k_hat == math.inf
    assert "unusable" in degenerate.verdict
    alike = pareto_smoothed(torch.full((100,), 3.0))
    assert alike.reliable
    assert "alike" in alike.verdict
    assert alike.effective == pytest.approx(100)
    outside = pareto_smoothed(torch.cat([torch.randn(200) / 5, torch.tensor([-math.inf])]))
    assert outside.log_weights[-1] == -math.inf
    with pytest.raises(UserError, match="at least 25 log ratios"):
        pareto_smoothed(torch.zeros(10))
    with pytest.raises(UserError, match="with 1 NaN"):
        pareto_smoothed(torch.tensor([0.0] * 30 + [math.nan]))


def test_a_report_speaks_of_bounds_and_never_of_a_likelihood():
    target = Target(flat, {"tau": "positive", "theta": ("real", 2)})
    text = str(posterior_report(full_rank(target), target, draws=200))
    assert "lower bound" in text
    assert "likelihood" not in text
    assert "theta[1]" in text
    assert "tau" in text
    with pytest.raises(ConfigError, match="two groups of 50, got 60"):
        posterior_report(full_rank(target), target, draws=60)
