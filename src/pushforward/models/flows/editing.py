"""Edits in the latent space of a flow: every image is a point there, and attributes are directions (Glow, section 6).

encode: z = T^-1(x), decode: x = T(z). A direction is mean z(with) - mean z(without); an edit is T(z + alpha direction).
Since T is a bijection, alpha = 0 gives the original back (Kingma and Dhariwal 2018, https://arxiv.org/abs/1807.03039).
"""

import torch
from torch import Tensor

from pushforward.core.batching import in_chunks
from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.registry import dtype_of
from pushforward.core.shapes import flatten_batch, flatten_condition, match_dtype
from pushforward.parts.distributions import Dequantised, Flow, VariationalDequantised
from pushforward.parts.distributions.lattice import round_down


def encode(model: Distribution, x: Tensor, condition: Tensor | None = None) -> Tensor:
    """The noise `(*batch, *noise_event)` of data `(*batch, *event)`; of whole numbers, that of the middles of their cells.

    Raises `ConfigError` for a model that is no flow, `ShapeError` for a wrong shape.

    >>> import pushforward as pf
    >>> flow = pf.flows.realnvp(features=3)
    >>> x = torch.randn(5, 3)
    >>> bool(torch.allclose(decode(flow, encode(flow, x)), x, atol=1e-5))
    True
    """
    flow, bijection = _flow_of(model)
    flat, batch = flatten_batch(x, model.event_shape)
    given = flatten_condition(condition, model.condition_shape, batch)
    flat = match_dtype(flat, dtype_of(model))
    if isinstance(model, Dequantised | VariationalDequantised):
        flat = flat + model.steps / 2
    z = in_chunks(
        lambda x, c: bijection._inverse(x, flow._standardised(c))[0], model._rows(len(flat), given), flat, given
    )
    return z.reshape(*batch, *bijection.event_shape)


def decode(model: Distribution, z: Tensor, condition: Tensor | None = None) -> Tensor:
    """The data of noise `(*batch, *noise_event)`; whole numbers where the model knows them as such."""
    flow, bijection = _flow_of(model)
    flat, batch = flatten_batch(z, bijection.event_shape, "z")
    given = flatten_condition(condition, model.condition_shape, batch)
    x = in_chunks(
        lambda z, c: bijection._forward(z, flow._standardised(c))[0], model._rows(len(flat), given), flat, given
    )
    if isinstance(model, Dequantised | VariationalDequantised):
        x = round_down(x, model.steps)
    return x.reshape(*batch, *model.event_shape)


def interpolate(model: Distribution, start: Tensor, end: Tensor, points: int = 8) -> Tensor:
    """`(points, *event)` from one datum to another, along the straight line between their noise; the ends are the originals.

    >>> import pushforward as pf
    >>> interpolate(pf.flows.realnvp(features=2), torch.zeros(2), torch.ones(2), points=3).detach()
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [1.0000, 1.0000]])
    """
    if points < 2:
        raise ConfigError(f"expected at least 2 points, the two ends, got {points}")
    z = encode(model, torch.stack([start, end]))
    share = torch.linspace(0, 1, points, dtype=z.dtype, device=z.device).reshape(points, *(1,) * (z.ndim - 1))
    return decode(model, torch.lerp(z[:1], z[1:], share))


def direction(model: Distribution, with_attribute: Tensor, without: Tensor) -> Tensor:
    """mean z(with) - mean z(without), of shape `noise_event`: adding it gives the attribute, subtracting takes it away.

    Raises `DataError` when either side has no rows.
    """
    if not len(with_attribute) or not len(without):
        raise DataError(f"expected rows with the attribute and rows without it, got {len(with_attribute)} and {len(without)}; "
                        "choose an attribute that some have and some have not")  # fmt: skip
    with torch.no_grad():
        return encode(model, with_attribute).mean(0) - encode(model, without).mean(0)


def edit(model: Distribution, x: Tensor, towards: Tensor, alpha: float | Tensor) -> Tensor:
    """Decode z(x) + alpha `towards`: the data `x` `(*batch, *event)` with more (or, below 0, less) of an attribute.

    `alpha` is a number, or a tensor that broadcasts against `batch`. At 0 the original comes back.
    """
    z = encode(model, x)
    amount = torch.as_tensor(alpha, dtype=z.dtype, device=z.device)
    amount = amount.reshape(*amount.shape, *(1,) * towards.ndim) if amount.ndim else amount
    return decode(model, z + amount * towards)


def _flow_of(model: Distribution) -> tuple[Flow, Bijection]:
    inner = model.model if isinstance(model, Dequantised | VariationalDequantised) else model
    if not isinstance(inner, Flow):
        raise ConfigError(f"expected a flow, whose data have noise to edit, got {type(model).__name__}; fit one of `pf.flows`, glow for images")  # fmt: skip
    return inner, inner.bijection
