"""RealNVP: affine coupling layers. Dinh et al. 2017, https://arxiv.org/abs/1605.08803."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import AffineTransformer, Coupling
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import MLP

from .columns import Columns, conditioner_size, halves, seeded
from .realnvp_images import realnvp_images


def realnvp(
    data: Table | Images | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 8,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    memory: str = "ordinary",
    seed: int = 0,
) -> Distribution:
    """`layers` couplings x_b = z_b exp(s(z_a)) + t(z_a); random halves pass and change by turns.

    Built from data, it standardises columns and condition, and dequantises columns of whole numbers (then it is a
    `Dequantised` flow, otherwise a `Flow`). Without data, give `features` and the width of the `condition`. It begins as
    the standardised Gaussian. `hidden` and `dropout` of the conditioners are 128 x 128 and 0, or 64 x 64 and 0.2 for
    data of fewer than 500 rows a column. With `memory="reversible"` training memory does not grow with `layers`. The same
    `seed` gives the same masks and first weights.

    Images get the architecture of `realnvp_images`, which has settings of its own; of these here, `memory` and `seed` apply.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer, or settings of tables beside images;
    `DataError` for a column that never changes.

    >>> import torch
    >>> flow = realnvp(features=3, condition=2)
    >>> flow.sample(4, torch.zeros(5, 2)).shape
    torch.Size([4, 5, 3])
    """
    if isinstance(data, Images):
        if not (features is condition is hidden is dropout is None and layers == 8):
            raise ConfigError(
                "expected memory and seed alone beside images, got settings of a table; use realnvp_images, which has its own"
            )
        return realnvp_images(data, memory=memory, seed=seed)
    columns = Columns.of(data, features, condition)
    widths, left_out = conditioner_size(columns, hidden, dropout)
    with seeded(seed):
        couplings = []
        for mask in halves(columns.features, layers, seed):
            passing = sum(mask)
            outputs = 2 * (columns.features - passing)
            net = MLP(passing, outputs, widths, "relu", columns.condition, zero_last=True, dropout=left_out)
            couplings.append(Coupling(mask, AffineTransformer(), net))
    return columns.model(couplings, memory)
