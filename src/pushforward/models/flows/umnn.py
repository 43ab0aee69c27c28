"""Unconstrained monotonic neural network flow. Wehenkel and Louppe 2019, https://arxiv.org/abs/1908.05164."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import IntegralTransformer
from pushforward.parts.data import Table

from .elementwise_layers import elementwise_flow


def umnn(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 5,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    embedding: int = 8,
    units: int = 16,
    bound: float = 5.0,
    kind: str = "autoregressive",
    seed: int = 0,
) -> Distribution:
    """`layers` layers whose elementwise map is the integral of a positive network, given `embedding` numbers by the conditioner.

    Every layer has a network of its own, of `units` units, which its features share; beyond `bound` deviations it is constant.

    Densities cost one evaluation of each layer. Draws find roots: in an autoregressive layer those of one feature after the
    other, in a coupling layer (`kind="coupling"`) all at once. Data, condition, `hidden`, `dropout` and `seed` are as for
    `realnvp`; it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer, unit or number or another kind;
    `DataError` for a column that never changes.

    >>> flow = umnn(features=3, layers=2, hidden=[16])
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    return elementwise_flow(
        data,
        features,
        condition,
        lambda: IntegralTransformer(embedding, units, bound),
        layers,
        hidden,
        dropout,
        kind,
        seed,
    )
