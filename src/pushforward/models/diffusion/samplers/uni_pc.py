r"""UniPC: a multistep predictor, and a corrector of one order more that costs no evaluation of its own.

With h = lambda_t - lambda_s, r_m = (lambda_m - lambda_s) / h at the steps before, r_p = 1 at t, and D_m = data_m - data_s,

    y_t = sigma_t / sigma_s y_s + alpha_t (1 - e^-h) data_s + alpha_t B(h) sum_m a_m D_m / r_m,    B(h) = 1 - e^-h ("bh2"),

where the a solve sum_m r_m^(k-1) a_m = k! phi_(k+1)(h) h^k / (B(h) h^(k-1)) in the notation of the paper: the formula is then exact for data that
are a polynomial of lambda. The predictor leaves out m = p; the corrector takes it, with the data predicted at the y_t of the
predictor, which the next step needs anyway. Zhao et al. 2023, https://arxiv.org/abs/2302.04867, algorithm 1 to 4.
"""

import math
from dataclasses import dataclass, field, replace

import torch
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
class UniPC(Kernel):
    """`steps` network evaluations; the predictor is of order 1, 2 or 3 and with its corrector the method is of one order more.

    `order` is the predictor's, as the paper counts ("UniPC-2" is 2). First and last steps are of lower order, and the very last, to clean
    data, is the data predicted. `spacing` and the state are those of `Ancestral`. Raises `ConfigError` for another order, or fewer
    steps than the order.

    >>> UniPC(steps=10)
    UniPC(steps=10, order=2, spacing='angle')
    """

    steps: int = 20
    order: int = 2
    spacing: Spacing = "angle"
    walk: HistoryWalk | None = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        if not 1 <= self.order <= 3 or self.steps < self.order:
            raise ConfigError(f"expected an order from 1 to 3 and at least so many steps, got order={self.order} and "
                              f"steps={self.steps}; take more steps or a lower order")  # fmt: skip

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return self.steps

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "UniPC":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=HistoryWalk(model, condition, *tabulated(replace(self, walk=None), model.path, model.predict)))  # fmt: skip

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "UniPC").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """The correction of the step before, and the next prediction."""
        return attached(self.walk, "UniPC").advance(state, generator)

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[HistoryRow, ...]]:
        """Times and the numbers of every step."""
        angles, times = grid(path, self.steps, self.spacing)
        lambdas, rows, order = log_snr(angles), list[HistoryRow](), 0
        for i in range(self.steps):
            fixed, corrected = 0.0, tuple[float, ...]()
            if i:  # y_i from y_{i-1}, with the order that the predictor of y_i had
                back = [lambdas[i - 1 - j] for j in range(order)]
                fixed, corrected = unified(angles[i - 1], angles[i], back, lambdas[i], corrector=True)
            order = min(self.order, i + 1, self.steps - i)
            if i == self.steps - 1:
                kept, weights = 0.0, (1.0,)
            else:
                back = [lambdas[i - j] for j in range(order)]
                kept, weights = unified(angles[i], angles[i + 1], back, lambdas[i + 1], corrector=False)
            rows.append(HistoryRow(kept, weights, 0.0, fixed, corrected))
        return times, tuple(rows)


def unified(theta_s: float, theta_t: float, back: list[float], lambda_t: float, *, corrector: bool) -> tuple[float, tuple[float, ...]]:  # fmt: skip
    """(from_y, from_data): data newest first, that at t before the others for the corrector.

    >>> unified(1.0, 0.5, [-0.44], 0.6, corrector=False)[1][0] > 0
    True
    """
    h = lambda_t - back[0]
    alpha_t, kept = math.cos(theta_t), math.sin(theta_t) / math.sin(theta_s)
    first = -alpha_t * math.expm1(-h)
    places = [(older - back[0]) / h for older in back[1:]] + ([1.0] if corrector else [])
    if not places:
        return kept, (first,)
    if len(places) == 1:
        shares = [0.5]  # the paper's choice, exact to the order that one value allows
    else:
        r = torch.tensor(places, dtype=torch.float64)
        powers = torch.stack([r**k for k in range(len(places))])
        shares = torch.linalg.solve(powers, torch.tensor(moments(h, len(places)), dtype=torch.float64)).tolist()
    weights = [first * share / place for share, place in zip(shares, places)]
    own = first - sum(weights)
    return kept, ((weights[-1], own, *weights[:-1]) if corrector else (own, *weights))


def moments(h: float, count: int) -> list[float]:
    """The integrals of u^k e^(-h (1 - u)) h du over [0, 1], k = 1, 2, ..., divided by B(h) = 1 - e^-h."""
    total, found = -math.expm1(-h), list[float]()
    integral = total
    for k in range(1, count + 1):
        integral = 1 - k * integral / h  # by parts
        found.append(integral / total)
    return found
