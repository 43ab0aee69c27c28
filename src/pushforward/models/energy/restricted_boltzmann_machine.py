r"""Restricted Boltzmann machine: visible bits v and hidden bits h, connected across and not within.

p(v, h) = exp(b'v + c'h + v'Wh) / Z. The hidden bits can be summed away: log p(v) = b'v + sum_j softplus((v W + c)_j) - log Z, whose
negative without log Z is the free energy. Smolensky 1986; Freund and Haussler 1991; Hinton 2002,
https://doi.org/10.1162/089976602760128018; log Z: Salakhutdinov and Murray 2008, https://doi.org/10.1145/1390156.1390266
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
from .contrastive import BoltzmannTraining, Kind, places_to_flip, require_enumerable
from .gibbs import BlockGibbs
from .log_partition import LogPartition, LogZEstimate, annealed_sandwich, betas_to_one

if TYPE_CHECKING:
    from pushforward.core.objective import Objective

ENUMERABLE = 16  # bits of the smaller layer


@register
class RestrictedBoltzmannMachine(Distribution):
    """Bernoulli numbers, with `hidden` Bernoulli numbers behind them.

    Args:
        bits: the two values of each number of an event; its flat width is d.
        hidden: number of hidden bits.
        training: "exact", "cd", "pcd" or "pseudo": see `BoltzmannTraining`; `steps` are its Gibbs steps.
        chains: how many chains "pcd" carries along.
        sweeps: Gibbs steps of `sample`, from the chains, where states cannot be enumerated.
        means: of the visible bits, `(d,)`: what `b` begins with.
        seed: of the first weights.

    With at most 16 bits in either layer `log_prob` is exact and so are draws. Otherwise there is no `log_prob` before
    `estimate_log_z` has been called. Raises `ConfigError` for impossible sizes.

    >>> machine = RestrictedBoltzmannMachine(Bits(4), hidden=3)
    >>> x = machine.sample(5)
    >>> x.shape, machine.log_prob(x).shape, machine.log_prob_kind
    (torch.Size([5, 4]), torch.Size([5]), 'exact')
    """

    chains: Tensor

    def __init__(self, bits: Bits, hidden: int, training: Kind = "pcd", steps: int = 1, chains: int = 256, sweeps: int = 1000,
                 means: Tensor | None = None, seed: int = 0):  # fmt: skip
        super().__init__()
        self.event_shape, self.bits, self.hidden, self.sweeps = bits.event_shape, bits, hidden, sweeps
        self.d, self.reparameterised = self.event_shape.numel(), False
        if min(self.d, hidden, chains, sweeps) < 1:
            raise ConfigError(
                f"expected at least 1 number, hidden bit, chain and sweep, got {self.d}, {hidden}, {chains} and {sweeps}"
            )
        self.enumerable = min(self.d, hidden) <= ENUMERABLE
        require_enumerable(training, self.enumerable, f"{ENUMERABLE} bits in one layer")
        self.rule = BoltzmannTraining(training, steps)
        means = torch.full((self.d,), 0.5) if means is None else means.detach().flatten().to(torch.get_default_dtype())
        if means.shape != (self.d,):
            raise ConfigError(
                f"expected means of shape ({self.d},), got {tuple(means.shape)}; give one for each number"
            )
        source = torch.Generator().manual_seed(seed)
        self.weights = nn.Parameter(0.01 * torch.randn(self.d, hidden, generator=source))
        self.visible_bias = nn.Parameter(torch.logit(means.clamp(0.01, 0.99)))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        # Bytes, so that the average of the weights passes them by.
        self.chains = nn.Buffer((RowGenerator(seed, chains).uniform(self.d) < means).to(torch.int8))
        self.partition = LogPartition()

    @property
    def log_prob_kind(self) -> LogProbKind:  # type: ignore[override]
        """Exact where a layer can be enumerated; else an estimate once `estimate_log_z` has been called."""
        return "exact" if self.enumerable else self.partition.kind

    @property
    def objective(self) -> "Objective":
        """The rule of training it was built with."""
        return self.rule

    @property
    def kernel(self) -> BlockGibbs:
        """Gibbs sampling of the layers in turn."""
        return BlockGibbs(self)

    def to_model(self, x: Tensor) -> Tensor:
        """x `(n, *event)` as visible bits `(n, d)`."""
        return self.bits.to_model(x)

    def as_seen(self, data: Images | Table) -> Images | Table:
        """The data as the model sees them: see `Bits.as_seen`."""
        return self.bits.as_seen(data)

    def hidden_given(self, v: Tensor) -> Tensor:
        """p(h_j = 1 | v), `(n, hidden)`, for visible bits `(n, d)`."""
        return torch.sigmoid(v @ self.weights + self.hidden_bias)

    def visible_given(self, h: Tensor) -> Tensor:
        """p(v_i = 1 | h), `(n, d)`, for hidden bits `(n, hidden)`."""
        return torch.sigmoid(h @ self.weights.mT + self.visible_bias)

    def free_energy(self, v: Tensor) -> Tensor:
        """-log sum_h exp(b'v + c'h + v'Wh) for visible bits `(n, d)`: `(n,)`."""
        return -self.log_f(v)

    def log_f(self, v: Tensor) -> Tensor:
        """b'v + sum_j softplus((v W + c)_j): log p without log Z."""
        return v @ self.visible_bias + functional.softplus(v @ self.weights + self.hidden_bias).sum(1)

    def log_pseudo(self, v: Tensor, generator: RowGenerator) -> Tensor:
        """sum_i log p(v_i | the others): of all places up to 64, else d times the mean over 64 random ones."""
        places = places_to_flip(self.d, generator)
        change = 1 - 2 * v.gather(1, places)  # what a flip adds, +1 or -1
        inside = v @ self.weights + self.hidden_bias
        total = torch.zeros_like(v[:, 0])
        for k in range(places.shape[1]):
            flipped = functional.softplus(
                inside + change[:, k, None] * self.weights[places[:, k]]
            ) - functional.softplus(inside)
            gain = change[:, k] * self.visible_bias[places[:, k]] + flipped.sum(1)
            total = total + functional.logsigmoid(-gain)
        return total * (self.d / places.shape[1])

    def exact_log_z(self) -> Tensor:
        """log Z by visiting all states of the smaller layer. Raises `ConfigError` where both have more than 16 bits."""
        return torch.logsumexp(self._all_log_f(), 0)

    def estimate_log_z(
        self, *, chains: int = 500, temperatures: int = 1000, generator: torch.Generator | None = None
    ) -> LogZEstimate:
        """log Z by annealing from W = 0, c = 0 and back, and remember it, for `log_prob`; see `LogZEstimate`."""
        rows = RowGenerator.of(generator, chains, device=device_of(self))
        with torch.no_grad():
            b, c, w = self.visible_bias.detach(), self.hidden_bias.detach(), self.weights.detach()

            def log_f(v: Tensor, beta: float) -> Tensor:
                return v @ b + functional.softplus(beta * (v @ w + c)).sum(1)

            def move(v: Tensor, beta: float, source: RowGenerator) -> Tensor:
                h = (source.uniform(self.hidden, dtype=v.dtype) < torch.sigmoid(beta * (v @ w + c))).to(v.dtype)
                return (source.uniform(self.d, dtype=v.dtype) < torch.sigmoid(b + beta * (h @ w.mT))).to(v.dtype)

            start = (rows.uniform(self.d, dtype=b.dtype) < torch.sigmoid(b)).to(b.dtype)
            log_z0 = float(functional.softplus(b.double()).sum()) + self.hidden * float(
                torch.log(torch.tensor(2.0, dtype=torch.float64))
            )
            return self.partition.keep(
                annealed_sandwich(log_f, start, log_z0, move, rows, betas=betas_to_one(temperatures))
            )

    def _all_log_f(self) -> Tensor:
        """log f of all visible, or of all hidden states, whichever layer is smaller."""
        if not self.enumerable:
            raise ConfigError(f"expected a layer of at most {ENUMERABLE} bits to visit all states of, got {self.d} and {self.hidden}; "
                              "call estimate_log_z")  # fmt: skip
        if self.d <= self.hidden:
            return self.log_f(all_bits(self.d, self.weights))
        h = all_bits(self.hidden, self.weights)
        return h @ self.hidden_bias + functional.softplus(h @ self.weights.mT + self.visible_bias).sum(1)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        log_z = self.exact_log_z() if self.enumerable else self.partition.required()
        return self.log_f(self.to_model(x)) - log_z

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        with torch.no_grad():
            dtype = self.weights.dtype
            if self.enumerable:
                states = all_bits(min(self.d, self.hidden), self.weights)
                drawn = states[draw_rows(self._all_log_f(), generator.uniform(dtype=torch.float64))]
                if self.d > self.hidden:
                    drawn = (generator.uniform(self.d, dtype=dtype) < self.visible_given(drawn)).to(dtype)
                return self.bits.to_user(drawn)
            start = self.chains[generator.integers(len(self.chains))].to(dtype)
            return self.bits.to_user(self.kernel.run(start, self.sweeps, generator).x)

    def _probe(self, condition: Tensor | None) -> object:
        return self.log_f(self.weights.new_zeros(1, self.d))


def rbm(data: Images | Table | Tensor | None = None, *, features: int | None = None, hidden: int = 64, training: Kind = "pcd",
        steps: int = 1, chains: int = 256, sweeps: int = 1000, seed: int = 0) -> RestrictedBoltzmannMachine:  # fmt: skip
    """A restricted Boltzmann machine of data with two values in each place.

    Args:
        data: a table or tensor whose columns have two values, or images, whose greys count as black or white.
        features: the number of values 0 and 1, where there are no data.
        hidden: number of hidden bits.
        training, steps, chains, sweeps: see `RestrictedBoltzmannMachine`.
        seed: of the first weights.

    >>> rbm(torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), hidden=20).log_prob_kind
    'exact'
    """
    if (data is None) == (features is None):
        raise ConfigError(f"expected data or features=, one of the two, got {'neither' if data is None else 'both'}")
    if data is None:
        return RestrictedBoltzmannMachine(Bits(features or 0), hidden, training, steps, chains, sweeps, seed=seed)
    data = Table.of(data) if isinstance(data, Tensor) else data
    bits = Bits.of(data)
    rows = data.pixels.float() if isinstance(data, Images) else data.values
    return RestrictedBoltzmannMachine(bits, hidden, training, steps, chains, sweeps, bits.to_model(rows).mean(0), seed)
