"""Held-out likelihood: nats a row, and bits per dimension for pixels."""

import math

from jaxtyping import Num
from torch import Tensor

from pushforward.core.errors import UserError

from .estimate import Estimate


def nll(log_prob_nats: Num[Tensor, " *batch"]) -> Estimate:
    """Mean negative log likelihood in nats, with its standard error over the rows.

    Where each log probability is itself an unbiased estimate (a stochastic trace, say), its noise is part of the
    spread over rows, so the standard error already includes it.

    >>> import torch
    >>> nll(torch.tensor([-1.0, -3.0])).value
    2.0
    """
    return Estimate.of(-log_prob_nats.reshape(-1))


def bits_per_dim(log_prob_nats: Num[Tensor, " *batch"], event_numel: int) -> Estimate:
    """Mean of -log2 p(x) / D, where p is a density over pixel values 0, 1, ..., levels - 1 and D = `event_numel`.

    A density over pixels scaled to another range must first be brought back to pixel units: dividing pixels by 256
    subtracts 8 bits per dimension. The models of this package score pixel values, so nothing remains to be added.
    Source: Theis, van den Oord and Bethge 2016, https://arxiv.org/abs/1511.01844, section 3.1.

    >>> import torch
    >>> print(bits_per_dim(torch.full((5,), -12 * math.log(256)), 12))
    8
    """
    if event_numel < 1:
        raise UserError(f"expected event_numel of at least 1, got {event_numel}; pass channels x height x width")
    return Estimate.of(-log_prob_nats.reshape(-1).double() / (event_numel * math.log(2)))
