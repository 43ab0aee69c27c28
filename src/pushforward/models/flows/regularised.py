"""Training of continuous flows towards fields that are easy to solve, by the energies of their paths.

Of all fields that carry noise to data, the log likelihood does not care which. Adding

    kinetic E[int |f(t, z(t))|^2 dt] + jacobian E[int |df/dz|_F^2 dt]

to its negative prefers straight paths and smooth fields, which a solver follows in few steps; E |v'J|^2 = |J|_F^2 for
random v, from the same product that estimates the trace. Finlay et al. 2020, How to train your neural ODE,
https://arxiv.org/abs/2002.02798, equations 9 and 11, without their division by the numbers of an event.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import flatten_batch, flatten_condition, match_dtype
from pushforward.parts.bijections import Chain, Continuous
from pushforward.parts.distributions import Dequantised, VariationalDequantised

from .hybrid_model import flow_inside

if TYPE_CHECKING:
    from pushforward.core.objective import Objective


@register
class Regularised(Distribution):
    """The flow it is given, whose training adds the energies of its `Continuous` parts to the negative log likelihood.

    `log_prob` and `sample` are those of `flow`, a `Flow` or one made to score whole numbers; only `objective` differs.
    Energies are measured in the units between the layers and summed over the parts.

    Raises `ConfigError` for negative weights, or a flow without any continuous part that the energies could be of.

    >>> from pushforward.models.flows import ffjord
    >>> model = ffjord(features=2, hidden=(8, 8), kinetic=0.01)
    >>> type(model).__name__, model.log_prob(torch.zeros(5, 2)).shape
    ('Regularised', torch.Size([5]))
    """

    def __init__(self, flow: Distribution, kinetic: float = 0.0, jacobian: float = 0.0):
        super().__init__()
        if not (kinetic >= 0 and jacobian >= 0):
            raise ConfigError(f"expected weights of at least 0, got {kinetic:g} and {jacobian:g}; 0.01 is usual")
        bijection = flow_inside(flow).bijection
        if not any(isinstance(part, Continuous) for part in _chained(bijection)):
            raise ConfigError(
                "expected a flow with a Continuous part in its chain, got none; leave the energies out, or build it with ffjord"
            )
        self.event_shape, self.condition_shape = flow.event_shape, flow.condition_shape
        self.log_prob_kind, self.reparameterised = flow.log_prob_kind, flow.reparameterised
        self.flow, self.kinetic, self.jacobian = flow, kinetic, jacobian

    @property
    def objective(self) -> "Objective":
        """The negative log likelihood plus the weighted energies."""
        return energetic_loss

    def log_prob_and_energies(self, x: Tensor, condition: Tensor | None, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log p, int |f|^2 dt and int |df/dz|_F^2 dt, `(n,)` each, of rows moved within their cells by u, all `(n, *event)`.

        The last is 0 where its weight is.
        """
        y, log_weight = x, x.new_zeros(())
        if isinstance(self.flow, Dequantised | VariationalDequantised):
            y, log_weight = self.flow.spread(x, u)
        flow = flow_inside(self.flow)
        given, total = flow._standardised(condition), log_weight + x.new_zeros(len(x))
        kinetic, jacobian = torch.zeros_like(total), torch.zeros_like(total)
        for part in reversed(_chained(flow.bijection)):
            own = None if part.condition_shape is None else given
            if isinstance(part, Continuous):
                y, log_det, energy, roughness = part.inverse_with_energies(y, own, jacobian=self.jacobian > 0)
                kinetic, jacobian = kinetic + energy, jacobian + roughness
            else:
                y, log_det = part._inverse(y, own)
            total = total + log_det
        return flow.base._log_prob(y, None) + total, kinetic, jacobian

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self.flow._sample(condition, generator)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self.flow._log_prob(x, condition)

    def _sample_and_log_prob(self, condition: Tensor | None, generator: RowGenerator) -> tuple[Tensor, Tensor]:
        return self.flow._sample_and_log_prob(condition, generator)

    def _probe(self, condition: Tensor | None) -> object:
        return self.flow._probe(condition)


def energetic_loss(model: Regularised, batch: Batch, generator: RowGenerator) -> Loss:
    """-E log p(x | condition) + kinetic E[int |f|^2 dt] + jacobian E[int |df/dz|_F^2 dt]."""
    x, rows = flatten_batch(match_dtype(batch.x, dtype_of(model)), model.event_shape)
    given = batch.condition if model.condition_shape is not None else None
    condition = flatten_condition(given, model.condition_shape, rows)
    u = generator.uniform(*model.event_shape, dtype=x.dtype)
    log_p, kinetic, jacobian = (value.mean() for value in model.log_prob_and_energies(x, condition, u))
    value = model.kinetic * kinetic + model.jacobian * jacobian - log_p
    metrics = {"density loss": -log_p.detach(), "kinetic energy": kinetic.detach()}
    return Loss(value, {**metrics, "jacobian energy": jacobian.detach()} if model.jacobian else metrics)


def regularised(flow: Distribution, kinetic: float = 0.0, jacobian: float = 0.0) -> Distribution:
    """`Regularised`, or the flow itself where both weights are 0."""
    return Regularised(flow, kinetic, jacobian) if kinetic or jacobian else flow


def _chained(bijection: Bijection) -> list[Bijection]:
    """The parts of a chain, and of chains inside it, in the order noise -> data."""
    if not isinstance(bijection, Chain):
        return [bijection]
    return [part for inner in bijection.parts if isinstance(inner, Bijection) for part in _chained(inner)]
