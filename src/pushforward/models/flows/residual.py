"""Residual flow of rows. Behrmann et al. 2019, https://arxiv.org/abs/1811.00995; Chen et al. 2019, https://arxiv.org/abs/1906.02735."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import ActNorm, Inverse, Residual
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import ContractiveMLP

from .columns import Columns, seeded
from .residual_images import residual_images

TRAINED, EVALUATED = (
    4,
    16,
)  # features, up to which whole Jacobians cost less than a series in training, and at evaluation


def residual(
    data: Table | Images | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 10,
    hidden: Sequence[int] = (64, 64),
    coefficient: float = 0.97,
    activation: str = "lipswish",
    log_det: str | None = None,
    probes: int = 1,
    memory: str = "ordinary",
    seed: int = 0,
) -> Distribution:
    """`layers` times z = x + g(x), from data to noise, with Lip(g) <= coefficient^(len(hidden) + 1), and a scale per feature.

    `log_det` is that of `Residual`: by default "exact" up to 4 features, "auto" up to 16 (an unbiased estimate in training, exact
    at evaluation) and beyond "unbiased", of which `log_prob_kind` is then "estimate"; `probes` is for estimates. Densities cost one pass, draws a fixed point for
    each layer. Data, condition, `memory` and `seed` are as for `realnvp`; it begins as nearly the standardised Gaussian. The paper
    has 100 layers for figures in the plane. Images get `residual_images`, which has settings of its own; of these here,
    `coefficient`, `memory` and `seed` apply.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer, settings of tables beside images, a coefficient outside (0, 1), an unknown
    activation or log_det; `DataError` for a column that never changes.

    >>> flow = residual(features=3, layers=2)
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    if isinstance(data, Images):
        if not (features is condition is log_det is None and (layers, tuple(hidden), activation, probes) == (10, (64, 64), "lipswish", 1)):  # fmt: skip
            raise ConfigError("expected coefficient, memory and seed alone beside images, got settings of a table; "
                              "use residual_images, which has its own")  # fmt: skip
        return residual_images(data, coefficient=coefficient, memory=memory, seed=seed)
    columns = Columns.of(data, features, condition)
    if layers < 1:
        raise ConfigError(f"expected at least 1 layer, got {layers}; 10 are usual")
    how = "exact" if columns.features <= TRAINED else "auto" if columns.features <= EVALUATED else "unbiased"
    parts: list[Bijection] = []
    with seeded(seed):
        for _ in range(layers):
            network = ContractiveMLP(columns.features, hidden, coefficient, columns.condition, activation)
            parts += [Inverse(Residual(network, log_det or how, probes=probes)), ActNorm(columns.features)]
    return columns.model(parts, memory)
