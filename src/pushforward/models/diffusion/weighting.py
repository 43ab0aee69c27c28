"""At which times a denoising loss is taken, and how much each counts.

Every weighting is a distribution of t and a weight on one error: that of the noise or that of the data. The bridge between
predictions turns it into a weight on what the network really predicts, so a weighting means the same for every network.
With SNR = alpha^2 / sigma^2, lambda = log(alpha / sigma) and s = sigma / alpha:

simple      t uniform, 1 on the network's own error                  Ho et al. 2020, https://arxiv.org/abs/2006.11239, eq. 14
likelihood  lambda uniform, 1 on the noise: the bound of -log p      Song et al. 2021, https://arxiv.org/abs/2101.09258
ddpm        a step i of T, T beta_i^2 / (2 sigma_i^2 alpha_i (1 - abar_i)) on the noise, sigma_i^2 = beta_i   Ho et al., eq. 12
min_snr     t uniform, min(SNR, gamma) on the data                   Hang et al. 2023, https://arxiv.org/abs/2303.09556
edm         log s normal, 1 / s^2 + 1 / sigma_data^2 on the data     Karras et al. 2022, https://arxiv.org/abs/2206.00364, table 1
"""

import math
from typing import Literal

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path, Prediction
from pushforward.parts.paths.angle import angle, time_of_angle
from pushforward.parts.paths.coefficients import conversion
from pushforward.parts.paths.discrete_vp import DiscreteVP

Weighting = Literal["simple", "likelihood", "ddpm", "min_snr", "edm"]

GAMMA = 5.0  # the SNR beyond which min_snr counts no more
EDM_MEAN, EDM_STD = -1.2, 1.2  # of log s, for data of standard deviation 1/2
_ON: dict[Weighting, Prediction] = {"likelihood": "noise", "ddpm": "noise", "min_snr": "data", "edm": "data"}


def draw(weighting: Weighting, path: Path, predict: Prediction, u: Tensor, sigma_data: float) -> tuple[Tensor, Tensor]:
    """t and the weight of the squared error of `predict`, `(n,)` each, from uniform numbers u `(n,)` in float64.

    Raises `ConfigError` for "ddpm" on a path without steps.
    """
    t, weight = _times(weighting, path, u, sigma_data)
    if weighting == "simple":
        return t, path.sigma(t).square() if predict == "score" else weight
    _, per_error = conversion(path, predict, _ON[weighting], t)
    return t, weight * per_error.square()


def _times(weighting: Weighting, path: Path, u: Tensor, sigma_data: float) -> tuple[Tensor, Tensor]:
    """t, and the weight on the error of the data or the noise."""
    if weighting in ("simple", "min_snr"):
        t = path.t_min + u * (path.t_max - path.t_min)
        return t, (2 * path.log_snr(t)).exp().clamp(max=GAMMA) if weighting == "min_snr" else torch.ones_like(t)
    if weighting == "likelihood":
        ends = path.log_snr(torch.tensor([path.t_max, path.t_min], dtype=u.dtype, device=u.device))
        # theta = atan(sigma / alpha) = atan(exp(-lambda))
        t = time_of_angle(path, torch.atan((-torch.lerp(ends[0], ends[1], u)).exp()))
        return t, (ends[1] - ends[0]).expand(u.shape)
    if weighting == "edm":
        least, most = angle(path, torch.tensor([path.t_min, path.t_max], dtype=u.dtype, device=u.device))
        log_s = EDM_MEAN + math.log(2 * sigma_data) + EDM_STD * torch.special.ndtri(u.clamp(1e-12, 1 - 1e-12))
        theta = torch.atan(log_s.exp()).clamp(least, most)
        return time_of_angle(path, theta), theta.tan().pow(-2) + sigma_data**-2
    if not isinstance(path, DiscreteVP):
        raise ConfigError(f'expected a path of steps for the weighting "ddpm", got {path}; take DiscreteVP(), or the weighting '
                          '"likelihood", which is its limit')  # fmt: skip
    i = (u * path.steps).long().clamp(max=path.steps - 1)
    beta = path.betas().to(u.device)[i]
    t = (i + 1).to(u.dtype) / path.steps
    return t, path.steps * beta / (2 * (1 - beta) * path.sigma(t).square())
