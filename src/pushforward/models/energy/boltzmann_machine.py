r"""Boltzmann machine, fully visible: p(y) = exp(y'Wy / 2 + b'y) / Z for y in {-1, +1}^d, with W symmetric and without a diagonal.

Its moments E y_i y_j and E y_i are all that the likelihood sees of the data; the gradient in W_ij is their data value minus their
model value. With two values of any kind in the place of -1 and +1 it is the same model.
Ackley, Hinton and Sejnowski 1985, https://doi.org/10.1207/s15516709cog0901_7
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.distribution import Distribution, LogProbKind
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, register
from pushforward.parts.data import Images, Table

from .bits import Bits, all_bits, draw_rows
from .contrastive import BoltzmannTraining, Kind, require_enumerable
from .gibbs import SpinGibbs, sweep
from .log_partition import LogPartition, LogZEstimate, annealed_sandwich, betas_to_one

if TYPE_CHECKING:
    from pushforward.core.objective import Objective

ENUMERABLE = 20  # bits


@register
class BoltzmannMachine(Distribution):
    """exp(y'Wy / 2 + b'y) / Z, where y = -1 or +1 stands for the two values of each number of x.

    Args:
        bits: the two values; its flat width is d.
        training: "exact", "cd", "pcd" or "pseudo": see `BoltzmannTraining`; `steps` are its Gibbs sweeps.
        chains: how many chains "pcd" carries along.
        sweeps: of Gibbs sampling in `sample`, from independent spins, where states cannot be enumerated (d > 20).

    Up to d = 20, `log_prob` is exact and so are draws. Beyond, there is no `log_prob` before `estimate_log_z` has been called.

    Raises `ConfigError` for impossible sizes, or exact training of more than 20 numbers.

    >>> machine = BoltzmannMachine(Bits(3, low=-1.0))
    >>> machine.log_prob(torch.tensor([[1.0, -1.0, 1.0]])).exp()  # all eight are alike at the start
    tensor([0.1250], grad_fn=<ExpBackward0>)
    """

    chains: Tensor

    def __init__(self, bits: Bits, training: Kind = "pcd", steps: int = 1, chains: int = 256, sweeps: int = 500):
        super().__init__()
        self.event_shape, self.bits, self.sweeps = bits.event_shape, bits, sweeps
        self.d, self.reparameterised = self.event_shape.numel(), False
        if min(self.d, chains, sweeps) < 1:
            raise ConfigError(f"expected at least 1 number, chain and sweep, got {self.d}, {chains} and {sweeps}")
        self.enumerable = self.d <= ENUMERABLE
        require_enumerable(training, self.enumerable, f"{ENUMERABLE} numbers")
        self.rule = BoltzmannTraining(training, steps)
        self.coupling = nn.Parameter(torch.zeros(self.d * (self.d - 1) // 2))
        self.field = nn.Parameter(torch.zeros(self.d))
        # Bytes, so that the average of the weights passes them by.
        start = RowGenerator(0, chains).rademacher(self.d)
        self.chains = nn.Buffer(start.to(torch.int8))
        self.partition = LogPartition()

    @property
    def log_prob_kind(self) -> LogProbKind:  # type: ignore[override]
        """Exact where states can be enumerated; else an estimate once `estimate_log_z` has been called."""
        return "exact" if self.enumerable else self.partition.kind

    @property
    def objective(self) -> "Objective":
        """The rule of training it was built with."""
        return self.rule

    @property
    def kernel(self) -> SpinGibbs:
        """Gibbs sampling of its spins."""
        return SpinGibbs(self)

    @property
    def weights(self) -> Tensor:
        """W, `(d, d)`: symmetric, 0 on the diagonal."""
        upper = self.coupling.new_zeros(self.d, self.d)
        i, j = torch.triu_indices(self.d, self.d, 1, device=upper.device)
        upper = upper.index_put((i, j), self.coupling)
        return upper + upper.mT

    def to_model(self, x: Tensor) -> Tensor:
        """x `(n, *event)` as spins `(n, d)` of -1 and +1."""
        return 2 * self.bits.to_model(x) - 1

    def as_seen(self, data: Images | Table) -> Images | Table:
        """The data as the model sees them: see `Bits.as_seen`."""
        return self.bits.as_seen(data)

    def log_f(self, y: Tensor) -> Tensor:
        """y'Wy / 2 + b'y for spins `(n, d)`: log p without log Z."""
        return ((y @ self.weights) * y).sum(1) / 2 + y @ self.field

    def log_pseudo(self, y: Tensor, generator: RowGenerator) -> Tensor:
        """sum_i log p(y_i | the others) for spins `(n, d)`."""
        return functional.logsigmoid(2 * y * (y @ self.weights + self.field)).sum(1)

    def exact_log_z(self) -> Tensor:
        """log Z by visiting all 2^d states. Raises `ConfigError` beyond d = 20."""
        return torch.logsumexp(self._all_log_f(), 0)

    def estimate_log_z(
        self, *, chains: int = 500, temperatures: int = 1000, generator: torch.Generator | None = None
    ) -> LogZEstimate:
        """log Z by annealing from independent spins (W = 0) and back, and remember it, for `log_prob`; see `LogZEstimate`."""
        rows, d = RowGenerator.of(generator, chains, device=device_of(self)), self.d
        with torch.no_grad():
            weights, field = self.weights, self.field.detach()
            spins = torch.where(rows.uniform(d, dtype=field.dtype) < torch.sigmoid(2 * field), 1.0, -1.0).to(
                field.dtype
            )

            def log_f(y: Tensor, beta: float) -> Tensor:
                return beta * ((y @ weights) * y).sum(1) / 2 + y @ field

            def move(y: Tensor, beta: float, source: RowGenerator) -> Tensor:
                return sweep(y, beta * weights, field, source.uniform(d, dtype=y.dtype))

            log_z0 = float((functional.softplus(2 * field.double()) - field.double()).sum())  # sum log 2 cosh b
            return self.partition.keep(
                annealed_sandwich(log_f, spins, log_z0, move, rows, betas=betas_to_one(temperatures))
            )

    def _all_log_f(self) -> Tensor:
        if not self.enumerable:
            raise ConfigError(
                f"expected at most {ENUMERABLE} numbers to visit all states of, got {self.d}; call estimate_log_z"
            )
        low = 2 * all_bits(min(self.d, 16), self.field) - 1
        if self.d <= 16:
            return self.log_f(low)
        high = 2 * all_bits(self.d - 16, self.field) - 1
        return torch.cat([self.log_f(torch.cat([low, row.expand(len(low), -1)], 1)) for row in high])

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        log_z = self.exact_log_z() if self.enumerable else self.partition.required()
        return self.log_f(self.to_model(x)) - log_z

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        with torch.no_grad():
            if self.enumerable:
                number = draw_rows(self._all_log_f(), generator.uniform(dtype=torch.float64))
                return self.bits.to_user((number[:, None] >> torch.arange(self.d, device=number.device)) & 1)
            start = torch.where(generator.uniform(self.d) < torch.sigmoid(2 * self.field), 1.0, -1.0)
            return self.bits.to_user(self.kernel.run(start.to(self.field.dtype), self.sweeps, generator).x)

    def _probe(self, condition: Tensor | None) -> object:
        return self.log_f(self.field.new_ones(1, self.d))


def boltzmann_machine(data: Images | Table | Tensor | None = None, *, features: int | None = None, training: Kind | None = None,
                      steps: int = 1, chains: int = 256, sweeps: int = 500) -> BoltzmannMachine:  # fmt: skip
    """A fully visible Boltzmann machine of data with two values in each place, trained exactly where that can be done.

    Args:
        data: a table or tensor whose columns have two values, or images, whose greys count as black or white.
        features: the number of values -1 and +1, where there are no data.
        training: "exact", "cd", "pcd" or "pseudo"; by default exact up to 16 numbers, else "pcd".
        steps, chains, sweeps: see `BoltzmannMachine`.

    >>> boltzmann_machine(torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])).log_prob_kind
    'exact'
    """
    if (data is None) == (features is None):
        raise ConfigError(f"expected data or features=, one of the two, got {'neither' if data is None else 'both'}")
    bits = Bits(features or 0, -1.0, 1.0) if data is None else Bits.of(data)
    small = bits.event_shape.numel() <= 16
    return BoltzmannMachine(bits, training or ("exact" if small else "pcd"), steps, chains, sweeps)
