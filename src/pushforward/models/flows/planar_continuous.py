"""Continuous planar flow. Chen et al. 2018, Neural ordinary differential equations, https://arxiv.org/abs/1806.07366, section 4."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.solver import Solver
from pushforward.parts.bijections import Continuous, PlanarField
from pushforward.parts.data import Table
from pushforward.parts.diffeq import Dopri5

from .columns import Columns, seeded
from .regularised import regularised


def planar_continuous(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    width: int = 32,
    hidden: Sequence[int] = (32,),
    kinetic: float = 0.0,
    solver: Solver | None = None,
    step_size: float | None = None,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> Distribution:
    """The flow along f = mean_m u_m(t) tanh(w_m(t)'z + b_m(t)) of `width` bends, whose trace is a formula.

    A network with `hidden` units makes u, w and b of the time and of the condition. `kinetic`, `solver`, `step_size` and
    `tolerance` are as for `ffjord`. Data, condition and `seed` are as for `realnvp`; it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, a width below 1 or a negative weight; `DataError` for a column
    that never changes.

    >>> flow = planar_continuous(features=3, width=4)
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    columns = Columns.of(data, features, condition)
    with seeded(seed):
        field = PlanarField(columns.features, width, columns.condition, hidden)
    part = Continuous(field, solver=solver or Dopri5(), rtol=tolerance, atol=tolerance, step_size=step_size)
    return regularised(columns.model([part]), kinetic)
