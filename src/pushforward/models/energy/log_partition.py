r"""log Z of a density that is known up to Z, by annealed importance sampling from both sides.

From p_0, whose Z_0 is known, to p_1 by f_beta, f_0 ~ p_0, f_1 ~ p_1:  w = prod_k f_{beta_k}(x_{k-1}) / f_{beta_{k-1}}(x_{k-1}),
where x_k comes from x_{k-1} by moves that leave f_{beta_k} as it is. Then E w = Z_1 / Z_0, so E log w is below log Z_1 / Z_0; the
same walk from p_1 down to p_0 gives E w = Z_0 / Z_1, so -E log w is above it.

Neal 2001, https://arxiv.org/abs/physics/9803008; Salakhutdinov and Murray 2008, https://doi.org/10.1145/1390156.1390266;
both sides: Burda, Grosse and Salakhutdinov 2015, https://arxiv.org/abs/1412.8566
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, UserError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register

from .bits import draw_rows

LogDensity = Callable[[Tensor, float], Tensor]  # (x, beta) -> log f_beta(x), `(n,)`
Move = Callable[[Tensor, float, RowGenerator], Tensor]


@dataclass(frozen=True)
class LogZEstimate:
    """log Z in nats with its standard error, and a bound from either side, each with the standard error of its mean.

    `value` is log of the mean weight of the way up. `lower` is below log Z on average, whatever the moves. `upper` is above it on
    average if the draws of the model that the way down begins with are true ones; they are made by the way up, and improved by moves.
    `effective` is the share of the chains that count: (sum w)^2 / (n sum w^2). Trust nothing of this when it is near 1 / n.
    """

    value: float
    std_error: float
    lower: float
    lower_error: float
    upper: float
    upper_error: float
    effective: float


def anneal(
    log_f: LogDensity, x: Tensor, betas: Sequence[float], move: Move, generator: RowGenerator
) -> tuple[Tensor, Tensor]:
    """Walk x `(n, ...)` through the betas; return where it ends and log w, `(n,)` in float64."""
    log_w = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for before, after in pairwise(betas):
        log_w += (log_f(x, after) - log_f(x, before)).double()
        x = move(x, after, generator)
    return x, log_w


def betas_to_one(steps: int, power: float = 1.0) -> list[float]:
    """(k / steps)^power for k = 0 .. steps: with a power above 1, small steps where a density begins to matter.

    >>> betas_to_one(2, 2.0)
    [0.0, 0.25, 1.0]
    """
    if steps < 2:
        raise ConfigError(f"expected at least 2 temperatures, got {steps}; some hundreds are usual")
    return (torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** power).tolist()


@torch.no_grad()
def annealed_sandwich(log_f: LogDensity, start: Tensor, log_z0: float, move: Move, generator: RowGenerator, *,
                      betas: Sequence[float], burn_in: int = 100) -> LogZEstimate:  # fmt: skip
    """Up from `start`, true draws of f_0, through the betas from 0 to 1; then down again from draws of f_1.

    Those are the ends of the way up, drawn again by weight, and moved `burn_in` times. Raises `ConfigError` for fewer than two chains,
    `UserError` when weights are not finite.
    """
    n = len(start)
    if n < 2 or burn_in < 0:
        raise ConfigError(f"expected at least 2 chains and no negative burn_in, got {n} and {burn_in}")
    ends, up = anneal(log_f, start, betas, move, generator)
    if not torch.isfinite(up).all():
        raise UserError("expected finite weights, got others: the density is not finite where the chains went; lower the step size, or "
                        "train further")  # fmt: skip
    even = (
        torch.arange(n, device=up.device) + generator.slice(0, 1).fork(1).uniform()
    ) / n  # one number for all: systematic
    x = ends[draw_rows(up, even)]
    for _ in range(burn_in):
        x = move(x, 1.0, generator)
    _, down = anneal(log_f, x, betas[::-1], move, generator)
    w = (up - up.max()).exp()
    share = float(w.std() / w.mean()) / math.sqrt(n)
    return LogZEstimate(
        value=log_z0 + float(torch.logsumexp(up, 0)) - math.log(n), std_error=share,
        lower=log_z0 + float(up.mean()), lower_error=float(up.std()) / math.sqrt(n),
        upper=log_z0 - float(down.mean()), upper_error=float(down.std()) / math.sqrt(n),
        effective=float(w.sum() ** 2 / w.square().sum()) / n,
    )  # fmt: skip


@register
class LogPartition(nn.Module):
    """What a model remembers of its log Z: an estimate for the weights it has, forgotten as soon as they are trained.

    >>> memory = LogPartition()
    >>> memory.kind
    'none'
    """

    value: Tensor
    std_error: Tensor
    known: Tensor

    def __init__(self):
        super().__init__()
        self.value, self.std_error = nn.Buffer(torch.zeros(())), nn.Buffer(torch.zeros(()))
        self.known = nn.Buffer(torch.tensor(False))

    @property
    def kind(self) -> Literal["estimate", "none"]:
        """Whether log Z is known."""
        return "estimate" if bool(self.known) else "none"

    def keep(self, estimate: LogZEstimate) -> LogZEstimate:
        """Remember an estimate, and return it."""
        self.value.fill_(estimate.value)
        self.std_error.fill_(estimate.std_error)
        self.known.fill_(True)
        return estimate

    def forget(self) -> None:
        """The weights have changed."""
        self.known.fill_(False)

    def required(self) -> Tensor:
        """log Z; raises `UserError` if it is not known."""
        if not bool(self.known):
            raise UserError("expected a model whose log Z is known, got one without; call model.estimate_log_z() first, and again after every fit")  # fmt: skip
        return self.value
