"""What samples of a diffusion model cost, at which levels of noise it errs, and, for rows of a table, whether it copies."""

from collections.abc import Sequence
from typing import Any

import torch

from pushforward.core.data import Batch
from pushforward.lab.metrics import loss_by_noise, nearest_neighbours, sampling_curve
from pushforward.lab.plots import cost_curves, noise_bars
from pushforward.models.diffusion import Diffusion

from .page import Report

FEWEST = 20  # real rows, in two halves
COST = """
Samples are compared with held-out rows for each number of network evaluations. Lengths are in standard deviations of the real rows, W2 is
exact, MMD² is unbiased and may be negative. The floor is what real rows score; where the curve is flat, more steps bring nothing.
"""
LEVELS = """
The error in what the network predicts, on held-out rows, for each tenth of t. It cannot be zero: a part of the noise cannot be told from the
data. The training loss is an average of these.
"""
COPIES = """
Distances are Euclidean, from a row to its nearest training row. Held-out rows are the yardstick: a model that learned the distribution is as far
from the training rows as they are, one that copies is nearer (Meehan et al. 2020).
"""


def has_noise_levels(model: Any) -> bool:
    """Whether there is anything for this section to say: of models that denoise in the space of the data."""
    return isinstance(model, Diffusion)


def sampling_section(
    page: Report, model: Any, test: Batch, nfe: Sequence[int], *, rows: int, seed: int, guide: Any = None
) -> None:
    """The curve of samples over evaluations, as a figure and a table, and the error at each level of noise."""
    if not has_noise_levels(model):
        return
    page.section("What samples cost")
    if len(test) < FEWEST:
        page.text(
            f"There are too few held-out rows to compare samples with: {len(test)}, where {FEWEST} are the least."
        )
    else:
        curve = sampling_curve(model, test.x, test.condition, nfe=nfe, rows=rows, guide=guide, seed=seed)
        page.text(COST).figure(
            cost_curves(curve), "Distance to real rows over network evaluations a sample, both scales of distance."
        )
        cells = [[str(n), f"{w:.3g}", f"{m:.4f}"] for n, w, m in zip(curve.evaluations, curve.wasserstein, curve.mmd)]
        cells.append(["floor: real rows", f"{curve.wasserstein_floor:.3g}", f"{curve.mmd_floor:.4f}"])
        page.table(cells, ["network evaluations", "W2", "MMD²"], f"{curve.rows:,} rows on each side.")
    levels = loss_by_noise(model, test.x, test.condition, seed=seed)
    page.section("Error at each level of noise").text(LEVELS)
    page.figure(noise_bars(levels), "Mean squared error of held-out rows by noise level, with standard errors.")


def copies_section(page: Report, samples: torch.Tensor, train: torch.Tensor, test: torch.Tensor, seed: int) -> None:
    """Whether rows of a table are copied from the training rows."""
    scale = train.double().std(0).clamp(min=1e-12).cpu()
    drawn, known, fresh = (part.cpu().double() / scale for part in (samples, train, test))
    near = nearest_neighbours(drawn, known, fresh, max_rows=1000, seed=seed)
    page.value("distance to training rows", near.ratio or 0.0, note="1 for held-out rows; far below 1 for copies")
    page.section("Nearest training rows").text(COPIES)
    page.text(f"The median distance of samples is {near.ratio or 0.0:.2f} times that of held-out rows, in standard deviations of the columns. "
              f"That samples are nearer by chance has p = {near.p_value or 0.0:.2g}.")  # fmt: skip
