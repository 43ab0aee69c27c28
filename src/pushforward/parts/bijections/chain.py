"""Composition: log abs dets of the parts add (the change of variables, applied once for each part)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

import torch
from torch import Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .reversible import Memory, run_reversibly


@register
class Chain(Bijection):
    """x = T_k(... T_1(z)): parts in the order noise -> data, the first one nearest to the noise.

    The condition goes to the parts that take one; they must agree on its shape. The inverse is iterative when that of
    any part is. With `memory="reversible"` training keeps no activations but the last: they are rebuilt from it in the
    backward pass, so that memory does not grow with the number of parts (see `reversible.py`).

    Raises `ConfigError` for no parts, for parts that do not fit together, or for another kind of memory.

    >>> import torch
    >>> from pushforward.parts.bijections import Affine
    >>> twice = Affine(torch.zeros(2), torch.full((2,), 2.0))
    >>> Chain([twice, twice, twice])(torch.ones(2))
    (tensor([8., 8.]), tensor(4.1589))
    """

    def __init__(self, parts: Sequence[Bijection], memory: str = "ordinary"):
        super().__init__()
        if memory not in get_args(Memory):
            raise ConfigError(f"expected memory {' or '.join(map(repr, get_args(Memory)))}, got {memory!r}")
        if not parts:
            raise ConfigError("expected at least one part, got none; give the bijections in the order noise -> data")
        for i, (before, after) in enumerate(pairwise(parts)):
            if before.output_shape != after.event_shape:
                raise ConfigError(f"expected part {i + 1} to take events of shape {tuple(before.output_shape)}, as part {i} gives them, "
                                  f"got {tuple(after.event_shape)}; reshape between them")  # fmt: skip
        conditions = list({part.condition_shape for part in parts if part.condition_shape is not None})
        if len(conditions) > 1:
            raise ConfigError(f"expected one shape of condition for all parts, got {', '.join(str(tuple(c)) for c in conditions)}; "
                              "build them for the same one")  # fmt: skip
        self.event_shape, self.output_shape = parts[0].event_shape, parts[-1].output_shape
        self.condition_shape = conditions[0] if conditions else None
        self.inverse_kind = "iterative" if any(part.inverse_kind == "iterative" for part in parts) else "exact"
        self.log_det_kind = "estimate" if any(part.log_det_kind == "estimate" for part in parts) else "exact"
        self.parts, self.memory = nn.ModuleList(parts), memory

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.memory == "reversible" and torch.is_grad_enabled():
            return run_reversibly(self._ordered(), z, condition, inverse=False)
        x, total = z, z.new_zeros(len(z))
        for part in self._ordered():
            x, log_det = part._forward(x, None if part.condition_shape is None else condition)
            total = total + log_det
        return x, total

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.memory == "reversible" and torch.is_grad_enabled():
            return run_reversibly(self._ordered(), x, condition, inverse=True)
        z, total = x, x.new_zeros(len(x))
        for part in reversed(self._ordered()):
            z, log_det = part._inverse(z, None if part.condition_shape is None else condition)
            total = total + log_det
        return z, total

    def _ordered(self) -> list[Bijection]:
        return [part for part in self.parts if isinstance(part, Bijection)]
