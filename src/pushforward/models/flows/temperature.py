"""Draws of lower temperature: the Gaussian base narrowed, the rest of the model as it is.

z ~ N(0, T^2 I) with T < 1 gives images that are less varied and more typical; T = 0 gives the image of the mean
(Kingma and Dhariwal 2018, section 6, https://arxiv.org/abs/1807.03039, with T = 0.7).
"""

import torch

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.distributions import Dequantised, Flow, Gaussian, VariationalDequantised


def tempered(model: Distribution, temperature: float) -> Distribution:
    """`model` with the standard deviation of its Gaussian base multiplied by `temperature`; it shares the weights.

    The model is a `Flow`, or a `Dequantised` one. Its `log_prob` is that of the tempered distribution; at temperature 0,
    where all draws are one, it has no density to speak of.

    Raises `ConfigError` for a negative temperature, or a model without a Gaussian base.

    >>> from pushforward.parts.bijections import Affine
    >>> flow = Flow(Gaussian.standard(1), Affine(torch.tensor([5.0]), torch.tensor([2.0])))
    >>> tempered(flow, 0.0).sample(2)
    tensor([[5.],
            [5.]])
    """
    if not 0 <= temperature < float("inf"):
        raise ConfigError(f"expected a temperature of at least 0, got {temperature:g}; 1 leaves the model as it is")
    if isinstance(model, Dequantised):
        return Dequantised(tempered(model.model, temperature), model.steps, model.samples).train(model.training)
    if isinstance(model, VariationalDequantised):
        inner = tempered(model.model, temperature)
        narrow = VariationalDequantised(inner, model.noise, model.steps, model.samples, model.loc, model.scale)
        return narrow.train(model.training)
    if not isinstance(model, Flow) or not isinstance(model.base, Gaussian):
        raise ConfigError(f"expected a flow with a Gaussian base, got {type(model).__name__}; build one with pf.flows")
    base = model.base
    scale = (base.scale * temperature).clamp(min=torch.finfo(base.loc.dtype).tiny)  # a Gaussian has a scale above 0
    narrowed = Gaussian(base.loc, scale)
    return Flow(narrowed, model.bijection, model.condition_loc, model.condition_scale).train(model.training)
