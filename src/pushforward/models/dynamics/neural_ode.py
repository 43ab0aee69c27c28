"""Neural ODE: the continuous limit of a residual network with shared weights.

h(0) = (x, 0), dh/dt = f(t, h) for t from 0 to T, then a linear layer on h(T). One Euler step of length 1 is the residual block
h + f(h). Chen et al., 2018, https://arxiv.org/abs/1806.07366. The zeros beside x are room to move in: paths of an ODE never
cross, so without them a disc cannot leave the ring around it (Dupont et al., 2019, https://arxiv.org/abs/1904.01681). The
kinetic penalty E int |f|^2 dt keeps paths straight and steps few (Finlay et al., 2020, https://arxiv.org/abs/2002.02798).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal
from torch.nn import functional

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import as_size, sum_event
from pushforward.core.solver import Solver
from pushforward.models.flows.columns import seeded
from pushforward.parts.data import Images, Table
from pushforward.parts.data.partly_labelled import labels_of
from pushforward.parts.diffeq import Dopri5, solve
from pushforward.parts.diffeq.solve import Gradient
from pushforward.parts.nn import ConvVectorField, VectorField

from .solver_named import solver_named

SMALLEST_SCALE = 1e-3  # of a regression's Normal, in units of the standardised outputs


@register
class NeuralODE(nn.Module):
    """p(label | x), or p(y | x) for numbers y, by following a learned vector field from x.

    `field` moves rows of `features` + `augment` numbers (`VectorField`), or images of channels + `augment`
    (`ConvVectorField`); `event_shape` is that of x. `head` is "classify", with a `Categorical` over `outputs` classes, or
    "regress", with a `Normal` for each of `outputs` numbers. `step_size` replaces adaptive steps by such of one length;
    `duration` is T; `gradient` is how `solve` computes gradients, "adjoint" for instance; `kinetic` is the weight of the penalty
    int |f|^2 dt, the mean over the numbers of the state.

    Raises `ConfigError` for settings that are impossible, `ShapeError` for x of another shape.

    >>> model = neural_ode(features=2, outputs=3, augment=1)
    >>> x = torch.randn(5, 2)
    >>> model.predict(x).probs.shape, model.trajectory(x, torch.linspace(0, 1, 7)).shape
    (torch.Size([5, 3]), torch.Size([7, 5, 3]))
    """

    x_loc: Tensor
    x_scale: Tensor
    y_loc: Tensor
    y_scale: Tensor

    def __init__(self, event_shape: Sequence[int], outputs: int, field: nn.Module, augment: int = 0, head: str = "classify",
                 kinetic: float = 0.0, solver: Solver | None = None, step_size: float | None = None, rtol: float = 1e-3,
                 atol: float = 1e-4, gradient: Gradient = "direct", duration: float = 1.0):  # fmt: skip
        super().__init__()
        self.event_shape = as_size(event_shape)
        if head not in ("classify", "regress") or min(outputs, augment + 1) < 1 or kinetic < 0 or duration <= 0:
            raise ConfigError(f"expected head 'classify' or 'regress', outputs of at least 1, augment and kinetic of at least 0, duration above 0, "
                              f"got {head!r}, {outputs}, {augment}, {kinetic:g} and {duration:g}; correct them")  # fmt: skip
        if len(self.event_shape) not in (1, 3):
            raise ConfigError(
                f"expected rows (features,) or images (channels, height, width), got {tuple(self.event_shape)}"
            )
        self.outputs, self.augment, self.head, self.kinetic = outputs, augment, head, kinetic
        self.solver, self.step_size, self.rtol, self.atol = solver or Dopri5(), step_size, rtol, atol
        self.gradient: Gradient = gradient
        self.duration = duration
        self.field = field
        state = as_size((self.event_shape[0] + augment, *self.event_shape[1:]))
        self.read_out = nn.Linear(state.numel(), outputs if head == "classify" else 2 * outputs)
        # One number for all pixels of a channel, one for each column of a table.
        units = (self.event_shape[0], *(1 for _ in self.event_shape[1:]))
        self.x_loc, self.x_scale = nn.Buffer(torch.zeros(units)), nn.Buffer(torch.ones(units))
        self.y_loc, self.y_scale = nn.Buffer(torch.zeros(outputs)), nn.Buffer(torch.ones(outputs))

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the mean log-likelihood of the batch's condition given x, plus the kinetic penalty."""
        return conditional_likelihood

    def begin(self, x: Num[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """h(0): the standardised x, and `augment` zeros beside it."""
        if x.shape[1:] != self.event_shape:
            raise ShapeError(f"expected x of shape (n, {', '.join(map(str, self.event_shape))}), got {tuple(x.shape)}; "
                             "build the model for this shape")  # fmt: skip
        h = (x.to(dtype_of(self)) - self.x_loc) / self.x_scale
        if not self.augment:
            return h
        return torch.cat([h, h.new_zeros(len(h), self.augment, *h.shape[2:])], 1)

    def trajectory(self, x: Num[Tensor, "n ..."], t: Float[Tensor, " m"]) -> Float[Tensor, "m n ..."]:
        """h at times t, ascending from 0, for every row of x."""
        return self._solve(self.field, self.begin(x), t).y

    def features(self, x: Num[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """h(T), which the last layer reads."""
        return self._solve(self.field, self.begin(x), [0.0, self.duration]).last_y

    def forward(self, x: Num[Tensor, "n ..."]) -> Float[Tensor, "n numbers"]:
        """What the last layer gives: unnormalised log probabilities, or means and raw scales in standardised units."""
        return self.read_out(self.features(x).flatten(1))

    def predict(self, x: Num[Tensor, "n ..."]) -> Categorical | Independent:
        """The distribution of the label, or of the `outputs` numbers in the units of the data."""
        return self._read(self(x))

    def _read(self, numbers: Tensor) -> Categorical | Independent:
        if self.head == "classify":
            return Categorical(logits=numbers)
        mean, raw = numbers.chunk(2, -1)
        scale = SMALLEST_SCALE + functional.softplus(raw)
        return Independent(Normal(self.y_loc + self.y_scale * mean, self.y_scale * scale), 1)

    def _with_energy(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the last layer gives, and int |f|^2 dt of each row, solved together with the path."""
        start = self.begin(x)
        size = start[0].numel()

        def field(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            f = self.field(t, state[0])
            return f, sum_event(f.square()) / size

        end, energy = self._solve(field, (start, start.new_zeros(len(start))), [0.0, self.duration]).last_y
        return self.read_out(end.flatten(1)), energy

    def _solve(self, field: Any, start: Any, t: Any) -> Any:
        return solve(field, start, t, solver=self.solver, step_size=self.step_size, rtol=self.rtol, atol=self.atol,
                     gradient=self.gradient)  # fmt: skip


def conditional_likelihood(model: NeuralODE, batch: Batch, generator: RowGenerator) -> Loss:
    """-E log p(condition | x) + kinetic E int |f|^2 dt."""
    if batch.condition is None:
        raise DataError(
            "expected rows with a condition to predict, got none; use table.given(...), or images with labels"
        )
    numbers, energy = model._with_energy(batch.x) if model.kinetic else (model(batch.x), None)
    metrics: dict[str, Tensor | float] = {}
    if model.head == "classify":
        labels = batch.condition.reshape(len(batch.x)).long()
        value = functional.cross_entropy(numbers, labels)
        metrics["accuracy"] = (numbers.argmax(1) == labels).double().mean()
    else:
        value = -model._read(numbers).log_prob(batch.condition).mean()
    if energy is not None:
        metrics["energy"] = energy.detach().mean()
        value = value + model.kinetic * energy.mean()
    return Loss(value, metrics)


def neural_ode(data: Table | Images | None = None, *, features: int | None = None, outputs: int | None = None,
               hidden: Sequence[int] = (64, 64), augment: int | None = None, head: Literal["classify", "regress"] = "classify",
               kinetic: float = 0.0, solver: str | Solver = "Dopri5", step_size: float | None = None,
               gradient: Gradient = "direct", duration: float = 1.0, seed: int = 0) -> NeuralODE:  # fmt: skip
    """A `NeuralODE` that predicts the given columns of a table, or the labels of images; or one of so many `features` and `outputs`.

    Of a table, `table.given("species")` is to be predicted: a column of class numbers 0, 1, ..., or with `head="regress"` any
    columns. Images move under a convolutional field, of `hidden[0]` channels. `augment` is 5 without a word: extra numbers, or
    channels, that begin at zero. The same `seed` gives the same first weights.

    Raises `ConfigError` for data and features both or neither, `DataError` for data without labels.

    >>> import pushforward as pf
    >>> model = neural_ode(pf.data.load("digits"), hidden=(8,), augment=1)
    >>> model.predict(torch.zeros(2, 1, 8, 8)).probs.shape
    torch.Size([2, 10])
    """
    if (data is None) == (features is None) or (data is None) != (outputs is not None):
        raise ConfigError(f"expected data, or features= and outputs=, got {type(data).__name__}, {features} and {outputs}; "
                          "give one or the other")  # fmt: skip
    extra = 5 if augment is None else augment
    shape = as_size(features) if features is not None else data.event_shape if isinstance(data, Table) else data.shape  # type: ignore[union-attr, arg-type]
    given = None
    if data is not None:
        given, outputs = _targets(data, head)
    with seeded(seed):
        channels = shape[0] + extra
        field = VectorField(channels, hidden, "tanh", True) if len(shape) == 1 else ConvVectorField(channels, hidden[0])
        model = NeuralODE(
            shape,
            outputs or 1,
            field,
            extra,
            head,
            kinetic,
            solver_named(solver),
            step_size,
            gradient=gradient,
            duration=duration,
        )
    if data is not None and given is not None:
        x = data.take(torch.arange(min(len(data), 10_000))).x
        over = [0, *range(2, x.ndim)]
        _set_units(model, "x", x.mean(over), x.std(over, correction=0))
        if head == "regress":
            _set_units(model, "y", given.mean(0), given.std(0, correction=0))
    return model


def _targets(data: Table | Images, head: str) -> tuple[Tensor, int]:
    """What is to be predicted, and how many outputs that takes."""
    if head == "classify":
        labels = labels_of(data)
        return labels, int((data.classes if isinstance(data, Images) else None) or int(labels.max()) + 1)
    if not isinstance(data, Table) or data.condition is None:
        raise DataError("expected a table given the columns to predict, got none; use table.given(...)")
    return data.condition, data.condition.shape[1]


def _set_units(model: NeuralODE, name: str, loc: Tensor, scale: Tensor) -> None:
    for part, value in (("loc", loc), ("scale", torch.where(scale > 0, scale, 1.0))):
        buffer = getattr(model, f"{name}_{part}")
        buffer.copy_(value.reshape(buffer.shape))
