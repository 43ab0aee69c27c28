"""Convolutional neural process: a context that is shifted gives predictions that are shifted.

On a grid: density d(g) = sum_i k(g - x_i) and data sum_i k(g - x_i) y_i / d(g); a convolutional network f of both; at the targets
sum_g k'(x - g) f(g). k and k' are Gaussian bumps of learned widths. Gordon et al., 2020, https://arxiv.org/abs/1910.13556.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent

from pushforward.core.errors import ConfigError, DataError
from pushforward.core.objective import Objective
from pushforward.core.process import Context, Process
from pushforward.core.registry import register
from pushforward.models.flows.columns import seeded
from pushforward.parts.data.function_sets import FunctionSet
from pushforward.parts.nn.grid_network import GridNetwork

from .likelihood import context_likelihood
from .units import PointUnits

EPSILON = 1e-4  # of a density: a bump of one point, 4 widths away
WIDE = 6  # widths of a bump, beyond which it is zero for float32
START = 0.6  # cells: narrow enough for pixels; the sum of the bumps still varies by 0.2 % alone between cells
MOST_CELLS = 1 << 22


@register
class ConvolutionalNeuralProcess(Process):
    """Predicts functions of one or two coordinates whose law is the same everywhere: series, fields, images.

    The grid has `points_per_unit` cells in a unit of x, as x is given, and begins with the first point of each context; it
    covers context and targets and `margin` units more. By default the margin is what the network can see: then predictions do
    not change when all x are shifted by any number, and a target does not see the others. With a smaller margin both hold
    up to the influence of the border, for less time. The prediction is *not joint*: given the context, targets are independent.

    `channels`, `layers`, `kernel` and `levels` are those of `GridNetwork`. Raises `ConfigError` for sizes that do not fit.
    The extent of the grid is read from the points, which waits for the device once a call.

    >>> process = ConvolutionalNeuralProcess(points_per_unit=8, channels=8)
    >>> context = Context.of(torch.zeros(2, 3, 1), torch.ones(2, 3, 1))
    >>> process.predict(context, torch.zeros(2, 50, 1)).mean.shape
    torch.Size([2, 50, 1])
    """

    def __init__(self, x_dim: int = 1, y_dim: int = 1, points_per_unit: float = 16.0, margin: float | None = None,
                 channels: int = 32, layers: int = 4, kernel: int = 5, levels: int = 0, activation: str = "relu",
                 min_scale: float = 0.01):  # fmt: skip
        super().__init__()
        if x_dim not in (1, 2):
            raise ConfigError(
                f"expected functions of 1 or 2 coordinates, got {x_dim}; take an attentive neural process"
            )
        if not 0 < points_per_unit < math.inf or (margin is not None and not 0 <= margin < math.inf):
            raise ConfigError(f"expected points_per_unit above 0 and a margin of at least 0 or None, got {points_per_unit} "
                              f"and {margin}; correct them")  # fmt: skip
        self.x_dim, self.y_dim, self.spacing = x_dim, y_dim, 1 / points_per_unit
        self.units = PointUnits(x_dim, y_dim, min_scale)
        self.network = GridNetwork(x_dim, 1 + y_dim, 2 * y_dim, channels=channels, layers=layers, kernel=kernel,
                                   levels=levels, activation=activation)  # fmt: skip
        self.margin = margin if margin is not None else (self.network.reach + WIDE) * self.spacing
        self.log_width_in, self.log_width_out = (nn.Parameter(torch.tensor(START).log()) for _ in range(2))

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the log-likelihood per target point given a random context."""
        return context_likelihood

    def standardise(self, data: FunctionSet) -> None:
        """Take location and scale of y from the real points of `data`; x stays as it is, since the grid has its units."""
        self.units.standardise(data, x=False)

    def predict(self, context: Context, x_target: Float[Tensor, "n targets x_dim"]) -> Independent:
        """Normal predictions at `x_target` `(n, targets, x_dim)`, independent over the targets and over y's numbers.

        Raises `ShapeError` for a context or targets that do not fit the model, `DataError` for places that are not finite or
        so far apart that the grid would not fit into memory.
        """
        (x, y), where = self.units.points(context), self.units.targets(context, x_target)
        if not where.shape[:2].numel():
            return self.units.normal(where.new_zeros(*where.shape[:2], 2 * self.y_dim))
        grids = self._grids(x, context.mask, where)
        inputs = [self._bumps(x[..., d], g, self.log_width_in) for d, g in enumerate(grids)]
        outputs = [self._bumps(where[..., d], g, self.log_width_out) for d, g in enumerate(grids)]
        real = context.mask[:, None].to(y.dtype)
        given = torch.cat([real, y.transpose(1, 2)], 1)  # (n, 1 + y_dim, points); y is zero where there is padding
        field = _spread_out(given, inputs)
        density, data = field[:, :1], field[:, 1:]
        found = self.network(torch.cat([density, data / (density + EPSILON)], 1))
        # So much of each bump that those of a whole grid add up to 1, whatever their width.
        unit = (torch.exp(-self.log_width_out) / math.sqrt(2 * math.pi)) ** self.x_dim
        return self.units.normal(_read(found, outputs) * unit)

    def _bumps(self, x: Tensor, grid: Tensor, log_width: Tensor) -> Tensor:
        """exp(-(x - g)^2 / (2 width^2)), `(n, points, cells)`."""
        rate = torch.exp(-log_width) / self.spacing * math.sqrt(0.5)
        return torch.exp(-((x * rate)[..., None] - (grid * rate)[:, None]).square())

    def _grids(self, x: Tensor, mask: Tensor, where: Tensor) -> list[Tensor]:
        """The cells of each coordinate, `(n, cells)`: as many for all functions, at an offset of each one's own."""
        real, multiple, step = mask[..., None], self.network.multiple, self.spacing
        inner = (
            torch.where(real, x.detach(), torch.inf).amin(1)
            if mask.shape[1]
            else torch.full_like(where[:, 0], torch.inf)
        )
        first = torch.where(inner.isfinite(), inner, 0.0)
        block = multiple * step
        offset = (
            first - (first / block).floor() * block
        )  # a network of several levels sees shifts of whole blocks alike
        known, asked = torch.where(real, x.detach(), where.detach()[:, :1]), where.detach()
        both = torch.cat([known, asked], 1)
        low = (((both - offset[:, None]).amin((0, 1)) - self.margin) / block).floor()
        high = (((both - offset[:, None]).amax((0, 1)) + self.margin) / block).ceil()
        ends = torch.stack([low, high]).T.tolist()
        cells = 1.0
        for a, b in ends:
            cells *= (b - a + 1) * multiple
        if not cells <= MOST_CELLS:  # NaN too
            raise DataError(f"expected finite places on a grid of at most {MOST_CELLS} cells, got {cells:g} cells; "
                            "correct x, or take fewer points_per_unit")  # fmt: skip
        return [offset[:, d, None] + step * torch.arange(int(a) * multiple, (int(b) + 1) * multiple, device=x.device)
                for d, (a, b) in enumerate(ends)]  # fmt: skip


def _spread_out(values: Tensor, bumps: list[Tensor]) -> Tensor:
    """Values `(n, channels, points)` summed onto the grid, `(n, channels, *cells)`, by one bump for each coordinate."""
    if len(bumps) == 1:
        return values @ bumps[0]
    return (values[:, :, None] * bumps[0].transpose(1, 2)[:, None]) @ bumps[1][:, None]


def _read(field: Tensor, bumps: list[Tensor]) -> Tensor:
    """A field `(n, channels, *cells)` summed at the targets, `(n, targets, channels)`, by one bump for each coordinate."""
    if len(bumps) == 1:
        return bumps[0] @ field.transpose(1, 2)
    return ((bumps[0][:, None] @ field) * bumps[1][:, None]).sum(-1).transpose(1, 2)


def convolutional_neural_process(data: FunctionSet | None = None, *, x_dim: int = 1, y_dim: int = 1,
                                 points_per_unit: float | None = None, margin: float | None = None, channels: int = 32,
                                 layers: int = 4, kernel: int = 5, levels: int = 0, activation: str = "relu",
                                 min_scale: float = 0.01, seed: int = 0) -> ConvolutionalNeuralProcess:  # fmt: skip
    """Build a convolutional neural process, sized for `data` and standardised by it, or for `x_dim` and `y_dim`.

    By default the grid is as fine as the points of an average function, were they spread evenly: for pixels it has one cell
    a pixel. Without data it has 16 cells a unit.

    >>> from pushforward.parts.data import gp_draws
    >>> convolutional_neural_process(gp_draws("rbf", 100, points=40), channels=8).predict(
    ...     Context.of(torch.zeros(1, 0, 1), torch.zeros(1, 0, 1)), torch.zeros(1, 3, 1)).event_shape
    torch.Size([3, 1])
    """
    if data is not None:
        x_dim, y_dim = data.x_dim, data.y_dim
        points_per_unit = _spread(data) if points_per_unit is None else points_per_unit
    with seeded(seed):
        process = ConvolutionalNeuralProcess(x_dim, y_dim, points_per_unit or 16.0, margin, channels, layers, kernel, levels,
                                             activation, min_scale)  # fmt: skip
    if data is not None:
        process.standardise(data)
    return process


def _spread(data: FunctionSet) -> float:
    """Points in a unit of a coordinate, for points of an average function spread evenly over the box of all points."""
    real = data.x[data.mask]
    sides = (real.amax(0) - real.amin(0)).double()
    a_side = (float(data.mask.sum()) / len(data)) ** (1 / data.x_dim) - 1
    longest = float(sides.max())
    return max(a_side, 1.0) / longest if longest > 0 else 16.0
