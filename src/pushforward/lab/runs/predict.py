"""Predict new functions from a few of their points with the process of a run: a picture, and a table of mean and intervals."""

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError
from pushforward.core.files import replacing
from pushforward.core.process import Context, Process
from pushforward.core.registry import device_of
from pushforward.lab.metrics import marginal_quantiles
from pushforward.lab.plots import bands
from pushforward.parts import data as pf_data
from pushforward.parts.data import FunctionSet, Table
from pushforward.parts.data.csv_layout import sniff

from .run import Run, load_data

LEVELS = (0.05, 0.25, 0.75, 0.95)
MOST_POINTS = 20_000
PANELS = 6


@dataclass(frozen=True)
class Curves:
    """Predictions of functions from the points of `given`, at x `(points,)`: mean, deviation `(n, points, y_dim)`, edges `(4, ...)`."""

    given: FunctionSet
    x: Tensor
    mean: Tensor
    deviation: Tensor
    edges: Tensor


def predict(run: Run, source: str | Path, *, low: float | None = None, high: float | None = None, points: int = 200,
            out: str | Path | None = None) -> tuple[Curves, list[Path]]:  # fmt: skip
    """Predict the functions of `source` on a grid from `low` to `high`, by default the range of the run's data and theirs.

    A picture has its table beside it, with the ending .csv; a table comes alone. Raises `UserError` for whatever the user can mend.
    """
    model, kind = run.model, run.about.get("kind")
    if kind != "functions" or not isinstance(model, Process) or model.x_dim != 1:
        raise ConfigError(f"expected the run of a process of functions of one variable, got {type(model).__name__} of {kind or 'other data'}; "
                          "fit one, such as neural_ode_process")  # fmt: skip
    path = Path(out) if out is not None else run.folder / "prediction.png"
    if path.suffix.lower() not in (".png", ".csv"):
        raise ConfigError(
            f"expected a picture ending in .png or a table ending in .csv to write to, got '{path}'; change its ending"
        )
    if not 2 <= points <= MOST_POINTS:
        raise ConfigError(f"expected 2 to {MOST_POINTS:,} points of the grid, got {points}; change --points")
    found = predict_on(run, read_curves(run, source), low, high, points)
    written = [path.with_suffix(".csv")]
    write_table(written[0], found)
    if path.suffix.lower() == ".png":
        written.insert(0, path)
        draw_picture(path, found)
    return found, written


@torch.no_grad()
def predict_on(run: Run, given: FunctionSet, low: float | None, high: float | None, points: int) -> Curves:
    """The prediction of each function of `given` on one grid."""
    if low is None or high is None:
        own = load_data(run.config.data, run.config.data_options)
        ends = torch.cat([own.x[own.mask], given.x[given.mask]])
        low, high = float(ends.min()) if low is None else low, float(ends.max()) if high is None else high
    if not low < high:
        raise ConfigError(
            f"expected a grid from low to a larger high, got {low:g} and {high:g}; correct --low and --high"
        )
    device = device_of(run.model)
    x = torch.linspace(low, high, points, device=device)
    batch = given.to(device)
    prediction = run.model.predict(Context(batch.x, batch.y, batch.mask), x.expand(len(given), -1)[..., None])
    edges = marginal_quantiles(prediction, LEVELS)
    return Curves(given, x.cpu(), prediction.mean.cpu(), prediction.stddev.cpu(), edges.cpu())


def read_curves(run: Run, source: str | Path) -> FunctionSet:
    """The points of new functions: a named set, or a text file with the columns of the run's data.

    Where there is no column that tells functions apart, all rows are points of one. Of runs whose data have no such names, the
    columns are x and y, or a name, x and y, in this order.
    """
    options, width = run.config.data_options, run.about["y_dim"]
    path = Path(source).expanduser()
    if path.suffix.lower() not in (".csv", ".tsv", ".txt") or not path.exists():
        found = pf_data.load(source)
    else:
        names = [name or f"x{j}" for j, name in enumerate(sniff(path, None).names or [])]
        series, x_name = options.get("series"), options.get("given")
        x_name = x_name[0] if isinstance(x_name, list | tuple) else x_name
        if x_name is None and len(names) == width + 2:
            series, x_name = names[:2]
        x_name = names[0] if x_name is None and names else x_name
        if x_name not in names or len(names) - 1 - (series in names) != width:
            raise DataError(f"expected a column {x_name!r} and {width} of y in '{source}', and perhaps {series or 'one'!r} that tells functions "
                            f"apart, got {', '.join(names) or 'none with a name'}; write them as the data of the run")  # fmt: skip
        found = pf_data.load(path, series=series, given=x_name) if series in names else _one_function(path, x_name)
    if not isinstance(found, FunctionSet) or (found.x_dim, found.y_dim) != (1, width):
        raise DataError(
            f"expected points of functions with one x and {width} numbers of y, got {found!r:.80}; choose other data"
        )
    return found


def _one_function(path: Path, x_name: str) -> FunctionSet:
    """All rows of a file as points of one function."""
    table = pf_data.load(path)
    assert isinstance(table, Table)
    at = [column.name == x_name for column in table.columns]
    values = table.values.to(torch.get_default_dtype())[None]
    return FunctionSet.of(values[..., torch.tensor(at)], values[..., ~torch.tensor(at)])


def write_table(path: Path, found: Curves) -> None:
    """Write function, x, the number of y, mean and the edges of the intervals of 50 and 90 %; whole or not at all."""
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["function", "x", "y", "mean", "low_90", "low_50", "high_50", "high_90"])
        for i, of_one in enumerate(found.mean.tolist()):
            for m, x in enumerate(found.x.tolist()):
                for j, mean in enumerate(of_one[m]):
                    numbers = [mean, *found.edges[:, i, m, j].tolist()]
                    writer.writerow([i + 1, f"{x:.9g}", j + 1, *(f"{v:.7g}" for v in numbers)])


def draw_picture(path: Path, found: Curves) -> None:
    """One panel a function and number of y, the first of each where there are many; whole or not at all."""
    count, width = found.mean.shape[0], found.mean.shape[2]
    panels = [(i, j) for i in range(count) for j in range(min(width, max(1, PANELS // count)))][:PANELS]
    rows, columns = (torch.tensor(own) for own in zip(*panels))
    given = found.given
    known = Context(given.x[rows].cpu(), given.y.cpu()[rows, :, columns][..., None], given.mask[rows].cpu())
    titles = [f"function {i + 1}" + (f", y{j + 1}" if width > 1 else "") for i, j in panels]
    mean, deviation = found.mean[rows, :, columns], found.deviation[rows, :, columns]
    figure = bands(found.x.expand(len(panels), -1), mean, deviation, context=known, titles=titles)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=150)
