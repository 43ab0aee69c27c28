"""Two sets of rows, checked and brought to one form, for every metric that compares sets."""

import torch
from torch import Tensor

from ...core.errors import ShapeError, UserError


def as_rows(x: Tensor, name: str = "x") -> Tensor:
    """`(n, *event)` as `(n, d)` in float64 on the CPU. Raises `UserError` when a number is not finite."""
    if x.ndim < 1 or len(x) == 0:
        raise ShapeError(
            f"expected {name} of shape (n, *event) with at least one row, got {tuple(x.shape)}; pass rows to compare"
        )
    rows = x.detach().double().cpu().reshape(len(x), -1)
    bad = int((~rows.isfinite()).any(1).sum())
    if bad:
        raise UserError(
            f"expected finite numbers in {name}, got NaN or inf in {bad} of {len(rows)} rows; leave out or fill them"
        )
    return rows


def two_sets(x: Tensor, y: Tensor, names: tuple[str, str] = ("x", "y")) -> tuple[Tensor, Tensor]:
    """Both sets as rows. Raises `ShapeError` when their events differ."""
    if x.shape[1:] != y.shape[1:]:
        raise ShapeError(
            f"expected {names[0]} and {names[1]} with events of one shape, got {tuple(x.shape[1:])} and "
            f"{tuple(y.shape[1:])}; compare like with like"
        )
    return as_rows(x, names[0]), as_rows(y, names[1])


def subsample(x: Tensor, rows: int, seed: int = 0) -> Tensor:
    """At most `rows` rows, drawn without replacement; the same ones for the same seed."""
    if len(x) <= rows:
        return x
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order[:rows].to(x.device)]


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances `(n, m)`, by differences: exact where points nearly coincide."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()


def nearest(x: Tensor, y: Tensor, count: int, chunk: int = 1 << 24) -> tuple[Tensor, Tensor]:
    """Distances and indices `(n, count)` of the nearest rows of `y` for each row of `x`, in bounded memory."""
    step = max(1, chunk // len(y))
    parts = [
        torch.cdist(part, y, compute_mode="donot_use_mm_for_euclid_dist").topk(count, largest=False)
        for part in x.split(step)
    ]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])
