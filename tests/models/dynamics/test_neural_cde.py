"""Neural CDE: units, gaps, edge cases, errors, and that it learns."""

import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.random import RowGenerator
from pushforward.models.dynamics.control_field import fixed_path
from pushforward.parts.data import Series, SeriesBatch


def spirals(n: int = 64, instants: int = 12) -> Series:
    """Which way round a circle goes, seen at irregular instants: neither channel alone tells."""
    random = torch.Generator().manual_seed(0)
    t = torch.rand(n, instants, generator=random).sort(1).values
    labels = torch.arange(n) % 2
    angle = 4 * t * (2 * labels[:, None] - 1) + 6 * torch.rand(n, 1, generator=random)
    return Series.of(t, torch.stack([angle.cos(), angle.sin()], -1), labels=labels)


def test_it_learns_which_way_a_circle_turns():
    data = spirals().dropped(0.3)
    model = pf.dynamics.neural_cde(data, hidden=8, width=16, layers=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    batch = data.take(torch.arange(len(data)))
    for step in range(60):
        loss = model.objective(model, batch, RowGenerator(step, len(data)))
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
    with torch.no_grad():
        assert float((model.predict(batch).probs.argmax(1) == batch.labels).double().mean()) > 0.9


def test_units_of_time_and_data_do_not_matter():
    data = spirals(16)
    other = Series(60 * data.t - 7, 1000 * data.x + 5, data.observed, data.labels, data.channel_names)
    first, second = pf.dynamics.neural_cde(data), pf.dynamics.neural_cde(other)
    index = torch.arange(16)
    torch.testing.assert_close(
        first.predict(data.take(index)).logits, second.predict(other.take(index)).logits, atol=1e-3, rtol=1e-3
    )


def test_what_is_not_observed_is_not_read():
    model = pf.dynamics.neural_cde(channels=2, outputs=3, counts=True)
    t, x = torch.rand(4, 6).cumsum(1), torch.randn(4, 6, 2)
    observed = torch.rand(4, 6, 2, generator=torch.Generator().manual_seed(1)) < 0.5
    plain = model.predict(SeriesBatch(t, x.masked_fill(~observed, 0.0), observed)).logits
    spoilt = model.predict(SeriesBatch(t, x.masked_fill(~observed, torch.nan), observed)).logits
    assert torch.equal(plain, spoilt)


@pytest.mark.parametrize("interpolation", ["hermite", "natural", "linear", "rectilinear"])
@pytest.mark.parametrize("causal", [False, True])
def test_one_observation_a_channel_never_seen_and_a_seed(interpolation, causal):
    x = torch.tensor([[[1.0, torch.nan]], [[3.0, torch.nan]]])
    with pytest.warns(UserWarning, match="x1"):
        data = Series.of(torch.tensor([2.0]), x, labels=[0, 1])
    models = [pf.dynamics.neural_cde(data, interpolation=interpolation, causal=causal) for _ in range(2)]
    batch = data.unlabelled().take([0, 1])
    first, second = (model.predict(batch).probs for model in models)
    assert torch.equal(first, second)
    assert first.isfinite().all()
    assert (first[0] != first[1]).any()
    assert models[0].states(batch).shape == (1, 2, 32)
    loss = models[0].objective(models[0], data.take([0, 1]), RowGenerator(0, 2)).value
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in models[0].parameters())


def test_regression_is_in_the_units_of_the_labels():
    data = spirals(16)
    numbers = Series(data.t, data.x, data.observed, 100 + 10 * (torch.arange(16) % 2), data.channel_names)
    model = pf.dynamics.neural_cde(numbers, head="regress")
    prediction = model.predict(numbers.take(torch.arange(16)))
    assert prediction.mean.shape == (16, 1)
    assert ((prediction.mean > 60) & (prediction.mean < 150)).all()
    assert model.objective(model, numbers.take(torch.arange(16)), RowGenerator(0, 16)).value.isfinite()
    with torch.no_grad():
        model.read_out.weight.zero_()
        model.read_out.bias.zero_()
    assert model.predict(numbers.take([0])).mean.item() == pytest.approx(105)
    assert model.predict(numbers.take([0])).stddev.item() == pytest.approx(5 * (0.001 + 0.6931), rel=1e-3)


@torch.no_grad()
def test_an_adaptive_solver_agrees_with_many_fixed_steps():
    batch = spirals(4).take(torch.arange(4))
    model = pf.dynamics.neural_cde(spirals(4), solver="Tsit5", interpolation="natural", hidden=4, width=8)
    path = model.path(batch)
    fixed = fixed_path(model.field, path, model.start(path.evaluate(batch.t[:, 0] * 0 - 9)), pf.diffeq.RK4(), steps=60)
    torch.testing.assert_close(model.states(batch), fixed[::60], atol=5e-3, rtol=5e-3)


def test_gradients_may_be_asked_for_twice():
    model = pf.dynamics.neural_cde(channels=2, outputs=1, hidden=3, width=4)
    out = model(spirals(4).take(torch.arange(4))).sum()
    parameters = [*model.parameters()]
    first, second = (torch.autograd.grad(out, parameters, retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second))


def test_what_it_refuses():
    data = spirals(4)
    with pytest.raises(ConfigError, match="Magic"):
        pf.dynamics.neural_cde(data, solver="Magic")
    with pytest.raises(ConfigError, match="at least 1"):
        pf.dynamics.neural_cde(data, hidden=0)
    with pytest.raises(ConfigError, match="layers"):
        pf.dynamics.neural_cde(data, layers=-1)
    with pytest.raises(ConfigError, match="natural"):
        pf.dynamics.NeuralCDE(2, 3, head="guess")
    with pytest.raises(ConfigError, match="natural"):
        pf.dynamics.NeuralCDE(2, 3, interpolation="cubic")
    with pytest.raises(ConfigError, match="one or the other"):
        pf.dynamics.neural_cde(data, channels=2)
    with pytest.raises(ConfigError, match="one or the other"):
        pf.dynamics.neural_cde()
    with pytest.raises(DataError, match="labels"):
        pf.dynamics.neural_cde(data.unlabelled())
    model = pf.dynamics.neural_cde(channels=3, outputs=2)
    with pytest.raises(ShapeError, match="3"):
        model.predict(data.take([0]))
    with pytest.raises(DataError, match="labels"):
        model.objective(model, data.unlabelled().take([0]), RowGenerator(0, 1))


def test_targets_follow_their_rows_and_are_what_a_regression_learns():
    data = spirals(16)
    y = torch.stack([torch.arange(16.0), -torch.arange(16.0) / 7], 1)
    numbers = Series.of(data.t, data.x, targets=y)
    assert torch.equal(numbers.rows([3, 5]).targets, y[[3, 5]])
    assert torch.equal(numbers.dropped(0.5).compact().targets, y)
    assert sorted(torch.cat([part.targets for part in numbers.split((0.5, 0.5))])[:, 0].tolist()) == y[:, 0].tolist()
    assert numbers.windows(6, 6).targets[:4].tolist() == y[[0, 0, 1, 1]].tolist()
    assert numbers.unlabelled().targets is None
    model = pf.dynamics.neural_cde(numbers)
    assert model.head == "regress"
    batch = numbers.take(torch.arange(16))
    prediction = model.predict(batch)
    loss = model.objective(model, batch, RowGenerator(0, 16)).value
    by_scipy = (
        stats.norm.logpdf(y, prediction.base_dist.loc.detach(), prediction.base_dist.scale.detach()).sum(1).mean()
    )
    assert float(loss.detach()) == pytest.approx(-by_scipy, rel=1e-5)
    torch.testing.assert_close(model.y_loc, y.mean(0))
    assert pf.dynamics.neural_cde(data).head == "classify"
    with pytest.raises(DataError, match="labels, or numbers as targets"):
        pf.dynamics.neural_cde(numbers, head="classify")
    with pytest.raises(DataError, match="targets"):
        pf.dynamics.neural_cde(data.unlabelled(), head="regress")


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(3), "a row of numbers"),
        (torch.zeros(16, 0), "a row of numbers"),
        ([[1.0]] * 15 + [[float("nan")]], "finite targets"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets, message):
    data = spirals(16)
    with pytest.raises(DataError, match=message):
        Series.of(data.t, data.x, targets=targets)
