"""Which noise goes with which data in a batch: independent pairs, or those of optimal transport.

    pi = argmin over permutations of sum_i |data_i - noise_pi(i)|^2

Short, uncrossed lines give a velocity with less variance and straighter flows. Tong et al. 2024,
https://arxiv.org/abs/2302.00482; Pooladian et al. 2023, https://arxiv.org/abs/2304.14772.

With a condition c the plain assignment is wrong: the noise that meets data with one c is then not all the noise, and sampling for that c
begins where no training was. So "conditional_optimal" gives every row's noise a condition of its own, independent of the noise, and moves
labels only within themselves; numbers, which rarely are equal, enter the cost: |data - noise|^2 + beta |c - c'|^2. The bias that is
left falls with beta and with the size of the batch. Chemseddine et al. 2024, https://arxiv.org/abs/2403.18705;
Kerrigan, Migliorini and Smyth 2024, https://arxiv.org/abs/2404.04240.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.parts.numerics.assignment import assignment

Coupling = Literal["independent", "optimal", "conditional_optimal", "given"]

BETA = 30.0  # what a difference of one standard deviation of the condition costs, in squared units of the data


def couple(data: Tensor, noise: Tensor, coupling: Coupling, condition: Tensor | None = None) -> Tensor:
    """The noise `(n, *event)` in the order in which it meets the data, `(n, *event)`.

    `condition` is `(n,)` labels or `(n, k)` numbers of the rows of data. Raises `ConfigError` for another coupling, and for "given",
    which says that data come with their noise.

    >>> couple(torch.tensor([[0.0], [9.0]]), torch.tensor([[8.0], [1.0]]), "optimal")
    tensor([[1.],
            [8.]])
    """
    if coupling not in get_args(Coupling):
        raise ConfigError(f"expected a coupling among {', '.join(get_args(Coupling))}, got {coupling!r}")
    if coupling == "given":
        raise ConfigError('expected pairs of data and noise for the coupling "given", got data alone; fit on the Pairs that reflow makes, or '
                          'take another coupling')  # fmt: skip
    if coupling == "independent" or len(data) < 2:
        return noise
    if coupling == "optimal" or condition is None:
        return noise[assignment(squared_distances(data, noise))]
    if not condition.is_floating_point():
        return noise[within_labels(condition, lambda rows: assignment(squared_distances(data[rows], noise[rows])))]
    return noise[assignment(between(data, noise, condition))]


def between(data: Tensor, noise: Tensor, condition: Tensor | None) -> Tensor:
    """The costs `(n, n)` of pairs: of their distance, and of the difference in the condition where there is one, numbers `(n, *k)`."""
    if condition is None:
        return squared_distances(data, noise)
    c = condition.flatten(1).to(data.dtype)
    c = (c - c.mean(0)) / c.std(0).clamp(min=1e-12)
    # Row i's noise carries row i's condition: both were drawn without regard to each other.
    return squared_distances(data, noise) + BETA * squared_distances(c, c)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2, `(n, m)`, over all numbers of an event."""
    a, b = x.detach().flatten(1), y.detach().flatten(1)
    return torch.addmm(b.square().sum(1), a, b.T, alpha=-2).add_(a.square().sum(1, keepdim=True)).clamp_(min=0)


def within_labels(labels: Tensor, met: Callable[[Tensor], Tensor]) -> Tensor:
    """The order `(n,)` in which rows meet others of their label only; `met(rows)` says it for the rows of one label."""
    order = torch.arange(len(labels), device=labels.device)
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        order[rows] = rows[met(rows)]
    return order
