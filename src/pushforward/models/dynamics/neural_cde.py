"""Neural controlled differential equation: a network that reads an irregular series as a path.

z(t_0) = g(X(t_0)), dz = f(z) dX, and a linear layer on z at the end. X is an interpolation of (t, x), and beside gappy data of
how often each channel was seen so far. f is a perceptron with a tanh behind it, which keeps z from running away. Kidger,
Morrill, Foster and Lyons, 2020, Neural controlled differential equations for irregular time series,
https://arxiv.org/abs/2005.08926. Since only dX counts, when the points come and how many repeat what is known does not matter.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal
from torch.nn import functional

from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.solver import Solver
from pushforward.models.flows.columns import seeded
from pushforward.parts.data import Series, SeriesBatch
from pushforward.parts.diffeq import RK4, ODETerm, solve
from pushforward.parts.diffeq.interpolation import PiecewisePolynomial, hermite, linear, natural_cubic, rectilinear

from .control_field import ControlField, fixed_path
from .solver_named import solver_named

INTERPOLATIONS = ("hermite", "natural", "linear", "rectilinear")
SMALLEST_SCALE = 1e-3  # of a regression's Normal, in units of the standardised numbers


@register
class NeuralCDE(nn.Module):
    """p(label | series), or p(y | series) for numbers y, the targets; series may be ragged, irregular and gappy.

    The path has the channels (t, x), and with `counts` one more for each of x: how often it was seen so far. `interpolation`
    is "hermite", "natural", "linear" or "rectilinear"; with `causal` what is missing is the last number seen, and 0 (the
    mean) before the first, so that z(t) knows nothing that was not seen up to the next instant. f has `layers` hidden layers
    of `width` units. `head` is "classify", with a `Categorical` over `outputs` classes, or "regress", with a `Normal` for each
    of `outputs` numbers. A solver of fixed steps takes one from each instant to the next; an adaptive one, such as `Tsit5`,
    as many as `rtol` and `atol` ask for.

    Raises `ConfigError` for settings that are impossible, `ShapeError` for series of other channels.

    >>> model = neural_cde(channels=2, outputs=3, hidden=8, width=8)
    >>> batch = SeriesBatch(torch.rand(5, 7).cumsum(1), torch.randn(5, 7, 2), torch.ones(5, 7, 2, dtype=torch.bool))
    >>> model.predict(batch).probs.shape, model.states(batch).shape
    (torch.Size([5, 3]), torch.Size([7, 5, 8]))
    """

    t_loc: Tensor
    t_scale: Tensor
    x_loc: Tensor
    x_scale: Tensor
    count_scale: Tensor
    y_loc: Tensor
    y_scale: Tensor

    def __init__(self, channels: int, outputs: int, hidden: int = 32, width: int = 64, layers: int = 2,
                 interpolation: str = "hermite", head: str = "classify", counts: bool = False, causal: bool = False,
                 solver: Solver | None = None, rtol: float = 1e-3, atol: float = 1e-4):  # fmt: skip
        super().__init__()
        if head not in ("classify", "regress") or interpolation not in INTERPOLATIONS:
            raise ConfigError(f"expected head 'classify' or 'regress' and an interpolation among {', '.join(INTERPOLATIONS)}, "
                              f"got {head!r} and {interpolation!r}; choose among these")  # fmt: skip
        if min(channels, outputs, hidden) < 1:
            raise ConfigError(
                f"expected channels, outputs and hidden of at least 1, got {channels}, {outputs} and {hidden}"
            )
        self.channels, self.outputs, self.head, self.counts, self.causal = channels, outputs, head, counts, causal
        self.interpolation, self.solver, self.rtol, self.atol = interpolation, solver or RK4(), rtol, atol
        self.path_channels = 1 + channels * (2 if counts else 1)
        self.start = nn.Linear(self.path_channels, hidden)
        self.field = ControlField(hidden, self.path_channels, width, layers)
        self.read_out = nn.Linear(hidden, outputs if head == "classify" else 2 * outputs)
        self.t_loc, self.t_scale = nn.Buffer(torch.zeros(())), nn.Buffer(torch.ones(()))
        self.x_loc, self.x_scale = nn.Buffer(torch.zeros(channels)), nn.Buffer(torch.ones(channels))
        self.count_scale = nn.Buffer(torch.ones(()))
        self.y_loc, self.y_scale = nn.Buffer(torch.zeros(outputs)), nn.Buffer(torch.ones(outputs))

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: the cross-entropy of the labels, or minus the mean log-likelihood of the numbers."""
        return label_likelihood

    def standardise(self, data: Series) -> None:
        """Take units of x from what was observed, of time from its range, of counts from the longest row, of y from the targets."""
        units = data.units()
        self.x_loc.copy_(units.mean)
        self.x_scale.copy_(units.std)
        self.t_loc.fill_((units.start + units.end) / 2)
        self.t_scale.fill_((units.end - units.start) / 2 if units.end > units.start else 1.0)
        self.count_scale.fill_(max(1.0, float(data.observed.sum(1).max()) / 2))
        if self.head == "regress" and (data.targets is not None or data.labels is not None):
            y = numbers_of(data).double()
            deviation = y.std(0, correction=0)
            self.y_loc.copy_(y.mean(0))
            self.y_scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def path(self, batch: SeriesBatch) -> PiecewisePolynomial:
        """The path that drives z, in standardised units: time, the channels of x, and their counts."""
        t, x, observed = batch.t, batch.x, batch.observed
        if x.ndim != 3 or x.shape[2] != self.channels or t.shape != x.shape[:2] or observed.shape != x.shape:
            raise ShapeError(f"expected t (n, instants), x and observed (n, instants, {self.channels}), got {tuple(t.shape)}, "
                             f"{tuple(x.shape)} and {tuple(observed.shape)}; build the model for these channels")  # fmt: skip
        dtype = dtype_of(self)
        t = ((t - self.t_loc) / self.t_scale).to(dtype)
        x = torch.where(observed, (x - self.x_loc) / self.x_scale, 0.0).to(dtype)
        real = torch.cat([torch.ones_like(t[:, :1], dtype=torch.bool), t[:, 1:] > t[:, :-1]], 1)[..., None]
        parts, seen = [t[..., None], x], [real, observed]
        if self.counts:
            parts.append(observed.cumsum(1) / self.count_scale)
            seen.append(real.expand_as(observed))
        values, known = torch.cat(parts, 2), torch.cat(seen, 2)
        if self.interpolation == "rectilinear":
            return rectilinear(t, values, known, leading=1)
        kind = {"hermite": hermite, "natural": natural_cubic, "linear": linear}[self.interpolation]
        return kind(t, values, known, fill="forward" if self.causal else "between")

    def states(self, batch: SeriesBatch) -> Float[Tensor, "instants n hidden"]:
        """z at every instant of each row; at the padding, z at its end."""
        path = self.path(batch)
        z = self.start(path.evaluate(path.knots[:, 0]))
        if self.solver.adaptive:
            states = solve(ODETerm(lambda t, z: self.field.along(z, path.derivative(t))), z, path.knots,
                           solver=self.solver, rtol=self.rtol, atol=self.atol).y  # fmt: skip
        else:
            states = fixed_path(self.field, path, z, self.solver)
        states = states[::2] if self.interpolation == "rectilinear" else states
        return states[: batch.t.shape[1]]

    def forward(self, batch: SeriesBatch) -> Float[Tensor, "n numbers"]:
        """What the last layer gives: unnormalised log probabilities, or means and raw scales in standardised units."""
        return self.read_out(self.states(batch)[-1])

    def predict(self, batch: SeriesBatch) -> Categorical | Independent:
        """The distribution of the label, or of the `outputs` numbers; labels in the batch are not looked at."""
        return self._read(self(batch))

    def _read(self, numbers: Tensor) -> Categorical | Independent:
        if self.head == "classify":
            return Categorical(logits=numbers)
        mean, raw = numbers.chunk(2, -1)
        scale = SMALLEST_SCALE + functional.softplus(raw)
        return Independent(Normal(self.y_loc + self.y_scale * mean, self.y_scale * scale), 1)


def numbers_of(data: Series | SeriesBatch) -> Tensor:
    """What is to be regressed on, `(n, outputs)`: the targets or, where there are none, the labels as numbers."""
    y = data.targets if data.targets is not None else data.labels
    if y is None:
        raise DataError("expected series with targets to learn from, got none; give targets to Series.of")
    return y.reshape(len(data), -1).to(data.x.dtype)


def label_likelihood(model: NeuralCDE, batch: SeriesBatch, generator: RowGenerator) -> Loss:
    """-E log p(label | series) of the classes, or -E log p(y | series) of the numbers to be regressed on."""
    if model.head == "regress":
        y = numbers_of(batch)
        return Loss(-model.predict(batch).log_prob(y).mean())
    if batch.labels is None:
        raise DataError("expected series with labels to learn from, got none; give labels to Series.of")
    numbers = model(batch)
    right = (numbers.argmax(1) == batch.labels).double().mean()
    return Loss(functional.cross_entropy(numbers, batch.labels), {"accuracy": right})


def neural_cde(data: Series | None = None, *, channels: int | None = None, outputs: int | None = None, hidden: int = 32,
               width: int = 64, layers: int = 2, interpolation: Literal["hermite", "natural", "linear", "rectilinear"] = "hermite",
               head: Literal["classify", "regress"] | None = None, counts: bool | None = None, causal: bool = False,
               solver: str | Solver = "RK4", seed: int = 0) -> NeuralCDE:  # fmt: skip
    """A `NeuralCDE` for labelled series, sized and standardised by them; or one for so many `channels` and `outputs`.

    `counts` adds channels that count observations; without a word, for data of which some were missing. `head` is, without a word,
    "regress" for series with targets (`Series.targets`, or labels taken as numbers) and else "classify". The same `seed` gives the
    same first weights.

    Raises `ConfigError` for data and channels both or neither, or sizes below 1; `DataError` for series without labels and targets.

    >>> data = Series.of([0.0, 1.0, 2.0], [[1.0, 2.0, float("nan")], [0.0, 1.0, 3.0]], labels=[0, 1])
    >>> model = neural_cde(data, hidden=4, width=4)
    >>> model.counts, model.predict(data.take([0])).probs.shape
    (True, torch.Size([1, 2]))
    >>> heights = Series.of([0.0, 1.0], [[1.0, 2.0], [0.0, 1.0]], targets=[1.5, 2.5])
    >>> neural_cde(heights).predict(heights.take([0])).mean.shape
    torch.Size([1, 1])
    """
    if (data is None) != (channels is not None) or (data is not None and outputs is not None):
        raise ConfigError(f"expected labelled series, or channels= and outputs=, got {type(data).__name__}, {channels} and "
                          f"{outputs}; give one or the other")  # fmt: skip
    head = head or ("regress" if data is not None and data.targets is not None else "classify")
    if data is not None:
        if head == "classify" and data.labels is None:
            raise DataError(
                "expected series with labels to learn from, got none; give labels, or numbers as targets, to Series.of"
            )
        channels = data.channels
        outputs = data.classes if head == "classify" else numbers_of(data).shape[1]
        if counts is None:
            real = torch.arange(data.t.shape[1], device=data.t.device) < data.lengths[:, None]
            counts = bool((real[..., None] & ~data.observed).any())
    assert channels is not None
    with seeded(seed):
        model = NeuralCDE(channels, outputs or 1, hidden, width, layers, interpolation, head, bool(counts), causal,
                          solver_named(solver))  # fmt: skip
    if data is not None:
        model.standardise(data)
    return model
