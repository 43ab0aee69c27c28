"""Autoguidance: away from a worse version of the same model, so that samples improve without losing variety.

prediction = worse + weight (model - worse). The worse model (smaller, or trained less) makes the same mistakes, only larger;
the difference of the two points away from them. Karras et al. 2024, https://arxiv.org/abs/2406.02507.
"""

from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path, Prediction
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.models.diffusion.guided import require_path
from pushforward.parts.paths.angle import scale

from .classifier_free import require_finite


@register
class Autoguidance(nn.Module):
    """A `Denoiser`: `model` pushed away from `worse_model`; a `weight` of 1 is the model itself, 0 the worse one.

    Both are on one path and see the same condition; they may predict different things.

    Raises `ConfigError` for models of different paths, events or classes, and for a weight that is not finite.

    >>> import functools
    >>> import pushforward as pf
    >>> model, worse = pf.diffusion.flow_matching(event_shape=2), pf.diffusion.flow_matching(event_shape=2, width=8)
    >>> model.sample(5, guide=functools.partial(Autoguidance, worse_model=worse, weight=1.5)).shape
    torch.Size([5, 2])
    """

    path: Path
    predict: Prediction

    def __init__(self, model: Denoiser, worse_model: Denoiser, weight: float = 2.0):
        super().__init__()
        require_path("a worse model", worse_model.path, model.path)
        for name in ("event_shape", "classes", "condition_shape"):
            ours, theirs = getattr(model, name, None), getattr(worse_model, name, None)
            if ours != theirs:
                raise ConfigError(f"expected a worse model with {name}={ours}, got {theirs}; take an earlier or a smaller "
                                  "version of the model itself")  # fmt: skip
        require_finite(weight)
        self.model, self.worse_model, self.weight = model, worse_model, weight
        self.path, self.predict = model.path, model.predict

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The guided prediction."""
        better, worse = self.model(y, t, condition), self.worse_model(y, t, condition)
        if self.worse_model.predict != self.predict:
            x_t = y * expand_right(scale(self.path, t), y)
            worse = self.path.convert(worse, self.worse_model.predict, self.predict, x_t, t)
        return worse.lerp(better, self.weight)
