"""Conditional neural process.

r = (1/m) sum_i h(x_i, y_i) over the context;  p(y | x, context) = N(y; mu, sigma^2),  (mu, sigma) = g(x, r).
Garnelo et al., 2018, https://arxiv.org/abs/1807.01613.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn.functional import softplus

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Objective
from pushforward.core.process import Context, Process
from pushforward.core.registry import register
from pushforward.parts.data.function_sets import FunctionSet
from pushforward.parts.nn.activations import activation_named
from pushforward.parts.nn.deep_set import DeepSet
from pushforward.parts.nn.mlp import MLP

from .likelihood import context_likelihood


@register
class ConditionalNeuralProcess(Process):
    """Predicts a function anywhere from any set of its points, in one pass.

    The prediction is *not joint*: given the context, targets are independent, so its draws are not smooth functions;
    means and bands are what it is for. The order of the context does not matter, and an empty one gives the prior.
    The scale is `min_scale` + (1 - `min_scale`) softplus(.), in units of the standardised data: a floor, without which
    the likelihood of noiseless points has no bound. `layers` counts the hidden layers of h and of g;
    `activation` is the name of the nonlinearity between them.

    >>> process = ConditionalNeuralProcess(hidden=16, representation=16)
    >>> context = Context.of(torch.zeros(2, 3, 1), torch.ones(2, 3, 1))
    >>> process.predict(context, torch.linspace(-1, 1, 50).expand(2, 50)[..., None]).mean.shape
    torch.Size([2, 50, 1])
    """

    x_loc: Tensor
    x_scale: Tensor
    y_loc: Tensor
    y_scale: Tensor

    def __init__(self, x_dim: int = 1, y_dim: int = 1, hidden: int = 128, representation: int = 128, layers: int = 3,
                 activation: str = "gelu", min_scale: float = 0.01):  # fmt: skip
        super().__init__()
        sizes = {"x_dim": x_dim, "y_dim": y_dim, "hidden": hidden, "representation": representation, "layers": layers}
        if min(sizes.values()) < 1 or not 0 < min_scale < 1:
            raise ConfigError(
                f"expected sizes of 1 or more and 0 < min_scale < 1, got {sizes} and {min_scale}; correct them"
            )
        self.x_dim, self.y_dim, self.min_scale = x_dim, y_dim, min_scale
        self.activation = activation_named(activation)
        self.encoder = DeepSet(x_dim + y_dim, representation, hidden, layers, "mean", activation)
        # The first layer of g on (x, r) is a sum of two products, so that the one on r is done once for all targets.
        self.from_target = nn.Linear(x_dim, hidden)
        self.from_context = nn.Linear(representation, hidden, bias=False)
        self.decoder = MLP(hidden, 2 * y_dim, (hidden,) * (layers - 1), activation)
        self.x_loc, self.x_scale = nn.Buffer(torch.zeros(x_dim)), nn.Buffer(torch.ones(x_dim))
        self.y_loc, self.y_scale = nn.Buffer(torch.zeros(y_dim)), nn.Buffer(torch.ones(y_dim))

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the log-likelihood per target point given a random context."""
        return context_likelihood

    def standardise(self, data: FunctionSet) -> None:
        """Take location and scale of x and y from the real points of `data`; predictions stay in its units."""
        for name, values in (("x", data.x[data.mask]), ("y", data.y[data.mask])):
            deviation = values.std(0, correction=0)
            getattr(self, f"{name}_loc").copy_(values.mean(0))
            getattr(self, f"{name}_scale").copy_(torch.where(deviation > 0, deviation, 1.0))

    def predict(self, context: Context, x_target: Float[Tensor, "n targets x_dim"]) -> Independent:
        """Normal predictions at `x_target` `(n, targets, x_dim)`, independent over the targets and over y's numbers.

        `log_prob` sums over targets. Raises `ShapeError` for a context or targets that do not fit the model.
        """
        self._check(context, x_target)
        x = (context.x - self.x_loc) / self.x_scale
        y = (context.y - self.y_loc) / self.y_scale
        r = self.encoder(torch.cat([x, y], dim=-1), context.mask)
        first = self.from_target((x_target - self.x_loc) / self.x_scale) + self.from_context(r)[:, None]
        mean, raw = self.decoder(self.activation(first).flatten(0, 1)).unflatten(0, x_target.shape[:2]).chunk(2, dim=-1)
        scale = self.min_scale + (1 - self.min_scale) * softplus(raw)
        return Independent(Normal(self.y_loc + self.y_scale * mean, self.y_scale * scale), 2)

    def _check(self, context: Context, x_target: Tensor) -> None:
        x, y, mask = context.x, context.y, context.mask
        if mask.ndim != 2 or x.shape != (*mask.shape, self.x_dim) or y.shape != (*mask.shape, self.y_dim):
            raise ShapeError(f"expected a context of x (n, points, {self.x_dim}), y (n, points, {self.y_dim}) and mask "
                             f"(n, points), got {tuple(x.shape)}, {tuple(y.shape)} and {tuple(mask.shape)}; "
                             "one function is a batch of one")  # fmt: skip
        if x_target.ndim != 3 or len(x_target) != len(x) or x_target.shape[-1] != self.x_dim:
            raise ShapeError(f"expected x_target of shape ({len(x)}, targets, {self.x_dim}), got {tuple(x_target.shape)}; "
                             "give each function of the context its targets")  # fmt: skip


def conditional_neural_process(data: FunctionSet | None = None, *, x_dim: int = 1, y_dim: int = 1, hidden: int = 128,
                               representation: int = 128, layers: int = 3, activation: str = "gelu",
                               min_scale: float = 0.01) -> ConditionalNeuralProcess:  # fmt: skip
    """Build a conditional neural process, sized for `data` and standardised by it, or for `x_dim` and `y_dim`.

    >>> from pushforward.parts.data import gp_draws
    >>> conditional_neural_process(gp_draws("rbf", 100, x_dim=2)).x_dim
    2
    """
    if data is not None:
        x_dim, y_dim = data.x_dim, data.y_dim
    process = ConditionalNeuralProcess(x_dim, y_dim, hidden, representation, layers, activation, min_scale)
    if data is not None:
        process.standardise(data)
    return process
