"""What coupling and autoregressive flows share: an elementwise map whose parameters a network supplies.

x_i = tau(z_i; h_i): the transformer tau knows its own formula and inverse, the conditioner makes the parameters h_i
from numbers that do not depend on z_i (terms of Papamakarios et al. 2021, https://arxiv.org/abs/1912.02762, section 3).

Parameters come first, `(size, *shape)`: `parameters[k]` is the k-th parameter of all elements, one block of memory.
With them last, every operation over the few parameters of an element would run many times slower.
"""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from pushforward.core.errors import ConfigError


@runtime_checkable
class ElementwiseTransformer(Protocol):
    """A monotone map of numbers, invertible for every value of its parameters; (nearly) the identity where all are zero.

    A final class registers its constructor. Most learn nothing of their own; one that does is an `nn.Module` as well, and
    what it learns is shared by all elements.
    """

    size: int  # parameters of one element

    def forward(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """x and log dx/dz, elementwise, for z `(*shape)` and parameters `(size, *shape)`."""
        ...

    def inverse(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """z and log dz/dx, elementwise."""
        ...


def parameters_of(conditioner: nn.Module, x: Tensor, condition: Tensor | None, size: int) -> Tensor:
    """Run a conditioner on x `(n, inputs)`; its output `(n, size * features)` as `(size, features, n)`.

    Output `k * features + i` is the k-th parameter of feature i. A network with a method `columns` writes the transposed
    matrix at once; any other is transposed here.
    """
    columns: Any = getattr(conditioner, "columns", None)
    flat = conditioner(x, condition).T if columns is None else columns(x, condition)
    return flat.reshape(size, flat.shape[0] // size, len(x))


def require_widths(conditioner: nn.Module, inputs: int, outputs: int) -> int:
    """Raise `ConfigError` unless a conditioner has these widths; return the width of its condition."""
    have = getattr(conditioner, "inputs", None), getattr(conditioner, "outputs", None)
    if have != (inputs, outputs):
        raise ConfigError(f"expected a conditioner with {inputs} inputs and {outputs} outputs, got one with inputs {have[0]} and "
                          f"outputs {have[1]}; build it with inputs={inputs}, outputs={outputs}")  # fmt: skip
    return getattr(conditioner, "condition", 0)
