"""Time and label as one vector that modulates a network.

A time t in [0, 1] becomes cos(w_k t), sin(w_k t) with frequencies w_k in geometric progression from 1 to `highest`
radians (the positions of Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, as Ho et al. 2020 use them,
https://arxiv.org/abs/2006.11239, but for continuous time). The slowest wave tells all times apart; the fastest
resolves steps of about 1 / highest. Higher frequencies only make the network rough in t, which an adaptive
solver of the probability-flow ODE pays for in steps.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register


@register
class TimeEmbedding(nn.Module):
    """Embed times `(n,)` in [0, 1], and labels `(n,)` when there are `classes`, as vectors `(n, width)`.

    h = SiLU(W_2 SiLU(W_1 [cos wt, sin wt] + b_1) + b_2 + e_label). The table e has one row more than there are
    classes: the row `no_label` (= classes) stands for "no label", so that leaving out labels at random while training
    gives the unconditional model as well (Ho and Salimans 2022, https://arxiv.org/abs/2207.12598). Labels None mean
    `no_label` in every row.

    Raises `ShapeError` for labels that are not whole numbers in 0 .. classes; their range is looked at on the CPU
    only, where it costs no synchronisation.

    >>> TimeEmbedding(16, classes=10)(torch.tensor([0.1, 0.9]), torch.tensor([3, 10])).shape
    torch.Size([2, 16])
    """

    frequencies: Tensor

    def __init__(self, width: int, *, classes: int | None = None, highest: float = 100.0):
        super().__init__()
        if width < 4 or width % 2:
            raise ConfigError(f"expected an even embedding width of at least 4, got {width}; round it up")
        self.no_label = classes
        self.register_buffer("frequencies", torch.logspace(0, math.log10(highest), width // 2), persistent=False)
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.labels = None if classes is None else nn.Embedding(classes + 1, width)

    def forward(self, t: Float[Tensor, "n"], labels: Tensor | None = None) -> Float[Tensor, "n width"]:
        """The modulating vectors."""
        angles = t.unsqueeze(-1) * self.frequencies
        h = self.out(nn.functional.silu(self.hidden(torch.cat([angles.cos(), angles.sin()], dim=-1))))
        if self.labels is not None:
            h = h + self._embedded(self.labels, labels, t)
        elif labels is not None:
            raise ShapeError(
                f"expected no labels, got {tuple(labels.shape)}; leave them out, or build the network with classes="
            )
        return nn.functional.silu(h)

    def _embedded(self, table: nn.Embedding, labels: Tensor | None, t: Tensor) -> Tensor:
        none = table.num_embeddings - 1
        if labels is None:
            return table.weight[none].expand(*t.shape, -1)
        if labels.shape != t.shape or labels.is_floating_point() or labels.is_complex():
            raise ShapeError(f"expected whole-number labels of shape {tuple(t.shape)}, "
                             f"got {labels.dtype} of shape {tuple(labels.shape)}; use labels.long()")  # fmt: skip
        try:
            return table(labels.long())
        except IndexError:  # the look-up itself complains on the CPU; asking a GPU would make it wait
            raise ShapeError(f"expected labels in 0 .. {none - 1}, or {none} for no label, got {int(labels.min())} to "
                             f"{int(labels.max())}; build the network with more classes") from None  # fmt: skip
