"""A residual multilayer perceptron modulated by time: the network of diffusion and flow matching on vectors."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register

from .time_embedding import TimeEmbedding


@register
class TimeMLP(nn.Module):
    """f(x, t, condition) for vectors x `(n, features)` and times t `(n,)` in [0, 1]; returns the shape of x.

    `layers` residual blocks h + W_2 SiLU((1 + scale) W_1 norm(h) + shift), where scale and shift come from time and
    label (Perez et al. 2018, https://arxiv.org/abs/1709.07871), then a normalised linear output that begins at zero.
    The condition is one of three: none; labels `(n,)` when built with `classes` (the label `classes`, or None, means
    "no label"); numbers `(n, condition)` when built with a width `condition`, which are joined to x.
    `outputs` is how many numbers are given back, by default as many as come in.

    Raises `ConfigError` when both kinds of condition are asked for, `ShapeError` when x or the condition does not fit.

    >>> net = TimeMLP(2, hidden=64, condition=3)
    >>> net(torch.randn(5, 2), torch.rand(5), torch.randn(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, features: int, *, hidden: int = 256, layers: int = 3, classes: int | None = None, condition: int = 0,
        outputs: int | None = None,
    ):  # fmt: skip
        super().__init__()
        if classes is not None and condition:
            raise ConfigError(
                f"expected classes or a condition width, got both ({classes} and {condition}); leave one out"
            )
        if min(features, hidden, layers) < 1 or condition < 0:
            raise ConfigError("expected features, hidden and layers of at least 1 and condition of at least 0, "
                              f"got {features}, {hidden}, {layers} and {condition}; raise what is too small")  # fmt: skip
        self.features, self.condition = features, condition
        embedding = max(16, min(2 * (hidden // 2), 128))
        self.embedding = TimeEmbedding(embedding, classes=classes)
        self.enter = nn.Linear(features + condition, hidden)
        self.blocks = nn.ModuleList(_Block(hidden, embedding) for _ in range(layers))
        self.leave = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, outputs or features))
        for parameter in self.leave[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, x: Float[Tensor, "n d"], t: Float[Tensor, "n"], condition: Tensor | None = None
    ) -> Float[Tensor, "n outputs"]:
        """Evaluate the network."""
        if x.shape[1:] != (self.features,):
            raise ShapeError(
                f"expected x of shape (n, {self.features}), got {tuple(x.shape)}; build the network for its features"
            )
        labels = condition
        if self.condition:
            if condition is None or condition.shape != (len(x), self.condition):
                got = "none" if condition is None else str(tuple(condition.shape))
                raise ShapeError(
                    f"expected a condition of shape ({len(x)}, {self.condition}), got {got}; one row for each of x"
                )
            x, labels = torch.cat([x, condition.to(x.dtype)], dim=1), None
        modulation = self.embedding(t, labels)
        h = self.enter(x)
        for block in self.blocks:
            h = block(h, modulation)
        return self.leave(h)


class _Block(nn.Module):
    """h + W_2 SiLU((1 + scale) W_1 norm(h) + shift)."""

    def __init__(self, hidden: int, embedding: int):
        super().__init__()
        self.first = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden))
        self.modulate = nn.Linear(embedding, 2 * hidden)
        self.second = nn.Linear(hidden, hidden)

    def forward(self, h: Tensor, modulation: Tensor) -> Tensor:
        """`(n, hidden)` to the same."""
        scale, shift = self.modulate(modulation).chunk(2, dim=1)
        return h + self.second(nn.functional.silu(torch.addcmul(shift, self.first(h), 1 + scale)))
