"""A state of several tensors as one matrix, so that a solver's step touches one tensor."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import ShapeError


class Packing:
    """How to write a tuple, list or dict of tensors `(n, *event)` as one `(n, D)`, and back; nested as it may be."""

    def __init__(self, tree: Any):
        tensors = list(_leaves(tree, tree))
        if not tensors or any(leaf.ndim < 1 or len(leaf) != len(tensors[0]) for leaf in tensors):
            shapes = [tuple(leaf.shape) for leaf in tensors]
            raise ShapeError(
                f"expected y0 as tensors (n, *event) with the same n, got shapes {shapes}; bring them to one batch size"
            )
        if len({leaf.dtype for leaf in tensors}) > 1:
            raise ShapeError(
                f"expected one dtype in y0, got {sorted({str(leaf.dtype) for leaf in tensors})}; convert them to one"
            )
        self._tree = tree
        self._shapes = [leaf.shape[1:] for leaf in tensors]
        self._widths = [math.prod(shape) for shape in self._shapes]

    def pack(self, tree: Any) -> Tensor:
        """Side by side, `(n, D)`. Raises `ShapeError` for a tree that is not of the kind that was packed first."""
        tensors = list(_leaves(self._tree, tree))
        found = [leaf.shape[1:] for leaf in tensors]
        if found != self._shapes:
            raise ShapeError(f"expected f(t, y) as a tree of events {[tuple(s) for s in self._shapes]} like y, "
                             f"got {[tuple(s) for s in found]}; return the same tree as y")  # fmt: skip
        return torch.cat([leaf.flatten(1) if leaf.ndim > 1 else leaf.unsqueeze(1) for leaf in tensors], 1)

    def unpack(self, packed: Tensor) -> Any:
        """`(*batch, D)` to the tree with tensors `(*batch, *event)`."""
        parts = packed.split(self._widths, -1)
        return _fill(self._tree, iter([p.reshape(*packed.shape[:-1], *s) for p, s in zip(parts, self._shapes)]))


def _leaves(pattern: Any, tree: Any) -> Iterator[Tensor]:
    """The tensors of `tree` in the order of `pattern`: a dict may come with its keys in another order."""
    if isinstance(pattern, Tensor) and isinstance(tree, Tensor):
        yield tree
    elif isinstance(pattern, dict) and isinstance(tree, dict) and pattern.keys() == tree.keys():
        for key in pattern:
            yield from _leaves(pattern[key], tree[key])
    elif isinstance(pattern, tuple | list) and isinstance(tree, tuple | list) and len(pattern) == len(tree):
        for inner, item in zip(pattern, tree):
            yield from _leaves(inner, item)
    else:
        raise ShapeError("expected y0 and f(t, y) as the same tuple, list or dict of tensors, "
                         f"got {_name(tree)} where {_name(pattern)} stands; return the same tree as y")  # fmt: skip


def _name(tree: Any) -> str:
    inside = (
        f" of {len(tree)}" if isinstance(tree, Sequence) else f" of {sorted(tree)}" if isinstance(tree, dict) else ""
    )
    return type(tree).__name__ + inside


def _fill(pattern: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(pattern, dict):
        return {key: _fill(item, tensors) for key, item in pattern.items()}
    if isinstance(pattern, tuple | list):
        items = [_fill(item, tensors) for item in pattern]
        return getattr(pattern, "_make", type(pattern))(items)  # a named tuple has _make
    return next(tensors)
