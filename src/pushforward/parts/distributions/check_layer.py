"""One bijection T at given data: is T^-1 its inverse, and are the log dets those of the Jacobian?

With J the Jacobian of T^-1 at x, the oracle of automatic differentiation:

    T(T^-1(x)) = x,    log abs det of T^-1 = log abs det J,    and the log dets of the two directions cancel.

What rounding explains is no fault. To first order, z rounded by eps moves T(z) by eps |J^-1|, so tolerances are `SLACK`
roundings times that. Norms are measured at every row by random probes, |J' u| for Gaussian u (a Frobenius norm, but for a
small factor); rounding each entry of J moves log abs det J by at most eps sum_ij |J^-1|_ji |J|_ij.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.batching import chunks
from pushforward.core.bijection import Bijection
from pushforward.core.errors import DataError, UserError
from pushforward.core.solved import Solved

from .check_report import LayerCheck

SLACK = 300  # a layer may round some dozens of times
PROBES = 3
LARGEST = 500  # numbers of an event whose Jacobian is written out
JACOBIANS = 3  # rows
ROWS, NUMBERS = 512, 1 << 15  # at once: the graph of both directions is kept


def examine(
    part: Bijection, name: str, x: Tensor, condition: Tensor | None
) -> tuple[LayerCheck, Tensor, Tensor, Tensor]:
    """The line of one bijection at finite rows x `(n, *event)`.

    With it z and log abs det dz/dx of the rows that came through, and a mask `(n,)` of these.
    """
    notes, given = _Notes(), None if part.condition_shape is None else condition
    size = max(1, min(ROWS, NUMBERS // max(part.event_shape.numel(), 1)))
    blocks = list(chunks(len(x), size)) or [(0, 0)]
    seen = _joined([_measure(part, x[a:b], None if given is None else given[a:b], notes) for a, b in blocks])
    refused, good = seen.state == 2, (seen.state == 0) & (seen.broken == 0)
    faults, found, note = [], None, ""
    if bool(refused.any()):
        faults.append(f"{int(refused.sum())} of {len(x)} rows refused: {notes.message}")
    if bool(seen.broken.any()):
        faults.append(
            f"{int(seen.broken.sum())} numbers not finite (values, log dets, slopes), in {int((seen.broken > 0).sum())} of {len(x)} rows"
        )
    faults += _excess("round trip", seen.error[good], seen.allowed[good])
    if part.log_det_kind != "exact":
        note = "estimate"
    else:
        faults += _excess("sum of the two log dets", seen.total[good], seen.total_allowed[good])
        if part.event_shape.numel() > LARGEST:
            note = "too large"
        elif bool(good.any()):
            some = good.nonzero()[:JACOBIANS, 0].tolist()
            pairs = [_log_det_error(part, x[i], None if given is None else given[i]) for i in some]
            error, allowed = (torch.tensor(column) for column in zip(*pairs))
            faults += _excess("log det against automatic differentiation", error, allowed)
            found = float(error.max())
    line = LayerCheck(
        name=name, rows=int(good.sum()), round_trip=_most(seen.error[good]), relative=_most((seen.error / (1 + seen.size))[good]),
        log_det_error=found, log_det_note=note, log_det_sum=None if note == "estimate" else _most(seen.total[good]),
        not_finite=int(seen.broken.sum()), outside=int((seen.state == 1).sum()), residual=notes.residual, faults=tuple(faults),
    )  # fmt: skip
    return line, seen.z[good], seen.log_det[good], good


def row_by_row(t: Tensor) -> Tensor:
    """`(n, *event)` as `(n, numbers)`."""
    return t.reshape(len(t), math.prod(t.shape[1:]))


@dataclass
class _Seen:
    """One entry a row of what a pass there and back gave; NaN for rows that were refused."""

    z: Tensor
    log_det: Tensor
    error: Tensor
    size: Tensor  # of x
    allowed: Tensor
    total: Tensor  # of the two log dets
    total_allowed: Tensor
    broken: Tensor  # numbers that are not finite
    state: Tensor  # 0: mapped, 1: outside the support, 2: refused in another way


def _joined(parts: Sequence[_Seen]) -> _Seen:
    return _Seen(*(torch.cat(column) for column in zip(*(tuple(vars(part).values()) for part in parts))))


@dataclass
class _Notes:
    """What a pass says that is not a number of one row."""

    message: str = ""
    residual: float | None = None


class _Refused(Exception):
    """A direction raised; `outside` where data have no place in the support."""

    def __init__(self, message: str, outside: bool):
        super().__init__(message)
        self.outside = outside


def _measure(part: Bijection, x: Tensor, condition: Tensor | None, notes: _Notes) -> _Seen:
    """`_there_and_back`; a batch is refused as a whole, so its bad rows are searched out by halves."""
    try:
        return _there_and_back(part, x, condition, notes)
    except _Refused as refusal:
        if len(x) <= 1:
            if not refusal.outside:
                notes.message = notes.message or str(refusal)
            none, state = torch.zeros(len(x), dtype=torch.long, device=x.device), 1 if refusal.outside else 2
            z, nan = x.new_full((len(x), *part.event_shape), math.nan), x.new_full((len(x),), math.nan)
            return _Seen(z, nan, nan, nan, nan, nan, nan, none, none + state)
    ends = (0, len(x) // 2), (len(x) // 2, len(x))
    return _joined([_measure(part, x[a:b], None if condition is None else condition[a:b], notes) for a, b in ends])


def _there_and_back(part: Bijection, x: Tensor, condition: Tensor | None, notes: _Notes) -> _Seen:
    eps = torch.finfo(x.dtype).eps
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        try:
            z, there = part._inverse(x, condition)
        except UserError as error:
            raise _Refused(str(error), isinstance(error, DataError)) from None
        inward = _norm(z, x)
        z = z.detach().requires_grad_()
        try:
            again, back = part._forward(z, condition)
        except UserError as error:  # of what its own inverse gave
            raise _Refused(f"on the way back, {error}", False) from None
        outward, slope = _norm(again, z), row_by_row(_gradient(back.sum(), z)).abs().sum(1)
    _note_residual(part, notes)
    x, z, there, again, back = (t.detach() for t in (x, z, there, again, back))
    size, size_z = row_by_row(x).abs().amax(1), row_by_row(z).abs().amax(1)
    allowed = SLACK * eps * (1 + size + outward * (1 + size_z))
    moved = eps * (1 + size_z + inward * (1 + size))
    total_allowed = SLACK * (eps * (part.event_shape.numel() + there.abs()) + slope * moved)
    broken = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for t in (z, there, again, back, inward, outward, slope):
        broken = broken + (~row_by_row(t).isfinite()).sum(1)
    error, total = row_by_row(again - x).abs().amax(1), (there + back).abs()
    return _Seen(z, there, error, size, allowed, total, total_allowed, broken, torch.zeros_like(broken))


def _norm(out: Tensor, source: Tensor) -> Tensor:
    """|d out / d source| of every row, `(n,)`."""
    generator, most = torch.Generator().manual_seed(0), source.new_zeros(len(source))
    for _ in range(PROBES):
        u = torch.randn(out.shape[1:], generator=generator, dtype=torch.float64).to(out)
        most = torch.maximum(most, row_by_row(_gradient((out * u).sum(), source)).norm(dim=1))
    return most


def _gradient(out: Tensor, source: Tensor) -> Tensor:
    if not out.requires_grad:
        return torch.zeros_like(source)
    (found,) = torch.autograd.grad(out, source, retain_graph=True, allow_unused=True)
    return torch.zeros_like(source) if found is None else found


def _log_det_error(part: Bijection, x: Tensor, condition: Tensor | None) -> tuple[float, float]:
    """|log det - log abs det J| at one event, and what rounding explains of it."""
    numbers = part.event_shape.numel()
    with torch.enable_grad():
        # One copy of the row for each number of z: one backward pass gives all rows of J, since events do not see each other.
        copies = x.detach().expand(numbers, *x.shape).clone().requires_grad_()
        z, log_det = part._inverse(copies, None if condition is None else condition.expand(numbers, *condition.shape))
        matrix = row_by_row(_gradient(row_by_row(z).diagonal().sum(), copies)).double()
    expected, claimed = float(torch.linalg.slogdet(matrix).logabsdet), float(log_det[0].detach())
    inverse, failed = torch.linalg.inv_ex(matrix)
    rounding = 0.0 if int(failed) else float((inverse.T.abs() * matrix.abs()).sum())
    return abs(claimed - expected), SLACK * torch.finfo(x.dtype).eps * (1 + abs(claimed) + rounding)


def _note_residual(part: Bijection, notes: _Notes) -> None:
    """The largest residual that an iteration in this part has reported."""
    for module in part.modules():
        for holder in (module, *vars(module).values()):
            solved = getattr(holder, "solved", None)
            if isinstance(solved, Solved):
                notes.residual = max(notes.residual or 0.0, solved.residual)


def _excess(what: str, error: Tensor, allowed: Tensor) -> list[str]:
    bad = ~(error <= allowed)
    if not bool(bad.any()):
        return []
    worst = int((error / allowed).argmax())
    return [
        f"{what}: off by {float(error[worst]):.2g} where rounding explains {float(allowed[worst]):.2g}, in {int(bad.sum())} of {len(bad)} rows"
    ]


def _most(values: Tensor) -> float | None:
    return float(values.max()) if len(values) else None
