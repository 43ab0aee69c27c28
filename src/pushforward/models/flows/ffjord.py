"""FFJORD: a continuous flow along a learned field. Grathwohl et al. 2019, https://arxiv.org/abs/1810.01367.

The energies that keep the field easy to solve are those of Finlay et al. 2020, https://arxiv.org/abs/2002.02798.
"""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.solver import Solver
from pushforward.parts.bijections import ActNorm, Continuous
from pushforward.parts.data import Table
from pushforward.parts.diffeq import Dopri5
from pushforward.parts.nn import VelocityMLP

from .columns import Columns, seeded
from .regularised import regularised


def ffjord(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 1,
    hidden: Sequence[int] = (64, 64),
    trace: str = "auto",
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    solver: Solver | None = None,
    step_size: float | None = None,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> Distribution:
    """`layers` continuous maps along f(t, z), a tanh network of `hidden` units, with a scale per feature between them.

    `trace` is that of `Continuous`: by default exact wherever that is cheap, which with one or two hidden layers it always is.
    `kinetic` and `jacobian` weigh int |f|^2 dt and int |df/dz|_F^2 dt in training, for fields that need fewer steps; 0.01 to
    0.1 are usual. `solver`, by default `Dopri5`, takes steps as `tolerance` (relative and absolute) allows, or of
    `step_size`. Data, condition and `seed` are as for `realnvp`; it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer, another trace, or a negative weight;
    `DataError` for a column that never changes.

    >>> flow = ffjord(features=3, hidden=(16, 16))
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    columns = Columns.of(data, features, condition)
    if layers < 1:
        raise ConfigError(f"expected at least 1 layer, got {layers}; 1 is usual")
    parts = []
    with seeded(seed):
        for i in range(layers):
            field = VelocityMLP(columns.features, hidden, condition=columns.condition)
            parts += [ActNorm(columns.features)] if i else []
            parts.append(Continuous(field, trace, solver=solver or Dopri5(), rtol=tolerance, atol=tolerance, step_size=step_size))  # fmt: skip
    return regularised(columns.model(parts), kinetic, jacobian)
