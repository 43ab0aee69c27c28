"""Forecast series beyond their end, and fill their gaps, with the model of a run."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError
from pushforward.core.files import replacing
from pushforward.core.process import Context, Process
from pushforward.core.registry import device_of
from pushforward.lab.metrics import marginal_quantiles
from pushforward.lab.plots import forecast as forecast_figure
from pushforward.lab.report.series_model import axis_label
from pushforward.parts.data import Series
from pushforward.parts.data.dates import as_times

from .records import horizon_of
from .run import Run, load_data
from .score import fit_to, new_data

LEVELS = (0.05, 0.25, 0.75, 0.95)
SHARE = 0.2  # of a series' length, beyond its end, where nothing is said
LONG_GAP = 1.5  # of the median step between two instants
MOST_TARGETS = 20_000
POINTS = 200  # of a curve in the picture
PANELS = 6
TAIL = 3  # how many times the forecast's length of the record is drawn before it


@dataclass(frozen=True)
class Prediction:
    """Of one series: at times t `(m,)`, mean `(m, channels)`, quantiles `(4, m, channels)` at `LEVELS`."""

    t: Tensor
    mean: Tensor
    edges: Tensor


@dataclass(frozen=True)
class Forecast:
    """What was predicted for each series, `targets` at the instants of the table and `curves` for the picture.

    `filled` `(m, channels)` of each series is False where a number was observed, so that there is nothing to predict; `ends`
    are the last observed times. `notes` say what a reader should know.
    """

    series: Series
    targets: list[Prediction]
    filled: list[Tensor]
    curves: list[Prediction]
    ends: list[float]
    notes: list[str]


def forecast(run: Run, source: str | Path | None = None, *, until: str | float | None = None, steps: int | None = None,
             out: str | Path | None = None) -> tuple[Forecast, Path]:  # fmt: skip
    """Predict the series of `source` (by default those of the run) beyond their end and in their gaps; write picture or table.

    `until` is a time, as a number or as the data write it; `steps` counts instants, a median step apart. Without either the
    forecast is a fifth as long as the series. Raises `UserError` for whatever the user can mend.
    """
    model = run.model
    if run.about.get("kind") != "series" or not isinstance(model, Process):
        what = (
            "classifies series"
            if run.about.get("kind") == "series"
            else f"was fitted to {run.about.get('kind', 'other data')}"
        )
        raise ConfigError(f"expected the run of a model that forecasts series, got {type(model).__name__}, which {what}; "
                          "fit one, such as latent_ode, to series")  # fmt: skip
    if until is not None and steps is not None:
        raise ConfigError("expected one length of the forecast, got --until and --steps; give one of the two")
    if steps is not None and steps < 1:
        raise ConfigError(f"expected to forecast at least 1 step, got {steps}; give more")
    path = Path(out) if out is not None else run.folder / "forecast.png"
    if path.suffix.lower() not in (".png", ".csv"):
        raise ConfigError(
            f"expected a picture ending in .png or a table ending in .csv to write to, got '{path}'; change its ending"
        )
    own = source is None
    data = fit_to(run, load_data(run.config.data, run.config.data_options)) if own else new_data(run, source)
    found = predict_on(
        model,
        data,
        run.about,
        None if until is None else _time(until, data),
        steps,
        curves=path.suffix.lower() == ".png",
    )
    if path.suffix.lower() == ".csv":
        write_table(path, found)
    else:
        draw_picture(path, found)
    return found, path


@torch.no_grad()
def predict_on(
    model: Any, data: Series, about: Any, until: float | None, steps: int | None, *, curves: bool
) -> Forecast:
    """The forecast of every series, one by one, since each has times of its own."""
    window, device, notes = about.get("window"), device_of(model), []
    targets, filled, lines, ends, far = [], [], [], [], False
    count = min(len(data), PANELS) if curves else len(data)
    if count < len(data):
        notes.append(
            f"the picture shows the first {count} of {len(data):,} series; write a table with -o forecast.csv for all"
        )
    for i in range(count):
        real = int(data.lengths[i])
        t, x, observed = data.t[i, :real].double(), data.x[i, :real], data.observed[i, :real]
        seen = t[observed.any(1)]
        end, step = float(seen[-1]), median_step(seen, i)
        beyond = _beyond(end, step, until, steps, len(seen), window, i)
        first = 0
        if window is not None:
            given = max(window - horizon_of(window), window - len(beyond))
            last = int(observed.any(1).nonzero()[-1]) + 1
            first = max(0, last - given)
            far = far or len(beyond) > horizon_of(window)
        origin = float(t[first]) if window is not None else 0.0
        t, x, observed = t[first:], x[first:], observed[first:]
        at = torch.cat([_gaps(t, observed, step), beyond]).unique()
        context = Context((t - origin).to(x)[None, :, None].to(device), x[None].to(device), observed[None].to(device))
        known = torch.zeros(len(at), x.shape[1], dtype=torch.bool)
        for j, when in enumerate(t.tolist()):
            known[at == when] = observed[j]
        targets.append(_predict(model, context, at, origin, x))
        filled.append(~known)
        if curves:
            begin = max(float(t[0]), end - TAIL * (float(beyond[-1]) - end))
            lines.append(
                _predict(
                    model, context, torch.linspace(begin, float(beyond[-1]), POINTS, dtype=torch.float64), origin, x
                )
            )
        ends.append(end)
    if far and window is not None:
        notes.append(f"the model was fitted to windows of {window} instants, and this forecast reaches further than the {horizon_of(window)} it "
                     "was tested on; expect it to be worse there")  # fmt: skip
    if window is None and max(float(own.t[-1]) for own in targets) > about["times"][1] + 1e-6:
        notes.append(
            f"the model was fitted to times until {about['times'][1]:.6g}, and this forecast reaches further; expect it to be worse there"
        )
    return Forecast(data, targets, filled, lines, ends, notes)


def median_step(seen: Tensor, row: int = 0) -> float:
    """The median time between two observed instants; raises `DataError` for a series that was seen once only."""
    if len(seen) < 2:
        raise DataError(
            f"expected series seen at two instants or more to forecast, got one in series {row + 1}; leave it out"
        )
    return float(seen.diff().median())


def write_table(path: Path, found: Forecast) -> None:
    """Write series, time, channel, mean and the edges of the intervals, one row a predicted number; whole or not at all."""
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["series", found.series.time_name, "channel", "part", "mean", "low_90", "low_50", "high_50", "high_90"]
        )
        for i, (own, blank, end) in enumerate(zip(found.targets, found.filled, found.ends)):
            for m, when in enumerate(own.t.tolist()):
                for j, name in enumerate(found.series.channel_names):
                    if blank[m, j]:
                        part = "forecast" if when > end else "gap"
                        numbers = [own.mean[m, j], *own.edges[:, m, j]]
                        writer.writerow([i + 1, f"{when:.9g}", name, part, *(f"{float(v):.7g}" for v in numbers)])


def draw_picture(path: Path, found: Forecast) -> None:
    """One panel a channel and series, the first of each where there are many; whole or not at all."""
    data, panels = found.series, []
    channels = min(data.channels, max(1, PANELS // len(found.curves)))
    panels = [(i, j) for i in range(len(found.curves)) for j in range(channels)][:PANELS]
    t = torch.stack([found.curves[i].t for i, _ in panels])
    mean = torch.stack([found.curves[i].mean[:, j] for i, j in panels])
    edges = torch.stack([found.curves[i].edges[:, :, j] for i, j in panels], 1)
    rows, columns = (torch.tensor(own) for own in zip(*panels))
    shown = data.observed[rows, :, columns] & (data.t[rows] >= t[:, :1])
    known = Context(data.t[rows][..., None], data.x[rows, :, columns][..., None], shown)
    several = len(found.curves) > 1
    titles = [data.channel_names[j] + (f", series {i + 1}" if several else "") for i, j in panels]
    figure = forecast_figure(t, mean, edges, known=known, ends=[found.ends[i] for i, _ in panels], titles=titles,
                             time=axis_label(data.time_name, data.time_unit))  # fmt: skip
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=150)


def _predict(model: Any, context: Context, at: Tensor, origin: float, like: Tensor) -> Prediction:
    prediction = model.predict(context, (at - origin).to(like)[None, :, None].to(context.y.device))
    edges = marginal_quantiles(prediction, LEVELS)
    return Prediction(at, prediction.mean[0].cpu(), edges[:, 0].cpu())


def _beyond(
    end: float, step: float, until: float | None, steps: int | None, seen: int, window: int | None, row: int
) -> Tensor:
    """The times to forecast at, behind the end."""
    if until is not None:
        if until <= end:
            raise ConfigError(f"expected to forecast until a time behind the end of the record, which is {end:.9g} in series {row + 1}, got "
                              f"{until:.9g}; give a later time")  # fmt: skip
        if (until - end) / step > MOST_TARGETS:
            raise ConfigError(f"expected at most {MOST_TARGETS:,} steps of {step:.3g} behind the end at {end:.9g}, got {(until - end) / step:,.0f} "
                              f"until {until:.9g}; give an earlier time")  # fmt: skip
        times = end + step * torch.arange(1, int((until - end) / step + 1e-6) + 1, dtype=torch.float64)
        return (
            times
            if len(times) and abs(float(times[-1]) - until) < 1e-3 * step
            else torch.cat([times, torch.tensor([until]).double()])
        )
    if steps is None:
        steps = max(1, round(SHARE * seen)) if window is None else horizon_of(window)
    if steps > MOST_TARGETS:
        raise ConfigError(f"expected at most {MOST_TARGETS:,} steps, got {steps:,}; give fewer")
    return end + step * torch.arange(1, steps + 1, dtype=torch.float64)


def _gaps(t: Tensor, observed: Tensor, step: float) -> Tensor:
    """Instants at which a channel was not observed, and times a step apart inside long gaps; those before the end."""
    seen = t[observed.any(1)]
    inside = [t[~observed.all(1) & (t < seen[-1])]]
    for before, gap in zip(seen[:-1].tolist(), seen.diff().tolist()):
        if gap > LONG_GAP * step:
            count = min(round(gap / step) - 1, MOST_TARGETS)
            inside.append(before + gap * torch.arange(1, count + 1, dtype=torch.float64) / (count + 1))
    return torch.cat(inside)


def _time(text: str | float, data: Series) -> float:
    """A time as a user writes it, in the units of the data."""
    text, start = str(text).strip(), data.time_unit.removeprefix("days since ")
    wanted = f"in {data.time_unit}" if data.time_unit else f"as a number, as the column {data.time_name!r} has them"
    try:
        times, unit = as_times([text], [1], "", "")
        if unit and start != data.time_unit:  # both as instants with a clock, so that their difference is in days
            clock = text if ":" in text else f"{text} 00:00"
            times, unit = as_times([f"{start} 00:00", clock], [1, 1], "", "")
            return times[1] - times[0]
    except DataError:
        unit = "unknown"
    if unit not in ("", data.time_unit):
        raise ConfigError(f"expected the time to forecast until {wanted}, got {text!r}; write it as the data do")
    return times[0]
