"""Is a flow what it says? Each layer is run there and back on data, and its log det held against automatic differentiation.

The walk along the layers is here, what is asked of one of them in `check_layer.py`, the table in `check_report.py`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import device_of, dtype_of
from pushforward.core.shapes import flatten_batch, flatten_condition, match_dtype
from pushforward.parts.bijections import Chain, Inverse

from .check_layer import examine, row_by_row
from .check_report import CheckReport
from .lattice import in_cell

if TYPE_CHECKING:
    from .dequantised import Dequantised
    from .flow import Flow
    from .variational_dequantised import VariationalDequantised


def check(flow: "Flow", x: Tensor, condition: Tensor | None = None) -> CheckReport:
    """Run `flow` there and back at x `(*batch, *event)`, layer by layer, in evaluation mode, and say what does not fit.

    Every layer is examined at the rows that really reach it on the way from data to noise. Rows of x that are not finite, or
    outside the support of a layer (where it raises `DataError`), are counted and left out of the rest. Chains are taken
    apart, those within chains too; layers are numbered in the order noise -> data. Log dets that are estimates are not
    compared, and Jacobians are those of the first rows, for events of up to 500 numbers.

    Raises `ShapeError` for x or a condition that the flow does not take.

    >>> from pushforward.parts.bijections import Affine
    >>> from pushforward.parts.distributions import Flow, Gaussian
    >>> flow = Flow(Gaussian.standard(2), Affine(torch.zeros(2), torch.tensor([2.0, 0.5])))
    >>> report = check(flow, torch.tensor([[1.0, 2.0], [3.0, math.nan]]))
    >>> report.ok, report.not_finite, report.layers[0].name
    (True, 1, '0 Affine')
    """
    flat, batch = flatten_batch(x, flow.event_shape)
    given = flatten_condition(condition, flow.condition_shape, batch, flow.condition_optional)
    flat = match_dtype(flat.detach(), dtype_of(flow)).to(device_of(flow))
    finite = row_by_row(flat).isfinite().all(1)
    given = flow._standardised(None if given is None else given.detach().to(flat.device))
    if given is not None:
        finite = finite & row_by_row(given).isfinite().all(1)
    rows, conditions = flat[finite], None if given is None else given[finite]
    with _evaluating(flow):
        whole, z, log_det, _ = examine(flow.bijection, "whole flow", rows, conditions)
        log_prob = log_det[:0]
        if flow.base.log_prob_kind != "none":
            with torch.no_grad():
                log_prob = flow.base._log_prob(z, None) + log_det
        layers = []
        for name, part in reversed(list(_flattened(flow.bijection))):
            layer, rows, _, kept = examine(part, name, rows, conditions)
            conditions = None if conditions is None else conditions[kept]
            layers.append(layer)
    return CheckReport(
        rows=len(flat), not_finite=len(flat) - int(finite.sum()), dtype=str(flat.dtype).removeprefix("torch."),
        layers=tuple(layers[::-1]), whole=whole, scored=len(log_prob), finite_scores=int(log_prob.isfinite().sum()),
        impossible_scores=int((log_prob.isnan() | (log_prob == math.inf)).sum()),
    )  # fmt: skip


def check_in_cells(
    model: "Dequantised | VariationalDequantised", x: Tensor, condition: Tensor | None = None
) -> CheckReport:
    """`check` of the flow inside, with every row of x moved to the middle of its cell of the lattice.

    Raises `ConfigError` where the model inside is no flow.
    """
    from .flow import Flow

    if not isinstance(model.model, Flow):
        raise ConfigError(
            f"expected a dequantised Flow, got a dequantised {type(model.model).__name__}; only flows have layers to check"
        )
    flat, batch = flatten_batch(x, model.event_shape)
    flat = match_dtype(flat, dtype_of(model)).to(model.steps.device)
    middle = in_cell(flat, torch.full_like(model.steps, 0.5), model.steps)
    return check(model.model, middle.reshape(batch + model.event_shape), condition)


def _flattened(part: Bijection, place: str = "") -> Iterator[tuple[str, Bijection]]:
    """The bijections that a chain of chains consists of, noise -> data, each named by its place and class."""
    if isinstance(part, Inverse) and isinstance(part.part, Inverse):
        yield from _flattened(part.part.part, place)
        return
    turned = isinstance(part, Inverse) and isinstance(part.part, Chain)
    chain = part.part if isinstance(part, Inverse) and turned else part
    if isinstance(chain, Chain):
        numbered = [(f"{place}.{i}".lstrip("."), own) for i, own in enumerate(chain._ordered())]
        for i, own in reversed(numbered) if turned else numbered:
            yield from _flattened(Inverse(own) if turned else own, i)
        return
    name = type(part).__name__
    name = f"Inverse({type(part.part).__name__})" if isinstance(part, Inverse) else name
    yield f"{place or '0'} {name}", part


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, without dropout, and every module put back into its own."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
