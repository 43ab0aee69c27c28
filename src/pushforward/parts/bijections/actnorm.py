"""Activation normalisation: a learned shift and scale per channel, which begin by what a first batch looks like.

x_c = b_c + exp(s_c) z_c,  log abs det = h w sum_c s_c  (Kingma and Dhariwal 2018, section 3.1,
https://arxiv.org/abs/1807.03039). Unlike batch normalisation it is a fixed map afterwards: rows do not see each other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import as_size


@register
class ActNorm(Bijection):
    """x = shift + exp(log_scale) z, one pair of numbers for each channel: dimension 0 of the event, its features if a vector.

    It is the identity until it is trained, or until `start_from_data` gives it the mean and the standard deviation
    that each channel of a batch has, so that z has mean 0 and variance 1 there. `started` says which.

    Raises `ConfigError` for an event without dimensions.

    >>> actnorm = ActNorm((2, 4, 4))
    >>> actnorm.shift, bool(actnorm.started)
    (Parameter containing:
    tensor([0., 0.], requires_grad=True), False)
    """

    started: Tensor

    def __init__(self, event_shape: int | Sequence[int]):
        super().__init__()
        self.event_shape = self.output_shape = as_size(event_shape)
        if not self.event_shape or not all(self.event_shape):
            raise ConfigError(
                f"expected an event with channels, got shape {tuple(self.event_shape)}; give (features,) or (channels, height, width)"
            )
        self.shift, self.log_scale = (nn.Parameter(torch.zeros(self.event_shape[0])) for _ in range(2))
        self.started = nn.Buffer(torch.tensor(False))
        self.starting = False  # whether the next pass from data to noise sets the numbers

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return torch.addcmul(self._wide(self.shift), z, self._wide(self.log_scale.exp())), self.log_det().expand(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.starting:
            self.start(x)
        return (x - self._wide(self.shift)) * self._wide((-self.log_scale).exp()), -self.log_det().expand(len(x))

    def log_det(self) -> Tensor:
        """log abs det dx/dz, the same at every point."""
        return self.log_scale.sum() * (self.event_shape.numel() // self.event_shape[0])

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Take mean and standard deviation of each channel of x `(n, *event)`, once; a channel that never changes keeps its scale."""
        self.starting = False
        if self.started or not len(x):
            return
        values = x.detach().transpose(0, 1).flatten(1).double()
        mean, std = values.mean(1), values.std(1, correction=0)
        changes = std > 1e-6 * (1 + mean.abs())
        self.shift.copy_(mean)
        self.log_scale.copy_(torch.where(changes, std, 1).log())
        self.started.fill_(True)

    def _wide(self, numbers: Tensor) -> Tensor:
        return numbers.reshape(-1, *(1,) * (len(self.event_shape) - 1))


def start_from_data(model: nn.Module, batch: Batch, generator: RowGenerator) -> int:
    """Let every `ActNorm` of `model` that has not started take its numbers from `batch`; return how many did.

    One evaluation of the model's objective, in which each of them sees what those nearer to the data make of the batch.
    Call it once, before training, with some hundred rows of the training data.

    Raises `ConfigError` for a model without an objective.

    >>> from pushforward.parts.distributions import Flow, Gaussian
    >>> flow = Flow(Gaussian.standard(2), ActNorm(2))
    >>> x = 3 + 2 * torch.randn(500, 2)
    >>> start_from_data(flow, Batch(x), RowGenerator(0, 500))
    1
    >>> z, _ = flow.bijection.inverse(x)
    >>> z.mean().abs().item() < 1e-5, round(z.std().item(), 1)
    (True, 1.0)
    """
    waiting = [part for part in model.modules() if isinstance(part, ActNorm) and not part.started]
    if not waiting:
        return 0
    objective = getattr(model, "objective", None)
    if objective is None:
        raise ConfigError(f"expected a model with an objective, got {type(model).__name__}; give a distribution")
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for part in waiting:
        part.starting = True
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        with (
            torch.enable_grad()
        ):  # all rows at once, which is what a distribution does with gradients; no graph is kept
            objective(model, batch, generator)
    finally:
        for part in waiting:
            part.starting = False
        for parameter in learned:
            parameter.requires_grad_(True)
    return sum(bool(part.started) for part in waiting)
