"""The neural spline flow of angles, on the torus (Rezende et al. 2020, https://arxiv.org/abs/2002.02428)."""

import math
from collections.abc import Sequence

import torch

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Affine, Chain, CircularSplineTransformer, Coupling
from pushforward.parts.data import Table
from pushforward.parts.distributions import Flow, Uniform
from pushforward.parts.nn import MLP, Periodic

from .columns import Columns, conditioner_size, halves, seeded

TURN = 2 * math.pi


def spline_circular(columns: Columns, table: Table | None, layers: int, hidden: Sequence[int] | None,
                    dropout: float | None, bins: int, seed: int) -> Distribution:  # fmt: skip
    """`layers` couplings of circular splines over a uniform base, for the angles of a table, in radians.

    Draws are in [-pi, pi], but in [0, 2 pi] for a column whose data are written so; densities are asked at any angle.

    >>> round(spline_circular(Columns(2, 0), None, 2, [16], 0.0, 4, seed=0).log_prob(torch.zeros(2)).item(), 4)  # -2 log 2 pi
    -3.6758
    """
    if layers < 2 and columns.features > 1:
        raise ConfigError(f"expected at least 2 layers, got {layers}; 2 map every angle once")
    widths, left_out = conditioner_size(columns, hidden, dropout)
    transformer = CircularSplineTransformer(bins)
    stack: list[Bijection] = []
    with seeded(seed):
        for mask in halves(columns.features, layers, seed):
            passing = sum(mask)
            outputs = transformer.size * (columns.features - passing)
            net = MLP(2 * passing, outputs, widths, "relu", columns.condition, zero_last=True, dropout=left_out)
            stack.append(Coupling(mask, transformer, Periodic(net)))
    middle = torch.zeros(columns.features) if table is None else _middle(table)
    if middle.any():
        stack.append(Affine(middle, torch.ones_like(middle)))
    bound = torch.full_like(middle, math.pi)
    return Flow(Uniform(-bound, bound), Chain(stack), columns.condition_loc, columns.condition_scale)


def _middle(table: Table) -> torch.Tensor:
    """The middle of the turn in which the data write their angles: 0, or pi for a column in 0 .. 2 pi."""
    low, high = table.values.amin(0), table.values.amax(0)
    for column, least, most in zip(table.columns, low.tolist(), high.tolist()):
        if most - least > TURN * (1 + 1e-4):
            raise ConfigError(f"expected angles in radians, within one turn of 2 pi, got {column.name} from {least:g} to {most:g}; convert degrees "
                              "with torch.deg2rad, and give what is no angle as the condition")  # fmt: skip
        if column.step:
            raise ConfigError(
                f"expected angles in radians, got {column.name} in whole numbers; convert them to radians, or give them as the condition"
            )
    return torch.where((low >= 0) & (high > math.pi), math.pi, 0.0).to(low.dtype)
