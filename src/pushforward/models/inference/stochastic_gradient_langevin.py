"""Stochastic gradient Langevin dynamics: Langevin steps on a few rows of the data at a time, smaller and smaller.

x <- x + eps_t (grad log p(x) + N/b sum over a minibatch of grad log p(row | x)) + sqrt(2 eps_t) z,  eps_t = eps (1 + t/delay)^-decay.
As eps_t falls the noise of the minibatch, of order eps_t^2, fades against that of z, of order eps_t.
Welling and Teh 2011, https://www.stats.ox.ac.uk/~teh/research/compstats/WelTeh2011a.pdf (whose eps is twice this one)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, UserError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register

from .density import Density, log_density_of
from .hamiltonian import value_and_gradient


@register
@dataclass(frozen=True, eq=False)
class StochasticGradientLangevin(Kernel):
    """Langevin steps on minibatches; every chain draws rows of its own, with replacement.

    Args:
        log_prior: a distribution with an exact log_prob, or a function of x `(n, *event)` that returns `(n,)`.
        log_likelihood: maps x `(n, *event)` and rows `(n, b, *row)`, b for each chain, to `(n, b)`: log p(row | x).
        data: all rows, `(N, *row)`.
        step_size, delay, decay: of the step eps_t above; `decay=0` keeps it, and with it a bias of order eps.
        batch_size: b.

    A step reports `log_density`, the estimate at the positions it started from, and `step_size`.

    Raises `ConfigError` for impossible settings, `UserError` when a log density is no longer finite.

    >>> from pushforward.core.random import RowGenerator
    >>> rows = torch.linspace(-1, 3, 50)
    >>> chains = StochasticGradientLangevin(lambda x: -x[:, 0] ** 2 / 2, lambda x, rows: -(rows - x) ** 2 / 2, rows, 1e-3, batch_size=5)
    >>> abs(chains.run(torch.zeros(500, 1), 100, RowGenerator(0, 500)).x.mean() - 50 / 51) < 0.1
    tensor(True)
    """

    log_prior: Density
    log_likelihood: Callable[[Tensor, Tensor], Tensor]
    data: Tensor
    step_size: float
    batch_size: int = 32
    decay: float = 0.0
    delay: float = 1000.0

    def __post_init__(self):
        if not (self.step_size > 0 and math.isfinite(self.step_size) and self.decay >= 0 and self.delay > 0):
            raise ConfigError(f"expected a positive step_size and delay and a decay of at least 0, got {self.step_size}, {self.delay} and "
                              f"{self.decay}; begin with a step_size of 0.1 / rows")  # fmt: skip
        if not 1 <= self.batch_size <= len(self.data):
            raise ConfigError(f"expected a batch_size of 1 to the {len(self.data)} rows, got {self.batch_size}")

    def init(self, x: Tensor) -> State:
        """Begin at `x`, `(n, *event)`."""
        return State(x.detach())

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """A minibatch, its gradient, and noise."""
        x, total = state.x, len(self.data)
        eps = self.step_size * (1 + state.step / self.delay) ** -self.decay
        batch = self.data[generator.integers(total, self.batch_size)]
        prior = log_density_of(self.log_prior)

        def estimate(x: Tensor) -> Tensor:
            terms = self.log_likelihood(x, batch)
            if terms.shape != batch.shape[:2]:
                raise UserError(f"expected a log likelihood of shape {tuple(batch.shape[:2])}, (chains, rows of a batch), got "
                                f"{tuple(terms.shape)}; sum over the numbers of a row, not over rows")  # fmt: skip
            return prior(x) + total * terms.mean(1)

        value, gradient = value_and_gradient(estimate, x)
        if not (torch.isfinite(value).all() & torch.isfinite(gradient).all()):
            bad = ~(torch.isfinite(value) & torch.isfinite(gradient).all(1))
            raise UserError(f"expected a finite log density and gradient, got others in {int(bad.sum())} of {len(x)} chains at step "
                            f"{state.step}; take a step_size below {eps:g}")  # fmt: skip
        z = generator.normal(*x.shape[1:], dtype=x.dtype)
        info = Info({"log_density": value, "step_size": eps})
        return State(x + eps * gradient.view_as(x) + math.sqrt(2 * eps) * z, state.step + 1), info
