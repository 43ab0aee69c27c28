"""The vector field of a neural CDE: for every state a matrix that turns dX into dz."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.solver import Solver
from pushforward.parts.diffeq.interpolation import PiecewisePolynomial
from pushforward.parts.diffeq.solvers import euler, heun, midpoint, rk4
from pushforward.parts.diffeq.solvers.runge_kutta import Tableau

from .controlled_steps import controlled_path

TABLEAUS = {"Euler": euler.TABLEAU, "Heun": heun.TABLEAU, "Midpoint": midpoint.TABLEAU, "RK4": rk4.TABLEAU}


@register
class ControlField(nn.Module):
    """f(z) `(n, hidden, channels)` for z `(n, hidden)`: `layers` of `width` units with ReLU, a linear one, and a tanh.

    The tanh bounds f, without which long paths run away; with `bounded=False` it is left out. Without hidden layers f is
    then affine.

    Raises `ConfigError` for sizes below 1.

    >>> ControlField(4, 3, width=8)(torch.randn(5, 4)).shape
    torch.Size([5, 4, 3])
    """

    def __init__(self, hidden: int, channels: int, width: int = 64, layers: int = 2, bounded: bool = True):
        super().__init__()
        if min(hidden, channels, width, layers + 1) < 1:
            raise ConfigError(f"expected hidden, channels and width of at least 1 and layers of at least 0, got {hidden}, "
                              f"{channels}, {width} and {layers}; raise what is too small")  # fmt: skip
        self.hidden, self.channels, self.bounded = hidden, channels, bounded
        sizes = [hidden, *[width] * layers, channels * hidden]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))

    def forward(self, z: Float[Tensor, "n hidden"]) -> Float[Tensor, "n hidden channels"]:
        """One matrix for each row."""
        return self._by_channel(z).transpose(1, 2)

    def along(self, z: Float[Tensor, "n hidden"], slope: Float[Tensor, "n channels"]) -> Float[Tensor, "n hidden"]:
        """f(z) dX/dt for a slope dX/dt: the right-hand side of an ordinary equation."""
        return torch.bmm(slope.unsqueeze(1), self._by_channel(z)).squeeze(1)

    def _by_channel(self, z: Tensor) -> Tensor:
        *inner, last = self.layers
        for layer in inner:
            z = layer(z).relu()
        f = last(z).unflatten(1, (self.channels, self.hidden))
        return f.tanh() if self.bounded else f


def fixed_path(field: ControlField, path: PiecewisePolynomial, z0: Tensor, solver: Solver | Tableau,
               steps: int = 1) -> Float[Tensor, "places n hidden"]:  # fmt: skip
    """z at the start and after every step of dz = f(z) dX, with `steps` equal steps in each piece of the path.

    `solver` is one of fixed steps, or the tableau of an explicit method. Raises `ConfigError` for another.
    """
    tableau = solver if isinstance(solver, Tableau) else TABLEAUS.get(type(solver).__name__)
    if tableau is None:
        raise ConfigError(f"expected a solver among {', '.join(TABLEAUS)} for fixed steps, got {type(solver).__name__}")
    weights = [layer.weight for layer in field.layers]
    biases = [layer.bias for layer in field.layers]
    return controlled_path(z0, path.moves(tableau.distinct, steps), weights, biases, tableau, field.bounded)  # pyright: ignore
