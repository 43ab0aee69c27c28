"""Learning the variance of a denoising step.

log v = share log beta + (1 - share) log beta~ with a share that the network gives for each number: beta~ is the variance of
the posterior given the data, beta what it is when the data are spread widely, and the true one lies between. The share is
trained by the step's term of the variational bound, KL(q(x_s | x_t, x_0) | p(x_s | x_t)), in which the mean is held fixed
so that the loss of the prediction stays the simple one. Nichol and Dhariwal 2021, https://arxiv.org/abs/2102.09672, section 3.1.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pushforward.core.path import Path
from pushforward.core.shapes import expand_right
from pushforward.parts.paths.angle import angle
from pushforward.parts.paths.discrete_vp import DiscreteVP

if TYPE_CHECKING:
    from .diffusion import Diffusion

STEPS = 1000  # of the chain, on a path of continuous time
WEIGHT = 1e-3  # of the sum over the chain, beside the simple loss


def step_bound(model: "Diffusion", x_t: Tensor, t: Tensor, data: Tensor, prediction: Tensor, share: Tensor) -> Tensor:
    """WEIGHT times the chain's length times the step's term, in nats per number of the event, `(n,)`.

    `t` is in float64; the step is as long as one of the chain's. The last step to clean data has no such term and counts zero.
    """
    steps = model.path.steps if isinstance(model.path, DiscreteVP) else STEPS
    true, beta, from_data, inside = (expand_right(c.to(x_t.dtype), x_t) for c in posterior_before(model.path, t, steps))
    found = model.path.convert(prediction.detach(), model.predict, "data", x_t, t.to(x_t.dtype))
    own = (share * beta.log() + (1 - share) * true.log()).exp()
    gap = (from_data * (data - found)).square()
    term = 0.5 * ((own / true).log() + (true + gap) / own - 1)
    return WEIGHT * steps * (term * inside).flatten(1).mean(1)


def posterior_before(path: Path, t: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the step from t to a step earlier: beta~, beta, the posterior mean's share of the data, and 1 where there is such a step.

    In variance-preserving coordinates, `(n,)` each, in float64.
    """
    earlier = t - (path.t_max - path.t_min) / steps
    inside = earlier >= path.t_min
    theta_t, theta_s = angle(path, t), angle(path, torch.where(inside, earlier, path.t_min))
    # Where there is no such step any positive variances will do: they are not used, but must not be NaN.
    theta_s = torch.where(inside, theta_s, theta_t / 2)
    beta = 1 - (theta_t.cos() / theta_s.cos()).square()
    over = beta / theta_t.sin().square()
    return over * theta_s.sin().square(), beta, over * theta_s.cos(), inside.to(t.dtype)
