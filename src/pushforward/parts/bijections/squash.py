"""Soft limits for parameters: any number that a network makes, however large, becomes one that arithmetic survives."""

import math

import torch
from torch import Tensor

STEEPEST = math.log(1e3)  # log slopes are within ± this, as those of the splines are


def squash(a: Tensor, limit: float) -> Tensor:
    """limit * tanh(a / limit): a where it is small, never beyond ± limit.

    >>> squash(torch.tensor([0.01, 1e38]), 5.0)
    tensor([0.0100, 5.0000])
    """
    return limit * torch.tanh(a * (1 / limit))


def gains(rows: int, columns: int, like: Tensor) -> Tensor:
    """Fixed factors `(rows, columns)` between 0.5 and 1, no two rows proportional.

    Units that begin alike receive equal gradients and would stay alike for ever, however many they are. Multiplying
    their parameters by different factors leaves the beginning what it is, and parts them at the first step.
    """
    number = torch.arange(rows * columns, device=like.device, dtype=like.dtype)
    return (0.5 + 0.5 * ((number * 0.6180339887498949) % 1)).reshape(rows, columns)
