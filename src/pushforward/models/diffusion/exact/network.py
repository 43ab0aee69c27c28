"""A network that is right: the exact prediction of a Gaussian mixture, in the place of a trained one."""

import torch
from torch import Tensor, nn

from pushforward.core.path import Path, Prediction
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.models.diffusion.diffusion import Diffusion
from pushforward.parts.paths.angle import scale

from .mixture import GaussianMixture


@register
class MixtureNetwork(nn.Module):
    """E[predict | x_t] of `mixture` on `path`, as a network sees it: y = x_t / sqrt(alpha^2 + sigma^2)."""

    predict: Prediction

    def __init__(self, mixture: GaussianMixture, path: Path, predict: Prediction):
        super().__init__()
        self.mixture, self.path, self.predict = mixture, path, predict

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The prediction `(n, d)` from y `(n, d)`, t `(n,)` and labels `(n,)` or None."""
        t = t.double()
        x_t = y.double() * expand_right(scale(self.path, t), y)
        return self.mixture.predicted(x_t, t, self.path, self.predict, condition).to(y.dtype)


def exact_model(mixture: GaussianMixture, path: Path, predict: Prediction = "velocity", *,
                standardise: bool = True) -> Diffusion:  # fmt: skip
    """A `Diffusion` without error: what is wrong with its samples is the sampler's doing, and nothing else's.

    With `standardise`, model units are those of the standardised mixture, as in a model built from data; samples and
    densities are in the units of the mixture in any case. Labels of the mixture become classes of the model.

    >>> import pushforward as pf
    >>> model = pf.diffusion.exact.exact_model(pf.diffusion.exact.grid25(), pf.paths.Cosine())
    >>> model.sample(5, sampler=pf.diffusion.samplers.DDIM(20)).shape
    torch.Size([5, 2])
    """
    inner = mixture.standardised() if standardise else mixture
    loc, size = (mixture.mean(), mixture.variance().sqrt()) if standardise else (None, None)
    model = Diffusion(MixtureNetwork(inner, path, predict), path, mixture.event_shape, predict, classes=mixture.classes,
                      loc=loc, scale=size)  # fmt: skip
    return model.to(mixture.means.dtype if mixture.means.is_floating_point() else torch.get_default_dtype())
