"""Neural autoregressive flow. Huang, Krueger, Lacoste, Courville 2018, https://arxiv.org/abs/1804.00779."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import NeuralTransformer
from pushforward.parts.data import Table

from .elementwise_layers import elementwise_flow


def neural_autoregressive(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 5,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    units: int = 8,
    bound: float = 10.0,
    kind: str = "autoregressive",
    seed: int = 0,
) -> Distribution:
    """`layers` layers whose elementwise map is the logit of a mixture of `units` sigmoids, places within `bound` deviations.

    Densities cost one evaluation of each layer. Draws find roots: in an autoregressive layer those of one feature after the
    other, in a coupling layer (`kind="coupling"`) all at once. Data, condition, `hidden`, `dropout` and `seed` are as for
    `realnvp`; it begins near the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer or unit or another kind;
    `DataError` for a column that never changes.

    >>> flow = neural_autoregressive(features=3, layers=2, hidden=[16])
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    return elementwise_flow(
        data, features, condition, lambda: NeuralTransformer(units, bound), layers, hidden, dropout, kind, seed
    )
