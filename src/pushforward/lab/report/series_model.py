"""The report of a forecaster: hidden observations of held-out series, interpolated and extrapolated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of
from pushforward.lab.metrics import Estimate, marginal_cdf, marginal_crps, marginal_log_prob, marginal_quantiles
from pushforward.lab.plots import forecast
from pushforward.parts.data import Series, SeriesBatch, SeriesUnits

from .common import History, some_rows, training_section, training_values
from .page import Report

MOST_NUMBERS = 1 << 24  # drawn at once, for CRPS
DRAWS = 400
TASKS = """
*Interpolation* hides half of the instants of every test series at random, *extrapolation* its last third; the model sees the
others and predicts what is hidden. Figures are averaged over the hidden numbers of a series and then over series. RMSE and
CRPS are in standard deviations of the channel in the training data, lower is better: 1 is what its mean would reach. The
log-likelihood is that of each number on its own, in nats and in the units of the data; higher is better. *Within 50 %* and
*within 90 %* are the shares of hidden numbers that the central intervals hold.
"""
NAIVE = "The reference draws straight lines between the known points, and keeps the last known value beyond them."


@dataclass(frozen=True)
class Score:
    """Figures of one task, one row a series; `naive` is the mean square of the reference."""

    square: Tensor
    naive: Tensor
    log_prob: Tensor
    crps: Tensor
    within: Tensor  # (n, 2): of the 50 and the 90 % interval


def report_series(model: Any, train: Series, test: Series, history: History, *, seed: int = 0, title: str = "",
                  minutes: float | None = None, most_series: int = 200,
                  expected: Mapping[str, tuple[float, float]] | None = None) -> Report:  # fmt: skip
    """Predict hidden observations of held-out series; `expected` maps names of headline figures ("extrapolation RMSE") to ranges."""
    window = f", windows of {test.window} instants" if test.window else ""
    subtitle = f"{len(train):,} training and {len(test):,} test series{window}; {', '.join(test.channel_names[:8])}"
    page = Report(title or f"{type(model).__name__} of series", subtitle=subtitle, expected=expected)
    batch, units = test.take(some_rows(test, most_series, seed)), train.units()
    rows = []
    for name, hide in (("interpolation", half_hidden), ("extrapolation", last_hidden)):
        hidden = hide(batch, seed)
        known = _without(batch, hidden)
        # The first two thirds of a window of a record may be of the time that the model was trained on.
        told = hidden & last_hidden(batch, seed) if test.window else hidden
        usable = told.flatten(1).any(1) & known.observed.flatten(1).any(1)
        if not usable.any():
            continue
        index = usable.nonzero()[:, 0]
        score = score_hidden(model, _rows(batch, index), _rows(known, index), told[index], units, seed)
        ours, theirs = _root(Estimate.of(score.square)), _root(Estimate.of(score.naive))
        page.value(f"{name} RMSE", ours.value, ours.std_error, note=f"in standard deviations; {theirs.value:.3g} by the naive reference")  # fmt: skip
        likelihood = Estimate.of(score.log_prob)
        within = [Estimate.of(100 * own) for own in score.within.unbind(1)]
        page.value(f"{name} log-likelihood", likelihood.value, likelihood.std_error, note="nats a number; higher is better")  # fmt: skip
        page.value(f"{name} within 90 % (%)", within[1].value, within[1].std_error)
        cells = (ours, theirs, Estimate.of(score.crps), likelihood, *within)
        rows.append([f"{name}, {len(index):,} series", *((cell.value, cell.std_error) for cell in cells)])
    training_values(page, model, history, minutes)
    page.section("Predictions")
    _figure(page, model, test, batch, seed)
    page.section("Hidden observations").text(TASKS + NAIVE)
    if test.window:
        page.text("These records are long and few, so they were cut into windows: only hidden numbers of the last 20 % of the "
                  "time, which the model was not trained on, are counted.")  # fmt: skip
    columns = ["", "RMSE", "RMSE, naive", "CRPS", "nats a number", "within 50 % (%)", "within 90 % (%)"]
    page.table(rows, columns, "Mean over test series.")
    training_section(page, history, "loss of the model")
    return page


def half_hidden(batch: SeriesBatch, seed: int) -> Tensor:
    """A random half of the observed instants of every row, all channels together: the mask of what to hide."""
    seen = batch.observed.any(-1)
    key = RowGenerator(seed, len(batch)).uniform(seen.shape[1]).to(seen.device).masked_fill(~seen, 2.0)
    return batch.observed & (key.argsort(1).argsort(1) < seen.sum(1, keepdim=True) // 2)[..., None]


def last_hidden(batch: SeriesBatch, seed: int = 0) -> Tensor:
    """The last third of the observed instants of every row: the mask of what to hide."""
    seen = batch.observed.any(-1)
    count = seen.sum(1, keepdim=True)
    return batch.observed & (seen.cumsum(1) > count - count // 3)[..., None]


@torch.no_grad()
def score_hidden(
    model: Any, batch: SeriesBatch, known: SeriesBatch, hidden: Tensor, units: SeriesUnits, seed: int = 0
) -> Score:
    """Predict the `hidden` numbers of `batch` from what is `known`, and compare."""
    device, parts = device_of(model), []
    share = hidden / hidden.flatten(1).sum(1)[:, None, None]
    guess = naive(known, units.mean)
    together = max(1, min(32, MOST_NUMBERS // (DRAWS * batch.x[0].numel())))
    for first in range(0, len(batch), together):
        rows = slice(first, first + together)
        given = _rows(known, rows).to(device)
        prediction = model.predict(given.context(), given.t[..., None])
        x = batch.x[rows].to(device)
        at = torch.where(hidden[rows].to(device), x, prediction.mean)
        below = marginal_cdf(prediction, at)
        scale = units.std.to(device)
        each = torch.stack([
            ((prediction.mean - x) / scale).square(),
            ((guess[rows].to(device) - x) / scale).square(),
            marginal_log_prob(prediction, at),
            marginal_crps(prediction, at, draws=DRAWS, seed=seed) / scale,
            ((below - 0.5).abs() <= 0.25).to(x),
            ((below - 0.5).abs() <= 0.45).to(x),
        ])  # fmt: skip
        weight = share[rows].to(device)
        parts.append(torch.where(weight > 0, each * weight, 0.0).flatten(2).sum(2).cpu())
    square, reference, log_prob, error, half, ninety = torch.cat(parts, 1)
    return Score(square, reference, log_prob, error, torch.stack([half, ninety], 1))


def naive(known: SeriesBatch, mean: Tensor) -> Tensor:
    """Straight lines between the known points of a channel, its nearest known value beyond them, `mean` where there is none."""
    t = known.t[..., None].expand_as(known.x)
    place = torch.arange(t.shape[1], device=t.device)[:, None].expand_as(t)
    before = place.where(known.observed, -1).cummax(1).values
    after = place.where(known.observed, t.shape[1]).flip(1).cummin(1).values.flip(1)
    left = torch.where(before >= 0, before, after).clamp(0, t.shape[1] - 1)
    right = torch.where(after < t.shape[1], after, before).clamp(0, t.shape[1] - 1)
    (t0, t1), (x0, x1) = ((v.gather(1, left), v.gather(1, right)) for v in (t, known.x))
    line = x0 + (x1 - x0) * ((t - t0) / (t1 - t0).clamp(min=1e-30)).clamp(0, 1)
    return torch.where(known.observed.any(1, keepdim=True), line, mean.to(line))


@torch.no_grad()
def _figure(page: Report, model: Any, test: Series, batch: SeriesBatch, seed: int) -> None:
    """Six series: half of the panels interpolate, half extrapolate; the first channel that a row has."""
    n = min(6, len(batch))
    chosen = batch if n == len(batch) else _rows(batch, slice(0, n))
    hidden = torch.cat([(half_hidden if i < (n + 1) // 2 else last_hidden)(chosen, seed)[i : i + 1] for i in range(n)])
    known = _without(chosen, hidden)
    channel = known.observed.sum(1).argmax(1)
    start, end = chosen.t[:, :1], chosen.t.amax(1, keepdim=True)
    grid = start + (end - start) * torch.linspace(0, 1, 150, dtype=chosen.t.dtype)
    device = device_of(model)
    edges, means = [], []
    for i in range(n):
        given = _rows(known, slice(i, i + 1)).to(device)
        prediction = model.predict(given.context(), grid[i : i + 1, :, None].to(device))
        own = marginal_quantiles(prediction, (0.05, 0.25, 0.75, 0.95)).cpu()
        edges.append(own[..., channel[i]])
        means.append(prediction.mean.cpu()[..., channel[i]])
    pick = channel[:, None, None].expand(n, chosen.t.shape[1], 1)

    def points(mask: Tensor) -> Context:
        return Context(chosen.t[..., None], chosen.x.gather(2, pick), mask.gather(2, pick)[..., 0])

    names = [test.channel_names[j] for j in channel.tolist()]
    figure = forecast(grid, torch.cat(means), torch.cat(edges, 1), known=points(known.observed), hidden=points(hidden),
                      titles=[f"{name}, {'half' if i < (n + 1) // 2 else 'last third'} hidden" for i, name in enumerate(names)],
                      time=axis_label(test.time_name, test.time_unit, bool(test.window)))  # fmt: skip
    page.figure(figure, "Mean and central intervals of 50 and 90 %, given the black points. Blue ones were hidden.")


def axis_label(name: str, unit: str, from_zero: bool = False) -> str:
    """What to write under an axis of time."""
    if from_zero:
        return f"{name} since the first, {unit.split()[0]}" if unit else f"{name} since the first"
    return f"{name}, {unit}" if unit and unit != name else name


def _without(batch: SeriesBatch, hidden: Tensor) -> SeriesBatch:
    return SeriesBatch(batch.t, torch.where(hidden, 0.0, batch.x), batch.observed & ~hidden)


def _rows(batch: SeriesBatch, index: Any) -> SeriesBatch:
    return SeriesBatch(batch.t[index], batch.x[index], batch.observed[index])


def _root(square: Estimate) -> Estimate:
    """The root of a mean square, and its standard error by the slope of the root."""
    root = square.value**0.5
    return Estimate(root, square.std_error / (2 * root) if root > 0 else 0.0)
