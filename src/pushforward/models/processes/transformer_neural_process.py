"""Transformer neural process: points and places are tokens, and all of them look at the points.

Tokens of the context carry (x, y), those of the targets (x, 0), and a flag that tells them apart. In every layer all tokens
attend to the tokens of the context, so that targets see the context and not each other, and a Normal for each target is read
from its token: TNP-D of Nguyen and Grover, 2022, https://arxiv.org/abs/2207.04179.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Objective
from pushforward.core.process import Context, Process
from pushforward.core.registry import register
from pushforward.models.flows.columns import seeded
from pushforward.parts.data.function_sets import FunctionSet
from pushforward.parts.nn.context_block import ContextBlock
from pushforward.parts.nn.mlp import MLP

from .likelihood import context_likelihood
from .units import PointUnits


@register
class TransformerNeuralProcess(Process):
    """Predicts a function from a set of its points by a transformer without positions.

    The prediction is *not joint*: given the context, targets are independent, and what is asked at one place does not
    change the answer at another. The order of the context does not matter, padding has no influence, and an empty
    context gives the prior. `layers` blocks of `width`, in `heads` heads. Raises `ConfigError` for sizes that do not fit.

    >>> process = TransformerNeuralProcess(width=16, layers=1)
    >>> context = Context.of(torch.zeros(2, 3, 1), torch.ones(2, 3, 1))
    >>> process.predict(context, torch.zeros(2, 50, 1)).mean.shape
    torch.Size([2, 50, 1])
    """

    def __init__(self, x_dim: int = 1, y_dim: int = 1, width: int = 64, heads: int = 4, layers: int = 4,
                 activation: str = "gelu", min_scale: float = 0.01):  # fmt: skip
        super().__init__()
        if min(width, layers) < 1:
            raise ConfigError(f"expected width and layers of 1 or more, got {width} and {layers}; raise them")
        self.x_dim, self.y_dim = x_dim, y_dim
        self.units = PointUnits(x_dim, y_dim, min_scale)
        self.embed = MLP(x_dim + y_dim + 1, width, (width,), activation)
        self.blocks = nn.ModuleList(ContextBlock(width, heads=heads, activation=activation) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.decoder = MLP(width, 2 * y_dim, (width,), activation)

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
        points, shape = context.mask.shape[1], where.shape[:2]
        known = torch.cat([x, y, torch.ones_like(x[..., :1])], -1)
        asked = torch.cat([where, where.new_zeros(*shape, self.y_dim + 1)], -1)
        tokens = torch.cat([known, asked], 1)
        h = self.embed(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
        for block in self.blocks:
            h = block(h, context.mask)
        h = self.norm(h[:, points:])
        return self.units.normal(self.decoder(h.flatten(0, 1)).unflatten(0, shape))


def transformer_neural_process(data: FunctionSet | None = None, *, x_dim: int = 1, y_dim: int = 1, width: int = 64,
                               heads: int = 4, layers: int = 4, activation: str = "gelu", min_scale: float = 0.01,
                               seed: int = 0) -> TransformerNeuralProcess:  # fmt: skip
    """Build a transformer neural process, sized for `data` and standardised by it, or for `x_dim` and `y_dim`.

    >>> from pushforward.parts.data import gp_draws
    >>> transformer_neural_process(gp_draws("rbf", 100, x_dim=2), width=16, layers=1).x_dim
    2
    """
    if data is not None:
        x_dim, y_dim = data.x_dim, data.y_dim
    with seeded(seed):
        process = TransformerNeuralProcess(x_dim, y_dim, width, heads, layers, activation, min_scale)
    if data is not None:
        process.standardise(data)
    return process
