"""The three reports on small stand-ins that keep the contracts of the models: what they show is what the models are."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from pushforward import Context, Distribution, Process, UserError
from pushforward.lab.report import report, report_density, report_process
from pushforward.lab.report.baselines import gaussian, independent_columns
from pushforward.lab.report.process_model import split_context
from pushforward.models.processes import oracle_for
from pushforward.parts.data import FunctionSet, Images, Table, gp_draws

HISTORY = [
    {"step": 10 * i, "loss": 1 / i, "held_out_loss": 1.1 / i, "learning_rate": 1e-3, "seconds": 2.0 * i}
    for i in range(1, 9)
]


@pytest.fixture(autouse=True)
def _coarse_pictures(monkeypatch):
    monkeypatch.setattr("pushforward.lab.report.page.DPI", 40)


class StandIn(Distribution):
    """Draws known rows with noise, like a model of images that samples in three steps; its log_prob is a number."""

    def __init__(self, x, labels=None, noise=0.0, log_prob=-100.0):
        super().__init__()
        self.event_shape, self.weight = x.shape[1:], nn.Parameter(torch.zeros(3))
        self.known, self.labels, self.noise, self.value = x.float(), labels, noise, log_prob
        self.log_prob_kind = "estimate"
        if labels is not None:
            self.condition_shape, self.condition_optional = torch.Size(()), True

    def sample(self, shape=(), condition=None, *, sampler=None, generator=None, callback=None):
        n = shape if condition is None else len(condition)
        keys = torch.rand(n, len(self.known), generator=generator)
        if condition is not None:
            keys = keys.masked_fill(self.labels != condition[:, None], -1.0)
        x = self.known[keys.argmax(1)]
        for step in range(3 if callback else 0):
            callback(SimpleNamespace(x=torch.randn(x.shape), step=step), SimpleNamespace(values={}))
        return (x + self.noise * torch.randn(x.shape, generator=generator)).round().clamp(0, 16)

    def _sample(self, condition, generator):
        raise NotImplementedError

    def log_prob_estimate(self, x, condition=None, *, probes, dequantisations, generator=None):
        if self.value is None:
            raise UserError("expected a solver error below 0.1 nats, got 3; take more steps")
        value = torch.full((len(x),), self.value) + torch.randn(len(x), generator=generator)
        return SimpleNamespace(value=value, std_error=torch.ones(len(x)))


@pytest.fixture(scope="module")
def shapes():
    """Three kinds of 8 x 8 bars with noise, easy to tell apart and with no two alike."""
    labels = torch.arange(240) % 3
    pixels = torch.randint(0, 6, (240, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    for k in range(3):
        pixels[labels == k, :, 2 * k + 1] += 10
    return Images.of(pixels.byte().numpy(), labels.numpy(), levels=17, class_names=("low", "middle", "high")).split(
        (0.6, 0.4)
    )


@pytest.mark.parametrize("kind", ["honest", "copier", "plain"])
def test_the_report_of_images(shapes, kind):
    """One that draws fresh images, one that draws those of the training, one without classes or a likelihood."""
    train, test = shapes
    source, plain = train if kind == "copier" else test, kind == "plain"
    model = StandIn(
        source.pixels, None if plain else source.labels, log_prob=None if plain else -64 * math.log(2) * 4.0
    )
    page = report(model, train, test, HISTORY, title="bars")
    html = page.html()
    if plain:
        assert {"held-out bits/dim", "recognised samples (%)"}.isdisjoint(page.values)
        assert "solver error below 0.1 nats" in html
    else:
        assert page.values["held-out bits/dim"] == pytest.approx(4, abs=0.02)
        assert page.values["recognised samples (%)"] > 95
        assert "low</td>" in html
    assert ("many are copies" in html) == (kind == "copier")
    assert page.values["distance to training images"] == (0 if kind == "copier" else pytest.approx(1, abs=0.1))
    assert page.values["training time"] == "16 s"
    assert page.values["parameters"] == 3
    assert html.count("<figure>") == 4


class Normals(Distribution):
    """N(loc + slope * condition, 1) in every column."""

    def __init__(self, features, slope=None, loc=0.0):
        super().__init__()
        self.event_shape, self.loc, self.slope = torch.Size((features,)), nn.Parameter(torch.tensor(loc)), slope
        self.condition_shape = None if slope is None else torch.Size((1,))

    def _mean(self, condition):
        return self.loc if condition is None else self.loc + self.slope * condition

    def _sample(self, condition, generator):
        return self._mean(condition) + generator.normal(*self.event_shape)

    def _log_prob(self, x, condition):
        return Normal(self._mean(condition), 1.0).log_prob(x).sum(1)


def table(features, rows=600, slope=0.0):
    generator = torch.Generator().manual_seed(1)
    condition = torch.randn(rows, 1, generator=generator)
    x = slope * condition + torch.randn(rows, features, generator=generator)
    names = [f"c{i}" for i in range(features)]
    if not slope:
        return Table.of(x, names).split((0.5, 0.5))
    return Table.of(torch.cat([x, condition], 1), [*names, "given"]).given("given").split((0.5, 0.5))


@pytest.mark.parametrize(("features", "slope"), [(1, None), (2, None), (3, 2.0)])
def test_the_report_of_a_table_by_the_true_model(features, slope):
    train, test = table(features, slope=slope or 0.0)
    page = report_density(Normals(features, slope), train, test, HISTORY, most_rows=100)
    entropy = features * 0.5 * math.log(2 * math.pi * math.e)
    assert page.values["held-out log-likelihood"] == pytest.approx(-entropy, abs=0.5)
    assert page.values["gain over a Gaussian"] == pytest.approx(0, abs=0.1)  # the truth is a Gaussian
    assert 25 < page.values["told from real (%)"] < 75
    assert page.html().count("<td>columns on their own</td>") == 1
    assert ("log density of the model" in page.html()) == (features == 2)


def test_the_report_of_a_table_sees_a_wrong_model_and_says_what_was_expected():
    train, test = table(2)
    page = report(Normals(2, loc=1.5), train, test, HISTORY, expected={"gain over a Gaussian": (-0.1, 0.1)})
    assert page.values["gain over a Gaussian"] == pytest.approx(-(1.5**2), abs=0.4)  # KL of the shift, both columns
    assert page.values["told from real (%)"] > 75
    assert "✗ not as expected" in page.html()


def test_a_dozen_rows_make_a_report_without_a_comparison():
    train, test = table(3, rows=12)
    page = report(Normals(3), train, test, [])
    assert "told from real (%)" not in page.values
    assert "too few rows to compare" in page.html()
    assert math.isfinite(page.values["gain over a Gaussian"])


def test_baselines_are_densities():
    generator = torch.Generator().manual_seed(0)
    train, test = torch.randn(2000, 3, generator=generator).double(), torch.randn(500, 3, generator=generator).double()
    truth = Normal(0.0, 1.0).log_prob(test)
    assert float((gaussian(train, test) - truth.sum(1)).mean()) == pytest.approx(0, abs=0.03)
    assert float((gaussian(train, test, given=1) - truth[:, :2].sum(1)).mean()) == pytest.approx(0, abs=0.03)
    assert float((independent_columns(train, test) - truth.sum(1)).mean()) == pytest.approx(0, abs=0.1)
    with pytest.raises(UserError, match="column 0"):
        independent_columns(torch.zeros(10, 1), torch.zeros(10, 1))


class White(Process):
    """Every point is N(0, 1), whatever was seen; jointly or one by one."""

    x_dim, y_dim = 1, 1

    def __init__(self, joint):
        super().__init__()
        self.weight, self.joint = nn.Parameter(torch.zeros(1)), joint

    def predict(self, context, x_target):
        if self.joint:
            n, targets, _ = x_target.shape
            return Reshaped(MultivariateNormal(torch.zeros(n, targets), torch.eye(targets)))
        return Independent(Normal(torch.zeros_like(x_target), torch.ones_like(x_target)), 2)


class Reshaped(torch.distributions.Distribution):
    """A joint normal over `(n, targets, 1)`."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, base):
        super().__init__(base.batch_shape, (*base.event_shape, 1), validate_args=False)
        self.base = base

    mean = property(lambda self: self.base.mean[..., None])
    stddev = property(lambda self: self.base.stddev[..., None])

    def log_prob(self, value):
        return self.base.log_prob(value[..., 0])

    def sample(self, sample_shape=()):
        return self.base.sample(sample_shape)[..., None]


def functions(ragged):
    x, y = torch.rand(200, 30, 1), torch.randn(200, 30, 1)
    mask = torch.arange(30) < (torch.randint(8, 31, (200, 1)) if ragged else 30)
    mask = mask.expand(200, 30)
    return FunctionSet(x, y, mask)


@pytest.mark.parametrize(("joint", "ragged"), [(False, False), (False, True), (True, False)])
def test_the_report_of_a_process_by_the_true_model(joint, ragged):
    data = functions(ragged)
    page = report(White(joint), data, data, HISTORY)
    assert page.values["log-likelihood a point, 10 given"] == pytest.approx(
        -0.5 * math.log(2 * math.pi * math.e), abs=0.1
    )
    assert page.values["within the 90 % band (%)"] == pytest.approx(90, abs=3)
    assert page.html().count("given</td>") == 6  # 0, 1, 3, 5, 10, 20 of 30 points
    assert page.html().count("<figure>") == 2
    assert ("Thin lines are whole functions" in page.html()) == joint


def test_the_report_of_a_process_refuses_what_it_cannot_score():
    with pytest.raises(UserError, match="different length"):
        report_process(White(joint=True), functions(ragged=True), HISTORY)
    with pytest.raises(UserError, match="smaller contexts"):
        report_process(White(joint=False), functions(ragged=False), HISTORY, contexts=(30,))


def test_a_reference_stands_beside_the_model():
    page = report_process(White(joint=False), functions(ragged=False), [], reference=White(joint=True))
    assert "reference, nats a point" in page.html()
    assert "Training" not in page.html()


@pytest.mark.parametrize("joint", [False, True])
def test_functions_of_a_gaussian_process_are_compared_with_it(joint):
    data = gp_draws("rbf", 40, points=(4, 9), length_scale=0.8)
    oracle = oracle_for(data)
    page = report_process(oracle if joint else White(joint=False), data, [])
    assert "reference, nats a point" in page.html()
    if joint:  # the same process twice, jointly, with functions of different length
        assert page.html().count("<td>0</td>") == 4


def test_contexts_and_targets_share_no_point_and_are_nested():
    data = functions(ragged=True)
    batch = data.take(torch.arange(len(data)))
    small, rest = split_context(batch, 3, seed=0)
    large, _ = split_context(batch, 5, seed=0)
    for i in range(len(batch)):
        own = set(batch.y[i, batch.mask[i], 0].tolist())
        seen, hidden = small.y[i, small.mask[i], 0].tolist(), rest.y[i, rest.mask[i], 0].tolist()
        assert len(seen) == 3
        assert sorted(seen + hidden) == sorted(own)
        assert set(seen) <= set(large.y[i, :, 0].tolist())
    assert isinstance(small, Context)
