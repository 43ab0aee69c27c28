r"""Energy-based model: p(y) = exp(-E(y)) / Z with any network inside, E(y) = network(y) + |y|^2 / (2 s^2).

The second term is a Gaussian base of standard deviation s: with a network of bounded slope p can be normalised, and there is somewhere to
begin chains and annealing. Z is not known, and training needs none; `estimate_log_z` finds it from both sides.
LeCun et al. 2006, http://yann.lecun.com/exdb/publis/pdf/lecun-06.pdf; Du and Mordatch 2019, https://arxiv.org/abs/1903.08689
"""

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution, LogProbKind
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.random import RowGenerator, mix
from pushforward.core.registry import device_of, dtype_of, register
from pushforward.core.shapes import flatten_batch, match_dtype, sum_event
from pushforward.models.latent import Units
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import MLP, ConvClassifier

from .chains import hamiltonian_move, langevin_walk
from .energy_training import EnergyTraining, Kind
from .log_partition import LogPartition, LogZEstimate, annealed_sandwich, betas_to_one

if TYPE_CHECKING:
    from pushforward.core.objective import Objective

Chains = Literal["mala", "langevin"]


@register
class EnergyModel(Distribution):
    """exp(-E) / Z in model units, with the maps to the user's.

    Args:
        units: the user's units on one side, unit scale on the other; whole numbers get uniform noise in training.
        network: maps y `(n, *event)` to `(n,)` or `(n, 1)`.
        rule: see `EnergyTraining`.
        base_scale: s, in model units: wide enough for all data.
        buffer: number of chains that persistent training keeps.
        chains, steps, step_size: of `sample`: so many Langevin steps from chains of the buffer, adjusted ("mala") or not ("langevin").

    Draws are as good as these chains: from the buffer they begin near the model if "pcd" made it, from the base if nothing did.
    Of whole numbers, `log_prob` takes the density in the middle of a cell for the mean over it.

    There is no `log_prob` before `estimate_log_z` has been called; `log_unnormalised` is always there. Raises `ConfigError` for
    impossible numbers.

    >>> model = EnergyModel(Units((2,)), MLP(2, 1, hidden=[8]), steps=10)
    >>> model.log_prob_kind, model.sample(3).shape, model.energy(torch.zeros(5, 2)).shape
    ('none', torch.Size([3, 2]), torch.Size([5]))
    """

    buffer: Tensor

    def __init__(self, units: Units, network: nn.Module, rule: EnergyTraining | None = None, base_scale: float = 2.0, buffer: int = 2048,
                 chains: Chains = "mala", steps: int = 300, step_size: float = 0.005):  # fmt: skip
        super().__init__()
        if not (base_scale > 0 and step_size > 0 and buffer >= 1 and steps >= 1) or chains not in ("mala", "langevin"):
            raise ConfigError(f"expected a positive base_scale and step_size, at least 1 chain and step, and chains 'mala' or 'langevin', got "
                              f"{base_scale}, {step_size}, {buffer}, {steps} and {chains!r}")  # fmt: skip
        self.event_shape, self.units, self.network = units.event_shape, units, network
        self.reparameterised, self.rule = False, rule or EnergyTraining()
        self.base_scale, self.kind, self.steps, self.step_size = base_scale, chains, steps, step_size
        self.rescues = 0  # from divergence; each doubles the Langevin steps of training
        start = base_scale * RowGenerator(0, buffer).normal(*self.event_shape, dtype=torch.float32)
        # The bits of floats, as integers: neither the average of the weights nor a change of precision may touch the chains.
        self.buffer = nn.Buffer(start.view(torch.int32))
        self.partition = LogPartition()

    @property
    def log_prob_kind(self) -> LogProbKind:  # type: ignore[override]
        """None, or an estimate once `estimate_log_z` has been called."""
        return self.partition.kind

    @property
    def objective(self) -> "Objective":
        """The rule of training it was built with."""
        return self.rule

    @property
    def replay_buffer(self) -> Tensor:
        """The chains of persistent training, `(chains, *event)` in model units, in float32; writing to it changes them."""
        return self.buffer.view(torch.float32)

    def rolled_back(self, times: int) -> str:
        """What `pf.fit` calls after it went back to good weights: train with more Langevin steps, and say so."""
        self.rescues = min(times, 4)
        return f"{self.rule.steps * 2**self.rescues} Langevin steps from now on" if self.rule.kind == "pcd" else ""

    def to_model(self, x: Tensor, generator: RowGenerator | None) -> Tensor:
        """x `(n, *event)` in model units; see `Units.to_model`."""
        return self.units.to_model(match_dtype(x, dtype_of(self)), generator)

    def network_energy(self, y: Tensor) -> Tensor:
        """The network's part of E, `(n,)`, for y in model units."""
        value = self.network(y)
        value = value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value
        if value.shape != y.shape[:1]:
            raise ShapeError(
                f"expected a network with one output a row, ({len(y)},) or ({len(y)}, 1), got {tuple(value.shape)}"
            )
        return value

    def base_energy(self, y: Tensor) -> Tensor:
        """|y|^2 / (2 s^2), `(n,)`."""
        return sum_event(y.square()) / (2 * self.base_scale**2)

    def standard_energy(self, y: Tensor) -> Tensor:
        """E(y), `(n,)`, for y `(n, *event)` in model units."""
        return self.network_energy(y) + self.base_energy(y)

    def base_draws(self, generator: RowGenerator) -> Tensor:
        """Draws of the base in model units."""
        return self.base_scale * generator.normal(*self.event_shape, dtype=dtype_of(self))

    def energy(self, x: Tensor) -> Tensor:
        """E of x `(*batch, *event)` in the user's units, `(*batch,)` in nats; lower is likelier."""
        flat, batch = flatten_batch(x, self.event_shape)
        return self.standard_energy(self.to_model(flat, None)).reshape(batch)

    def log_unnormalised(self, x: Tensor) -> Tensor:
        """log p(x) + log Z in the user's units, `(*batch,)`: the difference of two rows is that of their log densities."""
        return self.units.log_det() - self.energy(x)

    def estimate_log_z(self, *, chains: int = 500, temperatures: int = 200, leaps: int = 5,
                       generator: torch.Generator | None = None) -> LogZEstimate:  # fmt: skip
        """log Z in model units, by annealing from the base and back, and remember it, for `log_prob`; see `LogZEstimate`.

        Moves are Hamiltonian ones of `leaps` steps. Their sizes are found by a run before, of an eighth of the chains, for an acceptance of 0.7.
        """
        d, s, few = self.event_shape.numel(), self.base_scale, max(chains // 8, 20)
        rows = RowGenerator.of(generator, chains, device=device_of(self))
        # Energies are huge where the base begins: the first steps have to be the smallest.
        betas = betas_to_one(temperatures, 3.0)
        sizes = self._step_sizes(betas, leaps, RowGenerator(mix(rows.seed, 1), few, device=rows.device))

        def log_f(y: Tensor, beta: float) -> Tensor:
            return -beta * self.network_energy(y) - self.base_energy(y)

        def move(y: Tensor, beta: float, source: RowGenerator) -> Tensor:
            return hamiltonian_move(lambda at: -log_f(at, beta), y, sizes[beta], leaps, source)[0]

        log_z0 = d * (math.log(s) + math.log(2 * math.pi) / 2)
        start = self.base_draws(rows)
        return self.partition.keep(annealed_sandwich(log_f, start, log_z0, move, rows, betas=betas, burn_in=20))

    @torch.no_grad()
    def _step_sizes(self, betas: list[float], leaps: int, generator: RowGenerator) -> dict[float, float]:
        """A step size for each beta: raised where more than seven tenths of the moves are accepted, else lowered."""
        y, size, sizes = self.base_draws(generator), 0.3 * self.base_scale, {}
        for beta in betas:

            def energy(at: Tensor, beta: float = beta) -> Tensor:
                return beta * self.network_energy(at) + self.base_energy(at)

            y, accepted = hamiltonian_move(energy, y, size, leaps, generator)
            size *= math.exp(0.5 * (float(accepted.mean()) - 0.7))
            sizes[beta] = size
        return sizes

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self.units.log_det() - self.standard_energy(self.to_model(x, None)) - self.partition.required()

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        start = self.replay_buffer[generator.integers(len(self.buffer))].to(dtype_of(self))
        y, _ = langevin_walk(
            self.standard_energy, start, self.steps, self.step_size, generator.fork(1), self.kind == "mala"
        )
        return self.units.to_user(y).detach()

    def _probe(self, condition: Tensor | None) -> object:
        return self.standard_energy(torch.zeros(1, *self.event_shape, dtype=dtype_of(self), device=device_of(self)))


def energy_model(data: Images | Table | Tensor | None = None, *, features: int | None = None, training: Kind = "pcd", width: int | None = None,
                 layers: int = 3, blur: float = 0.1, steps: int = 20, step_size: float = 0.005, base_scale: float | None = None,
                 sample_steps: int = 300, seed: int = 0) -> EnergyModel:  # fmt: skip
    """An energy-based model of a table, by a multilayer perceptron, or of images, by a small convolutional network.

    Args:
        data: a table, images (labels are ignored), or a tensor `(n, features)`.
        features: the number of columns of unit scale, where there are no data.
        training: "pcd", "denoising" or "sliced".
        width, layers: of the network; 128 units in 3 layers for a table, 32 channels for images, whose layers are given.
        blur, steps, step_size: see `EnergyTraining`; steps of sampling have the same size.
        base_scale: see `EnergyModel`; 2 for a table, 1 for images, whose pixels lie in -1 .. 1.
        sample_steps: Langevin steps of `sample`.
        seed: of the first weights.

    >>> energy_model(torch.randn(20, 3), width=8).event_shape
    torch.Size([3])
    """
    if (data is None) == (features is None):
        raise ConfigError(f"expected data or features=, one of the two, got {'neither' if data is None else 'both'}")
    data = Table.of(data) if isinstance(data, Tensor) else data
    units = Units((features or 0,)) if data is None else Units.of(data)
    rule = EnergyTraining(training, steps, step_size, blur=blur)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(data, Images):
            network: nn.Module = ConvClassifier(data.shape[0], data.shape[1:], classes=1, width=width or 32)
        else:
            network = MLP(units.event_shape.numel(), 1, hidden=[width or 128] * layers)
    scale = base_scale or (1.0 if isinstance(data, Images) else 2.0)
    return EnergyModel(units, network, rule, scale, steps=sample_steps, step_size=step_size)
