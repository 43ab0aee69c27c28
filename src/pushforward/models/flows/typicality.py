"""Is a row out of distribution? By typicality, since density alone does not tell.

A flow may find other data likelier than its own (Nalisnick et al. 2018, https://arxiv.org/abs/1810.09136): in many
dimensions the draws of p lie in a shell, -log p(x) close to the entropy H, and the mode of p, likelier than all of them, is
nowhere near it. So a row is typical when |-log p(x) - H| is small, and M rows together when |-mean log p(x) - H| is, with H
estimated on rows that are known to be in distribution (Nalisnick et al. 2019, https://arxiv.org/abs/1906.02994, section 3).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.registry import device_of


@dataclass(frozen=True)
class AnomalyScore:
    """How far rows, or groups of rows, are from typical.

    `score` `(groups,)` is |-mean log p - H| in nats: larger is stranger. `p_value` `(groups,)` is the share of reference
    groups at least as extreme, in (0, 1]: smaller is stranger. `surprise` `(groups,)` is -mean log p itself: below `entropy`,
    H with its `std_error`, a group is too likely, above it too unlikely.
    """

    score: Tensor
    p_value: Tensor
    surprise: Tensor
    entropy: float
    std_error: float


def anomaly_score(model: Distribution, x: Tensor, reference: Any, *, group: int = 1, resamples: int = 10_000,
                  seed: int = 0) -> AnomalyScore:  # fmt: skip
    """Typicality test of x `(n, *event)` under `model`, against `reference` rows (a tensor or a data set) in distribution.

    The reference should be rows that the model was not fitted to: it knows those too well. The p-value is two-sided,
    twice the smaller tail, (1 + number of reference groups at least as far out) / (1 + number of groups), at most 1. For
    single rows the groups are the reference rows, so that among rows of the reference's distribution p <= a happens with
    probability at most a, whatever the model. With `group` = M, n must be a multiple of M, x is tested M rows at a
    time, in order, and the reference groups are `resamples` draws of M rows with replacement: valid as the reference grows.

    Raises `ConfigError` for a group below 1 or one that does not divide the rows, `DataError` for fewer than 2 reference
    rows, or for log densities that are NaN, or infinite in the reference.

    >>> from pushforward.parts.distributions import Gaussian
    >>> model = Gaussian.standard(100)
    >>> mode, seen = torch.zeros(1, 100), model.sample(999, generator=torch.Generator().manual_seed(0))
    >>> bool(model.log_prob(mode) > model.log_prob(seen).max())
    True
    >>> anomaly_score(model, mode, seen).p_value
    tensor([0.0020])
    """
    if group < 1 or len(x) % group or resamples < 1:
        raise ConfigError(f"expected a group of at least 1 that divides {len(x)} rows, and at least 1 resample, got {group} and {resamples}; "
                          "leave out the rest of the rows")  # fmt: skip
    known = _surprise(model, _rows(reference), "reference")
    if len(known) < 2 or not known.isfinite().all():
        raise DataError(f"expected at least 2 reference rows of finite log density, got {len(known)} with "
                        f"{int((~known.isfinite()).sum())} infinite; take rows that the model can score")  # fmt: skip
    entropy = known.mean()
    surprise = _surprise(model, x, "x").reshape(-1, group).mean(1)
    if group > 1:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(len(known), (resamples, group), generator=generator).to(known.device)
        groups = torch.cat([known[part].mean(1) for part in drawn.split(1 << 10)])
    else:
        groups = known
    return AnomalyScore((surprise - entropy).abs(), _two_sided(surprise, groups), surprise, float(entropy),
                        float(known.std() / len(known) ** 0.5))  # fmt: skip


def _two_sided(value: Tensor, groups: Tensor) -> Tensor:
    """Twice the smaller tail of `value` among `groups`, each tail counted with the value itself."""
    ordered = groups.sort().values
    below = torch.searchsorted(ordered, value, right=True)  # at most the value
    above = len(ordered) - torch.searchsorted(ordered, value)  # at least the value
    return (2 * (1 + torch.minimum(below, above)) / (1 + len(ordered))).clamp(max=1)


def _surprise(model: Distribution, x: Tensor, name: str) -> Tensor:
    """-log p of every row, in double precision, so that ranks and means of many rows are exact."""
    with torch.no_grad():
        found = -model.log_prob(x.to(device_of(model))).double()
    if found.isnan().any():
        raise DataError(
            f"expected log densities, got NaN in {int(found.isnan().sum())} of {len(found)} rows of {name}; leave out those rows"
        )
    return found


def _rows(data: Any) -> Tensor:
    return data if isinstance(data, Tensor) else data.take(torch.arange(len(data))).x
