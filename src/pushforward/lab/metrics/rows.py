"""Two sets of rows, checked and brought to one form, for every metric that compares sets."""

import torch
from torch import Tensor

from pushforward.core.errors import ShapeError, UserError


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


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances `(n, m)`: by differences for few columns, which is exact where points nearly coincide.

    For many columns, images say, by a matrix product, which is many times faster and exact to 1e-8 of |x|.
    """
    few = x.shape[1] <= 32
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist" if few else "use_mm_for_euclid_dist")


def nearest(x: Tensor, y: Tensor, count: int, chunk: int = 1 << 24) -> tuple[Tensor, Tensor]:
    """Distances and indices `(n, count)` of the nearest rows of `y` for each row of `x`, in bounded memory."""
    step = max(1, chunk // len(y))
    parts = [_nearest(part, y, count) for part in x.split(step)]
    return torch.cat([distance for distance, _ in parts]), torch.cat([index for _, index in parts])


def _nearest(x: Tensor, y: Tensor, count: int) -> tuple[Tensor, Tensor]:
    if y.shape[1] <= 32:
        return distances(x, y).topk(count, largest=False)
    # The matrix product only picks candidates; their distances are then taken by differences, so that copies are at 0.
    candidates = distances(x, y).topk(min(count + 8, len(y)), largest=False).indices
    exact = torch.stack([(y[own] - row).norm(dim=1) for row, own in zip(x, candidates, strict=True)])
    distance, order = exact.topk(count, largest=False)
    return distance, candidates.gather(1, order)
