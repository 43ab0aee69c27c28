"""The report of a density: held-out likelihood against plain baselines, and samples against real rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pushforward.core.data import Batch
from pushforward.core.registry import device_of, dtype_of
from pushforward.lab.metrics import Discrepancy, Estimate, c2st, mmd, wasserstein
from pushforward.lab.metrics.sampling_curve import NFE
from pushforward.lab.plots import density, samples

from .baselines import gaussian, independent_columns
from .common import (
    KINDS,
    History,
    batch_of,
    draw,
    find_log_z,
    has_density,
    log_prob_of,
    loss_unit,
    some_rows,
    training_section,
    training_values,
)
from .latent_sections import bound_section, bound_values, is_autoencoder
from .page import Report
from .sampling_section import copies_section, has_noise_levels, sampling_section

FEWEST = 10  # rows on each side of a comparison
LIKELIHOOD = """
Mean log density of the test rows, in nats a row; higher is better. The gain is the model's lead over a baseline, taken
row by row, so that its standard error is that of the difference. The Gaussian has a full covariance; the other baseline
is a kernel density estimate of every column, multiplied.
"""
COMPARISON = """
As many samples as real test rows are compared. A perfect model would not score zero but the floor, which is what
real training rows score in the place of the samples. Columns are divided by their standard deviations first.

- *Classifier*: how often a random forest tells them apart; 50 % is chance (Lopez-Paz and Oquab 2017).
- *MMD²*: maximum mean discrepancy, unbiased, so it may be negative; p is that of a permutation test (Gretton et al. 2012).
- *W2*: exact 2-Wasserstein distance, in standard deviations.
"""


@dataclass(frozen=True)
class Comparison:
    """One set of rows against the real test rows."""

    classifier: Estimate
    discrepancy: Discrepancy
    distance: float

    @classmethod
    def of(cls, rows: Tensor, real: Tensor, seed: int) -> "Comparison":
        """Compare two sets of as many rows."""
        return cls(
            classifier=c2st(rows, real, max_rows=len(real), seed=seed),
            discrepancy=mmd(rows, real, permutations=199, max_rows=len(real), seed=seed),
            distance=wasserstein(rows, real, max_rows=len(real), seed=seed),
        )


def report_density(model: Any, train: Any, test: Any, history: History, *, seed: int = 0, title: str = "",
                   minutes: float | None = None, most_rows: int = 1000,
                   expected: Mapping[str, tuple[float, float]] | None = None, nfe: Sequence[int] = NFE) -> Report:  # fmt: skip
    """Score and sample a model of rows `(n, d)`, conditional or not: seconds for a small table.

    `most_rows` bounds the comparison of samples; up to 20,000 test rows are scored (512 where each is an ODE).
    `expected` maps names of headline figures ("held-out log-likelihood", "gain over a Gaussian") to ranges.
    """
    scored = batch_of(model, test, some_rows(test, 512 if hasattr(model, "log_prob_estimate") else 20_000, seed))
    width = scored.x.shape[1]
    given = "" if scored.condition is None else f", given {scored.condition.shape[1]}"
    subtitle = f"{len(train):,} training and {len(test):,} test rows, {width} column{'s' * (width > 1)}{given}"
    page = Report(title or f"{type(model).__name__} of a table", subtitle=subtitle, expected=expected)
    names = list(getattr(test, "names", None) or [f"x{i + 1}" for i in range(width)])

    normalised = find_log_z(model, seed)
    ours = log_prob_of(model, scored, seed).double() if has_density(model) else None
    known = batch_of(model, train, some_rows(train, 20_000, seed))
    baselines = _baselines(known, scored, _whole_columns(test), seed)
    if ours is not None:
        likelihood, gain = Estimate.of(ours), Estimate.of(ours - baselines["a full Gaussian"])
        page.value("held-out log-likelihood", likelihood.value, likelihood.std_error, note=f"nats a row; {KINDS[model.log_prob_kind]}")  # fmt: skip
        page.value("gain over a Gaussian", gain.value, gain.std_error, note="nats a row; higher is better")

    n = min(len(train), len(test), most_rows)
    against, floor = _compare(model, train, test, n, seed) if n >= FEWEST else (None, None)
    if against and floor:
        shown = against.classifier
        note = f"50 is chance; real rows score {100 * floor.classifier.value:.0f}"
        page.value("told from real (%)", 100 * shown.value, 100 * shown.std_error, note=note)
    training_values(page, model, history, minutes)

    page.section("Likelihood")
    if ours is None:
        page.text(f"{type(model).__name__} draws samples and has no density, so there is no likelihood to show.")
    else:
        _likelihood_section(page, ours, baselines)
        page.text(normalised)
        if is_autoencoder(model):
            bound_values(page, model, scored.x[:512], seed)
            bound_section(page)
    page.section("Samples")
    real = batch_of(model, train, some_rows(train, 1000, seed))
    drawn = draw(model, len(real), real.condition, seed + 1)
    if width == 2 and scored.condition is None and ours is not None:
        _map(page, model, drawn, real.x.cpu(), (names[0], names[1]))
    else:
        page.figure(samples(real.x, drawn, names=names), "Training rows and samples, two columns at a time.")
    if against and floor:
        _comparison_section(page, against, floor, n)
    else:
        page.text(f"There are too few rows to compare samples with real ones: {n}, where {FEWEST} are the least.")
    if has_noise_levels(model):
        held_out = batch_of(model, test, some_rows(test, most_rows, seed))
        sampling_section(page, model, held_out, nfe, rows=most_rows // 2, seed=seed)
        copies_section(page, drawn, known.x, held_out.x, seed)
    training_section(page, history, loss_unit(model))
    return page


def _likelihood_section(page: Report, ours: Tensor, baselines: Mapping[str, Tensor]) -> None:
    """The model's log density of every test row beside those of the baselines."""
    likelihood = Estimate.of(ours)
    rows: list[list[Any]] = [["this model", (likelihood.value, likelihood.std_error), ""]]
    for name, theirs in baselines.items():
        value, lead = Estimate.of(theirs), Estimate.of(ours - theirs)
        rows.append([name, (value.value, value.std_error), (lead.value, lead.std_error)])
    page.text(LIKELIHOOD)
    page.table(rows, ["", "nats a row", "gain of the model"], f"Mean over {len(ours):,} test rows.")


def _baselines(train: Batch, test: Batch, whole: Tensor, seed: int) -> dict[str, Tensor]:
    """Log densities of the test rows. Whole numbers get uniform noise first, as the models give them."""
    generator = torch.Generator().manual_seed(seed)
    known, new = (b.x.cpu().double() + whole * torch.rand(b.x.shape, generator=generator) for b in (train, test))
    alone = independent_columns(known, new)
    if train.condition is None or test.condition is None:
        return {"a full Gaussian": gaussian(known, new), "columns on their own": alone}
    given = train.condition.shape[1]
    full = gaussian(torch.cat([known, train.condition.cpu()], 1), torch.cat([new, test.condition.cpu()], 1), given)
    return {"a full Gaussian": full, "columns on their own": alone}


def _whole_columns(data: Any) -> Tensor:
    return torch.tensor(
        [float(getattr(column, "kind", "") == "integer") for column in getattr(data, "columns", ())] or [0.0]
    )


def _compare(model: Any, train: Any, test: Any, n: int, seed: int) -> tuple[Comparison, Comparison]:
    """How samples, and how training rows, compare with as many test rows, conditions included."""
    real, known = batch_of(model, test, some_rows(test, n, seed)), batch_of(model, train, some_rows(train, n, seed))
    drawn = Batch(draw(model, n, real.condition, seed), real.condition)
    sets = [
        b.x if b.condition is None else torch.cat([b.x.to(b.condition), b.condition], 1) for b in (drawn, known, real)
    ]
    rows = [s.cpu().double() for s in sets]
    scale = torch.cat(rows[1:]).std(0).clamp(min=1e-12)
    ours, floor, theirs = (r / scale for r in rows)
    return Comparison.of(ours, theirs, seed), Comparison.of(floor, theirs, seed)


def _comparison_section(page: Report, ours: Comparison, floor: Comparison, n: int) -> None:
    def cells(c: Comparison) -> tuple[str, str, str]:
        classifier = f"{100 * c.classifier.value:.1f} ± {100 * c.classifier.std_error:.1f} %"
        return classifier, f"{c.discrepancy.squared:.4f} (p = {c.discrepancy.p_value:.2g})", f"{c.distance:.3g}"

    rows = list(zip(("classifier", "MMD²", "W2"), cells(ours), cells(floor), strict=True))
    page.text(COMPARISON).table(rows, ["", "samples", "floor: real rows"], f"{n:,} rows on each side.")


def _map(page: Report, model: Any, drawn: Tensor, real: Tensor, names: tuple[str, str]) -> None:
    estimated = hasattr(model, "log_prob_estimate")

    def log_prob(grid: Tensor) -> Tensor:
        return log_prob_of(model, Batch(grid.to(device_of(model), dtype_of(model))), 0)

    figure = density(log_prob, generated=drawn, real=real, names=names, resolution=50 if estimated else 160)
    page.figure(figure, "The log density of the model, its samples, and training rows.")
