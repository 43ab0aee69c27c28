"""Reports of series: a forecaster that is right is found calibrated, and figures agree with numpy's and scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.distributions import Categorical, Independent, Normal

from pushforward.core.process import Process
from pushforward.lab.report import report
from pushforward.lab.report.predictor import roc_area
from pushforward.lab.report.series_model import half_hidden, last_hidden, naive
from pushforward.parts.data import Series
from pushforward.parts.data.series_toys import bidirectional_spirals, ornstein_uhlenbeck


class ExactOrnsteinUhlenbeck(Process):
    """The conditional of a Gaussian process with covariance s^2 e^-|d|: the Ornstein-Uhlenbeck process itself."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.x_dim, self.y_dim = 1, 1
        self.scale = nn.Parameter(torch.tensor(scale))

    def predict(self, context, x_target):
        real = context.mask[..., 0] if context.mask.ndim == 3 else context.mask
        t, y, at = context.x[..., 0].double(), context.y[..., 0].double() * real, x_target[..., 0].double()
        s2 = 0.125 * self.scale.double() ** 2

        def k(a, b):
            return s2 * (-(a[:, :, None] - b[:, None]).abs()).exp()

        pair = real[:, :, None] & real[:, None]
        gram = torch.where(pair, k(t, t), 0.0) + torch.diag_embed(torch.where(real, 1e-10, 1.0).double())
        cross = torch.where(real[:, None], k(at, t), 0.0)
        gain = torch.linalg.solve(gram, cross.mT).mT
        variance = (s2 - (gain * cross).sum(-1)).clamp(min=1e-9)
        return Independent(Normal((gain @ y[..., None]).float(), variance.sqrt()[..., None].float()), 2)


def test_an_exact_forecaster_is_found_calibrated():
    series = ornstein_uhlenbeck(300, points=30, theta=1.0, sigma=0.5)
    train, test = series.split((0.5, 0.5), 1)
    page = report(ExactOrnsteinUhlenbeck(), train, test, [])
    for task in ("interpolation", "extrapolation"):
        assert abs(page.values[f"{task} within 90 % (%)"] - 90) < 4
        assert 0 < page.values[f"{task} RMSE"] < 1
    assert page.values["interpolation RMSE"] < page.values["extrapolation RMSE"]
    timid = report(ExactOrnsteinUhlenbeck(3.0), train, test, [])
    assert timid.values["extrapolation within 90 % (%)"] > 98
    assert timid.values["extrapolation log-likelihood"] < page.values["extrapolation log-likelihood"] - 0.3
    assert "Blue ones were hidden" in page.html()


def test_the_reference_draws_the_lines_of_numpy():
    series = ornstein_uhlenbeck(5, points=20).dropped(0.5, seed=2)
    batch = series.take(torch.arange(5))
    found = naive(batch, torch.zeros(1))
    for i in range(5):
        seen = batch.observed[i, :, 0]
        wanted = np.interp(batch.t[i].numpy(), batch.t[i, seen].numpy(), batch.x[i, seen, 0].numpy())
        np.testing.assert_allclose(found[i, :, 0].numpy(), wanted, atol=1e-5)


def test_a_channel_without_a_known_value_is_guessed_by_its_mean():
    x = torch.tensor([[[1.0, float("nan")], [2.0, float("nan")]]])
    with pytest.warns(UserWarning, match="nothing was ever observed"):
        batch = Series.of([0, 1], x).take(torch.tensor([0]))
    assert naive(batch, torch.tensor([5.0, 7.0]))[0].tolist() == [[1, 7], [2, 7]]


def test_what_is_hidden_was_observed_and_as_much_as_said():
    series = ornstein_uhlenbeck(6, points=21).dropped(0.3, seed=1)
    batch = series.take(torch.arange(6))
    count = batch.observed.sum((1, 2))
    for hide, share in ((half_hidden, count // 2), (last_hidden, count // 3)):
        hidden = hide(batch, 3)
        assert bool((hidden <= batch.observed).all())
        assert hidden.sum((1, 2)).tolist() == share.tolist()
    hidden, known = last_hidden(batch), batch.observed & ~last_hidden(batch)
    later = batch.t.where(hidden[..., 0], torch.inf).amin(1)
    earlier = batch.t.where(known[..., 0], -torch.inf).amax(1)
    assert bool((later > earlier).all())


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    generator = torch.Generator().manual_seed(4)
    truth = torch.randint(2, (300,), generator=generator)
    score = (torch.randn(300, generator=generator) + truth).mul(3).round()  # with ties
    area = roc_area(score, truth)
    assert abs(area.value - roc_auc_score(truth.numpy(), score.numpy())) < 1e-12
    assert 0.01 < area.std_error < 0.05


class Turning(nn.Module):
    """Classifies spirals by the sign of the area that they sweep."""

    def __init__(self):
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(0.05))

    def predict(self, batch):
        x, y = batch.x.unbind(-1)
        swept = (x[:, :-1] * y[:, 1:] - x[:, 1:] * y[:, :-1]).sum(1) * self.sharpness
        return Categorical(logits=torch.stack([swept, -swept], 1))


def test_the_report_of_a_classifier():
    train, test = bidirectional_spirals(200).split((0.5, 0.5))
    page = report(Turning(), train, test, [])
    assert page.values["accuracy (%)"] > 95
    assert page.values["AUC"] > 0.95
    assert "clockwise" in page.html()
    assert "true class" in page.html()
