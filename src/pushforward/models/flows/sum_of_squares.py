"""Sum-of-squares polynomial flow. Jaini, Selby, Yu 2019, https://arxiv.org/abs/1905.02325."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import SumOfSquaresTransformer
from pushforward.parts.data import Table

from .elementwise_layers import elementwise_flow


def sum_of_squares(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 5,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    polynomials: int = 3,
    degree: int = 4,
    bound: float = 5.0,
    kind: str = "autoregressive",
    seed: int = 0,
) -> Distribution:
    """`layers` layers whose elementwise map is the integral of a sum of `polynomials` squares, each of a polynomial of this degree.

    So it is itself a polynomial, of degree `2 degree + 1`, within `bound` deviations, and a line beyond.

    Densities cost one evaluation of each layer. Draws find roots: in an autoregressive layer those of one feature after the
    other, in a coupling layer (`kind="coupling"`) all at once. Data, condition, `hidden`, `dropout` and `seed` are as for
    `realnvp`; it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer or polynomial or another kind;
    `DataError` for a column that never changes.

    >>> flow = sum_of_squares(features=3, layers=2, hidden=[16])
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    return elementwise_flow(
        data,
        features,
        condition,
        lambda: SumOfSquaresTransformer(polynomials, degree, bound),
        layers,
        hidden,
        dropout,
        kind,
        seed,
    )
