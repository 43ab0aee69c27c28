"""What a vector field uses besides t and y: the parameters and tensors that a gradient rule must serve.

A field is a function, and what it closes over is not written down anywhere. One evaluation with a graph tells: its
leaves are the parameters, and where the graph leaves the evaluation stand the tensors that were computed before.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pushforward.core.errors import ConfigError
from pushforward.core.term import Term

Edge = tuple[Any, int]  # a node of the graph, and which of its outputs


class Captured:
    """The tensors `terms` use that require gradients.

    `tensors` are the parameters and tensors themselves. `inputs` is what to differentiate an evaluation by, when it
    runs inside `evaluation()`: the tensors, or stand-ins for them where one was computed from another, since the path
    from one to the other lies outside the field and is not the field's to differentiate. Raises `ConfigError` when a
    tensor that was computed before enters the field in a way that cannot be followed.
    """

    def __init__(self, terms: Sequence[Term], t0: Tensor, t1: Tensor, y0: Tensor):
        leaves, tensors = _discover(terms, t0, t1, y0, {})
        found = {id(tensor): tensor for tensor in (*leaves, *tensors)}
        held = [p for module in modules_in(terms) for p in module.parameters() if p.requires_grad]
        found.update({id(p): p for p in held})
        self.tensors = list(found.values())
        self.inputs = self.tensors
        self.swaps: dict[Any, Tensor] = {}
        # A module may hold more than its field uses, and what else it holds may have made the earlier results.
        if tensors and _related([*leaves, *held], tensors):
            self.inputs = [tensor.detach().requires_grad_() for tensor in self.tensors]
            self.swaps = {_key(tensor): twin for tensor, twin in zip(self.tensors, self.inputs)}
            missed, strange = _discover(terms, t0, t1, y0, self.swaps)
            if strange or any(not any(leaf is twin for twin in self.inputs) for leaf in missed):
                raise ConfigError(_untraceable())
        self._known = {id(tensor) for tensor in self.inputs}
        self._edges = {_key(tensor) for tensor in self.inputs}

    def evaluation(self) -> AbstractContextManager[Any]:
        """Evaluate the terms inside this."""
        return _Swap(self.swaps) if self.swaps else nullcontext()

    def check(self, values: Sequence[Tensor], own: Sequence[Tensor]) -> None:
        """Raise `ConfigError` when the graph of `values` has a leaf that is neither `own` nor known.

        That is a field which uses other tensors at other times.
        """
        known = self._known | {id(tensor) for tensor in own}
        for node, index in _edges([(value.grad_fn, 0) for value in values], self._edges):
            leaf = getattr(node, "variable", None)
            if leaf is not None and id(leaf) not in known and (node, index) not in self._edges:
                raise ConfigError(
                    f"expected a field that uses the same tensors at all times, got one of shape {tuple(leaf.shape)} "
                    'that its first evaluation did not use; put it into an nn.Module, or pass gradient="direct"'
                )


def _discover(terms: Sequence[Term], t0: Tensor, t1: Tensor, y0: Tensor,
              swaps: dict[Any, Tensor]) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
    """Leaves and earlier results among what the terms use, from one evaluation."""
    with torch.enable_grad():
        y, start, end = (value.detach().requires_grad_() for value in (y0, t0, t1))
        before: int = y.view_as(y).grad_fn._sequence_nr()  # pyright: ignore[reportOptionalMemberAccess]
        with _Seen(before) as seen, _Swap(swaps) if swaps else nullcontext():
            fields = [term.vector_field(start, y) for term in terms]
            made = [term.product(f, term.control(start, end)) for term, f in zip(terms, fields)]
    own, leaves, outside = {id(y), id(start), id(end)}, [], []
    for node, index in _edges([(value.grad_fn, value.output_nr) for value in made], set(), before):
        leaf = getattr(node, "variable", None)
        if leaf is None:
            if (node, index) not in seen.tensors:
                raise ConfigError(_untraceable())
            outside.append(seen.tensors[node, index])
        elif id(leaf) not in own:
            leaves.append(leaf)
    return leaves, outside


def _untraceable() -> str:
    return (
        "expected the tensors that the field uses to be parameters, or to enter it by operations of torch, got one that "
        "was computed before and goes into a custom torch.autograd.Function; make it part of the state, or pass "
        'gradient="direct"'
    )


def _edges(start: Sequence[Edge], stop: set[Any], before: int = -1) -> Iterator[Edge]:
    """The ends of a graph: its leaves, the edges in `stop`, and those to nodes no younger than `before`."""
    waiting, met, opened = list(start), set(), set()
    while waiting:
        edge = waiting.pop()
        node = edge[0]
        if node is None or edge in met:
            continue
        met.add(edge)
        if hasattr(node, "variable") or edge in stop or node._sequence_nr() <= before:
            yield edge
        elif node not in opened:
            opened.add(node)
            waiting += node.next_functions


def _key(tensor: Tensor) -> Any:
    """What is the same for two Python objects that are the same tensor to autograd."""
    return id(tensor) if tensor.grad_fn is None else (tensor.grad_fn, tensor.output_nr)


def _related(leaves: Sequence[Tensor], tensors: Sequence[Tensor]) -> bool:
    """Whether one of `tensors` was computed from another, or from one of `leaves`."""
    known, targets = {id(leaf) for leaf in leaves}, {_key(tensor) for tensor in tensors}
    for tensor in tensors:
        assert tensor.grad_fn is not None
        for node, index in _edges(tensor.grad_fn.next_functions, targets):
            if (node, index) in targets or id(getattr(node, "variable", None)) in known:
                return True
    return False


class _Seen(TorchFunctionMode):
    """Remembers the tensors that operations are given and that were computed no later than node `before`."""

    def __init__(self, before: int):
        super().__init__()
        self.before, self.tensors = before, dict[Any, Tensor]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for x in _flat((args, kwargs)):
            if x.requires_grad and x.grad_fn is not None and x.grad_fn._sequence_nr() <= self.before:  # pyright: ignore
                self.tensors[_key(x)] = x
        return func(*args, **(kwargs or {}))


class _Swap(TorchFunctionMode):
    """Gives operations the stand-ins instead of the tensors they stand for."""

    def __init__(self, swaps: dict[Any, Tensor]):
        super().__init__()
        self.swaps = swaps

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*self._swapped(args), **self._swapped(kwargs or {}))

    def _swapped(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.swaps.get(_key(value), value)
        if isinstance(value, dict):
            return {key: self._swapped(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)([self._swapped(item) for item in value])
        return value


def _flat(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flat(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _flat(item)


def modules_in(value: Any, depth: int = 6) -> Iterator[nn.Module]:
    """Modules in a field: itself, what it is a method of, what it closes over, what a partial or an object holds."""
    if isinstance(value, nn.Module):
        yield value
        return
    if depth == 0 or isinstance(value, Tensor | type | str | bytes | int | float | complex | None):
        return
    inner: list[Any] = []
    if isinstance(value, functools.partial):
        inner = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, tuple | list | set):
        inner = list(value)
    elif callable(value) or isinstance(value, Term):
        inner = [getattr(value, "__self__", None), *_cells(value), *getattr(value, "__dict__", {}).values()]
    for item in inner:
        yield from modules_in(item, depth - 1)


def _cells(function: Any) -> list[Any]:
    """What a function closes over, and the modules among the globals that it names."""
    cells = getattr(function, "__closure__", None) or ()
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    named = [getattr(function, "__globals__", {}).get(name) for name in names]
    held = [cell.cell_contents for cell in cells if cell != type(cell)()]
    return held + [value for value in named if isinstance(value, nn.Module)]
