r"""DPM-Solver++: the linear part of the flow exactly, the predicted data by a polynomial through its last values.

On the angle clock, with alpha = cos(theta), sigma = sin(theta), lambda = log(alpha / sigma), the flow from s to t is

    y_t = sigma_t / sigma_s y_s + sigma_t int_{lambda_s}^{lambda_t} e^lambda data(lambda) dlambda.

Order 1 takes the data as constant (it is DDIM), order 2 ("2M") as data_s + (data_s - data_r) / (2 r_0) with r_0 = h_before / h, order 3
as the parabola through three values. Lu et al. 2022, https://arxiv.org/abs/2211.01095, algorithm 2 and appendix A.
With `noise` it is SDE-DPM-Solver++(2M), for the reverse process:

    y_t = sigma_t / sigma_s e^-h y_s + alpha_t (1 - e^-2h) (data_s + (data_s - data_r) / (2 r_0)) + sigma_t sqrt(1 - e^-2h) z.
"""

import itertools
import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser

from .grid import Spacing, grid
from .history import HistoryRow, HistoryWalk, log_snr, tabulated
from .walk import attached


@register
@dataclass(frozen=True)
class DPMSolver(Kernel):
    """`steps` network evaluations of the multistep method of `order` 1, 2 or 3; with `noise`, of order 1 or 2.

    The first steps are of order 1, 2, as values come in; the last ones of lower order again, and the very last, to clean data, is the data
    predicted. `order` is that of the flow; with noise the method converges weakly, with order 1. `spacing` and the state are those of
    `Ancestral`. Raises `ConfigError` for another order, or fewer steps than the order.

    >>> DPMSolver(steps=10)
    DPMSolver(steps=10, order=2, noise=False, spacing='angle')
    """

    steps: int = 20
    order: int = 2
    noise: bool = False
    spacing: Spacing = "angle"
    walk: HistoryWalk | None = field(default=None, repr=False, compare=False)

    @property
    def noisy(self) -> bool:
        """Whether a step adds noise: such a sampler needs a score."""
        return self.noise

    def __post_init__(self):
        most = 2 if self.noise else 3
        if not 1 <= self.order <= most or self.steps < self.order:
            raise ConfigError(f"expected an order from 1 to {most} and at least so many steps, got order={self.order} and "
                              f"steps={self.steps}; take more steps or a lower order")  # fmt: skip

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return self.steps

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "DPMSolver":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=HistoryWalk(model, condition, *tabulated(replace(self, walk=None), model.path, model.predict)))  # fmt: skip

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "DPMSolver").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data."""
        return attached(self.walk, "DPMSolver").advance(state, generator)

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[HistoryRow, ...]]:
        """Times and the numbers of every step."""
        angles, times = grid(path, self.steps, self.spacing)
        lambdas, rows = log_snr(angles), list[HistoryRow]()
        for i in range(self.steps - 1):
            order = min(self.order, i + 1, self.steps - i)
            back = [lambdas[i - j] for j in range(order)]
            rows.append(multistep(angles[i], angles[i + 1], back, lambdas[i + 1], self.noise))
        return times, (*rows, HistoryRow(0.0, (1.0,)))


def multistep(theta_s: float, theta_t: float, back: list[float], lambda_t: float, noise: bool) -> HistoryRow:
    """The row of one step; `back` is lambda where the data are known, newest first, as many as the order."""
    h = lambda_t - back[0]
    alpha_t, ratio = math.cos(theta_t), math.sin(theta_t) / math.sin(theta_s)
    steps = [(newer - older) / h for newer, older in itertools.pairwise(back)]  # r_0, r_1
    if noise:
        share = -math.expm1(-2 * h)
        first = alpha_t * share
        kept, spread = ratio * math.exp(-h), math.sin(theta_t) * math.sqrt(share)
    else:
        first = -alpha_t * math.expm1(-h)
        kept, spread = ratio, 0.0
    if len(back) == 1:
        return HistoryRow(kept, (first,), spread)
    if len(back) == 2:
        tilt = first / (2 * steps[0])
        return HistoryRow(kept, (first + tilt, -tilt), spread)
    # data(lambda) = data_s + u D1 + u^2 D2 with u = (lambda - lambda_s) / h; D1 and D2 by divided differences of the three values.
    r0, r1 = steps
    phi_2 = math.expm1(-h) / h + 1
    phi_3 = (math.expm1(-h) + h) / h**2 - 0.5
    slope = ((1 + r0 / (r0 + r1)) / r0, -r0 / ((r0 + r1) * r1))  # of D1 on (data_0 - data_1), (data_1 - data_2)
    bend = (1 / ((r0 + r1) * r0), -1 / ((r0 + r1) * r1))
    # The integral of u^2 is -2 phi_3. With -phi_3 the parabola is halved and the order is 2.
    newer = alpha_t * (phi_2 * slope[0] - 2 * phi_3 * bend[0])
    older = alpha_t * (phi_2 * slope[1] - 2 * phi_3 * bend[1])
    return HistoryRow(kept, (first + newer, older - newer, -older), spread)
