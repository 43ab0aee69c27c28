"""Inverse autoregressive flow. Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling 2016, https://arxiv.org/abs/1606.04934."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import AffineTransformer, Inverse, InverseTransformer, MaskedAutoregressive
from pushforward.parts.data import Table
from pushforward.parts.nn import MaskedMLP

from .columns import Columns, conditioner_size, seeded
from .orders import turned


def iaf(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 4,
    hidden: Sequence[int] | None = None,
    activation: str = "relu",
    seed: int = 0,
) -> Distribution:
    """`layers` maps x_i = z_i exp(s_i) + t_i, with s_i and t_i from the noise before i; each layer turns the order.

    A draw, and the density of what was just drawn, is one evaluation of each network, which is what variational inference
    asks for; the density of a given row walks along the features. Scales are e^(3 tanh(a / 3)) where the paper has a
    sigmoid gate: bounded in both directions, and 1 at first. Data, condition, `hidden` and `seed` are as for `realnvp`; it
    begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, or fewer than 1 layer; `DataError` for a column that
    never changes.

    >>> flow = iaf(features=3)
    >>> x, log_prob = flow.rsample_and_log_prob(4)
    >>> x.shape, log_prob.shape
    (torch.Size([4, 3]), torch.Size([4]))
    """
    columns = Columns.of(data, features, condition)
    widths, _ = conditioner_size(columns, hidden, 0.0)
    # Turned round twice, as a whole and number by number: the direction that is direct evaluates z exp(s) + t as it stands.
    transformer = InverseTransformer(AffineTransformer())
    with seeded(seed):
        networks = [MaskedMLP(columns.features, 2, widths, activation, columns.condition, order, zero_last=True)
                    for order in turned(columns.features, layers)]  # fmt: skip
    return columns.model([Inverse(MaskedAutoregressive(transformer, network)) for network in networks])
