"""Attentive neural process without a latent variable: each target asks the context by attention.

p(y | x, context) = N(y; mu, sigma^2), (mu, sigma) = g(x, r(x)), with r(x) by attention in the place of a mean over the
context. Kim et al., 2019, https://arxiv.org/abs/1901.05761; with the latent variable it is `neural_process(path="attention")`.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Objective
from pushforward.core.process import Context, Process
from pushforward.core.registry import register
from pushforward.models.flows.columns import seeded
from pushforward.parts.data.function_sets import FunctionSet
from pushforward.parts.nn.activations import activation_named
from pushforward.parts.nn.mlp import MLP

from .attentive_path import AttentivePath
from .likelihood import context_likelihood
from .neural_process import NeuralProcess, neural_process
from .units import PointUnits


@register
class AttentiveNeuralProcess(Process):
    """Predicts a function from a set of its points, close to those that are near: it does not forget which is which.

    The prediction is *not joint*: given the context, targets are independent. The order of the context does not matter,
    padding has no influence, and an empty context gives the prior. `layers` counts the hidden layers of each network,
    of width `hidden`; `self_attention` the blocks in which the points of the context look at each other first.
    Raises `ConfigError` for sizes below 1, or heads that do not divide `hidden`.

    >>> import torch
    >>> process = AttentiveNeuralProcess(hidden=16)
    >>> context = Context.of(torch.zeros(2, 3, 1), torch.ones(2, 3, 1))
    >>> process.predict(context, torch.zeros(2, 50, 1)).mean.shape
    torch.Size([2, 50, 1])
    """

    def __init__(self, x_dim: int = 1, y_dim: int = 1, hidden: int = 128, heads: int = 4, layers: int = 2,
                 self_attention: int = 0, activation: str = "gelu", min_scale: float = 0.01):  # fmt: skip
        super().__init__()
        if min(hidden, layers) < 1 or self_attention < 0:
            raise ConfigError(f"expected hidden and layers of 1 or more and self_attention of 0 or more, got {hidden}, "
                              f"{layers} and {self_attention}; raise what is too small")  # fmt: skip
        self.x_dim, self.y_dim = x_dim, y_dim
        self.units = PointUnits(x_dim, y_dim, min_scale)
        self.path = AttentivePath(x_dim, y_dim, hidden, heads=heads, layers=layers, self_attention=self_attention,
                                  activation=activation)  # fmt: skip
        self.activation = activation_named(activation)
        self.from_target = nn.Linear(x_dim, hidden)
        self.from_context = nn.Linear(hidden, hidden, bias=False)
        self.decoder = MLP(hidden, 2 * y_dim, (hidden,) * (layers - 1), activation)

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the log-likelihood per target point given a random context."""
        return context_likelihood

    def standardise(self, data: FunctionSet) -> None:
        """Take location and scale of x and y from the real points of `data`; predictions stay in its units."""
        self.units.standardise(data)

    def predict(self, context: Context, x_target: Float[Tensor, "n targets x_dim"]) -> Independent:
        """Normal predictions at `x_target` `(n, targets, x_dim)`, independent over the targets and over y's numbers.

        Raises `ShapeError` for a context or targets that do not fit the model.
        """
        (x, y), where = self.units.points(context), self.units.targets(context, x_target)
        r = self.path(x, y, context.mask, where)
        first = self.activation(self.from_target(where) + self.from_context(r))
        return self.units.normal(self.decoder(first.flatten(0, 1)).unflatten(0, where.shape[:2]))


def attentive_neural_process(data: FunctionSet | None = None, *, x_dim: int = 1, y_dim: int = 1, hidden: int = 128,
                             heads: int = 4, layers: int = 2, self_attention: int = 0, latent: bool = False,
                             activation: str = "gelu", min_scale: float = 0.01, seed: int = 0,
                             ) -> AttentiveNeuralProcess | NeuralProcess:  # fmt: skip
    """Build an attentive neural process, sized for `data` and standardised by it, or for `x_dim` and `y_dim`.

    With `latent` it is the whole model of Kim et al.: a `NeuralProcess` whose decoder sees the attention too, with a
    joint prediction. `self_attention` is for the model without it. Raises `ConfigError` when both are asked for.

    >>> from pushforward.parts.data import gp_draws
    >>> attentive_neural_process(gp_draws("rbf", 100, x_dim=2), hidden=16).x_dim
    2
    """
    if latent:
        if self_attention:
            raise ConfigError(
                f"expected self_attention=0 with latent=True, got {self_attention}; leave one of them out"
            )
        return neural_process(data, x_dim=x_dim, y_dim=y_dim, hidden=hidden, latents=hidden // 2 or 1, path="attention",
                              layers=layers, heads=heads, activation=activation, min_scale=min_scale, seed=seed)  # fmt: skip
    if data is not None:
        x_dim, y_dim = data.x_dim, data.y_dim
    with seeded(seed):
        process = AttentiveNeuralProcess(x_dim, y_dim, hidden, heads, layers, self_attention, activation, min_scale)
    if data is not None:
        process.standardise(data)
    return process
