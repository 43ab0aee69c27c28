"""Neural process: one latent vector for the whole function, so that its values at all places go together.

z ~ q(z | context) = N(mu, s^2), (mu, s) from a deep set;  p(y_1 .. y_N | z) = prod_j N(y_j; g(x_j, z)).
Garnelo et al., 2018, https://arxiv.org/abs/1807.01622; with attention Kim et al., 2019, https://arxiv.org/abs/1901.05761.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, MixtureSameFamily, Normal

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Objective
from pushforward.core.process import Context, Process
from pushforward.core.registry import register
from pushforward.models.flows.columns import seeded
from pushforward.parts.data.function_sets import FunctionSet
from pushforward.parts.nn.activations import activation_named
from pushforward.parts.nn.deep_set import DeepSet
from pushforward.parts.nn.mlp import MLP

from .attentive_path import AttentivePath
from .latent_mixture import latent_mixture, prediction_noise
from .latent_objectives import neural_process_elbo, neural_process_likelihood
from .units import PointUnits

Path = Literal["none", "mean", "attention"]
Objectives = Literal["elbo", "npml"]


@register
class NeuralProcess(Process):
    """Predicts functions jointly: a mixture over draws of a latent vector, each of them one coherent function.

    `predict` gives the mixture over `draws` latent vectors, the same for every function: `sample` draws functions that hang
    together, `mean` and `stddev` are those of the mixture, and `log_prob` is a log-mean-exp over the draws, an *estimate* of
    log p(y | context) that is too low on average (`log_prob_kind`), by less with more draws. Without a context
    q(z | context) is exactly N(0, I), the prior.

    `path` is what the decoder sees beside z: "none", a "mean" over the context, or "attention" to it (the ANP). `objective`
    is "elbo" or "npml", with `training_draws` latent vectors a step; see `latent_objectives`. `layers` counts the hidden
    layers of each network, of width `hidden`. Raises `ConfigError` for sizes and names that do not fit.

    >>> process = NeuralProcess(hidden=16, latents=4, draws=8)
    >>> context = Context.of(torch.zeros(2, 3, 1), torch.ones(2, 3, 1))
    >>> prediction = process.predict(context, torch.zeros(2, 50, 1))
    >>> prediction.sample().shape, prediction.log_prob(torch.zeros(2, 50, 1)).shape
    (torch.Size([2, 50, 1]), torch.Size([2]))
    """

    log_prob_kind = "estimate"

    def __init__(self, x_dim: int = 1, y_dim: int = 1, hidden: int = 128, latents: int = 64, path: Path = "none",
                 layers: int = 2, heads: int = 4, activation: str = "gelu", min_scale: float = 0.01, draws: int = 32,
                 objective: Objectives = "elbo", training_draws: int = 1):  # fmt: skip
        super().__init__()
        sizes = {
            "hidden": hidden,
            "latents": latents,
            "layers": layers,
            "draws": draws,
            "training_draws": training_draws,
        }
        if min(sizes.values()) < 1:
            raise ConfigError(f"expected sizes of 1 or more, got {sizes}; raise what is too small")
        if path not in get_args(Path) or objective not in get_args(Objectives):
            raise ConfigError(f"expected a path among {', '.join(get_args(Path))} and an objective among "
                              f"{', '.join(get_args(Objectives))}, got {path!r} and {objective!r}; choose among these")  # fmt: skip
        self.x_dim, self.y_dim, self.latents, self.draws = x_dim, y_dim, latents, draws
        self.training_draws, self._objective = training_draws, objective
        self.units = PointUnits(x_dim, y_dim, min_scale)
        self.activation = activation_named(activation)
        self.encoder = DeepSet(x_dim + y_dim, hidden, hidden, layers, "mean", activation)
        self.latent = MLP(hidden, 2 * latents, (hidden,), activation)
        self.path: nn.Module | None = None
        if path == "mean":
            self.path = DeepSet(x_dim + y_dim, hidden, hidden, layers, "mean", activation)
        elif path == "attention":
            self.path = AttentivePath(x_dim, y_dim, hidden, heads=heads, layers=layers, activation=activation)
        self.from_path = None if path == "none" else nn.Linear(hidden, hidden, bias=False)
        # The first layer of g on (x, z, r) is a sum of products, so that each is done once: for a place, a draw, a context.
        self.from_target = nn.Linear(x_dim, hidden)
        self.from_latent = nn.Linear(latents, hidden, bias=False)
        self.decoder = MLP(hidden, 2 * y_dim, (hidden,) * (layers - 1), activation)

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus a bound, or an estimate, of the log-likelihood per target point."""
        return neural_process_elbo if self._objective == "elbo" else neural_process_likelihood

    def standardise(self, data: FunctionSet) -> None:
        """Take location and scale of x and y from the real points of `data`; predictions stay in its units."""
        self.units.standardise(data)

    def posterior(self, context: Context) -> Normal:
        """q(z | context) of `(n, latents)`; N(0, I) for an empty context."""
        x, y = self.units.points(context)
        mean, raw = self.latent(self.encoder(torch.cat([x, y], -1), context.mask)).chunk(2, -1)
        some = context.mask.any(1, keepdim=True)
        # Scales within 0.1 .. 1, after Kim et al. (appendix A): no posterior collapses, none is wider than the prior.
        scale = torch.where(some, 0.1 + 0.9 * torch.sigmoid(raw), 1.0)
        return Normal(torch.where(some, mean, 0.0), scale, validate_args=False)

    def decode(self, z: Float[Tensor, "n draws latents"], context: Context,
               x_target: Float[Tensor, "n targets x_dim"]) -> Independent:  # fmt: skip
        """p(y | z, context) at `x_target`, one function for each latent vector: batch `(n, draws)`, event (targets, y_dim).

        The context matters to the deterministic path only.
        """
        (x, y), where = self.units.points(context), self.units.targets(context, x_target)
        at = self.from_target(where)
        if self.from_path is not None:
            at = at + self.from_path(self._deterministic(x, y, context.mask, where))
        first = self.activation(at[:, None] + self.from_latent(z)[:, :, None])
        return self.units.normal(self.decoder(first.flatten(0, 2)).unflatten(0, first.shape[:3]))

    def predict(self, context: Context, x_target: Float[Tensor, "n targets x_dim"], *,
                generator: torch.Generator | None = None) -> MixtureSameFamily:  # fmt: skip
        """The joint prediction at `x_target` `(n, targets, x_dim)`: samples are `(n, targets, y_dim)`, whole functions.

        Without a generator the latent vectors are drawn from a fixed seed, alike for all functions, so that a prediction
        depends on its context alone; with one they are fresh. Raises `ShapeError` for a context or targets that do not fit.
        """
        self.units.targets(context, x_target)  # refuses what does not fit
        q = self.posterior(context)
        noise = prediction_noise(len(q.mean), self.draws, self.latents, q.mean, generator)
        each = self.decode(q.mean[:, None] + q.stddev[:, None] * noise, context, x_target).base_dist
        return latent_mixture(each.mean, each.stddev)

    def _deterministic(self, x: Tensor, y: Tensor, mask: Tensor, where: Tensor) -> Tensor:
        if isinstance(self.path, AttentivePath):
            return self.path(x, y, mask, where)
        assert isinstance(self.path, DeepSet)
        return self.path(torch.cat([x, y], -1), mask)[:, None]


def neural_process(data: FunctionSet | None = None, *, x_dim: int = 1, y_dim: int = 1, hidden: int = 128,
                   latents: int = 64, path: Path = "none", layers: int = 2, heads: int = 4, activation: str = "gelu",
                   min_scale: float = 0.01, objective: Objectives = "elbo", seed: int = 0) -> NeuralProcess:  # fmt: skip
    """Build a neural process, sized for `data` and standardised by it, or for `x_dim` and `y_dim`.

    "elbo" learns from 1 latent vector a step, "npml" from 16.

    >>> from pushforward.parts.data import gp_draws
    >>> neural_process(gp_draws("rbf", 100, x_dim=2), hidden=16, path="attention").x_dim
    2
    """
    if data is not None:
        x_dim, y_dim = data.x_dim, data.y_dim
    with seeded(seed):
        process = NeuralProcess(x_dim, y_dim, hidden, latents, path, layers, heads, activation, min_scale,
                                objective=objective, training_draws=1 if objective == "elbo" else 16)  # fmt: skip
    if data is not None:
        process.standardise(data)
    return process
