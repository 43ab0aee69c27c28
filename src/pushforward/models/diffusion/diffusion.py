"""`Diffusion`: a network that predicts one quantity on a Gaussian path, and everything that follows from it.

x_t = alpha(t) data + sigma(t) noise; the network knows E[noise | x_t] (or that of the data, velocity, v, or the score:
it is the same thing), hence the score of p_t, hence the reverse process.
Sohl-Dickstein et al. 2015, https://arxiv.org/abs/1503.03585; Ho et al. 2020, https://arxiv.org/abs/2006.11239;
Song et al. 2021, https://arxiv.org/abs/2011.13456.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from pushforward.core.batching import count
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.kernel import Callback, Kernel
from pushforward.core.objective import Objective
from pushforward.core.path import Path, Prediction
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, dtype_of, register
from pushforward.core.shapes import as_size, expand_right, flatten_batch, flatten_condition, match_dtype
from pushforward.parts.paths.angle import scale as path_scale

from .denoiser import Denoiser
from .guided import Guide, guided, of_rows, require_rows
from .likelihood import LogProbEstimate, Settings, estimate
from .objective import Denoising
from .samplers import DDIM
from .transport import decode, encode
from .velocity_matching import require_score


@register
class Diffusion(Distribution):
    """p(x | condition) by denoising along a path.

    Args:
        network: `network(y, t, condition)` of the shape of y `(n, *event)`, with t `(n,)`; y is x_t divided by
            sqrt(alpha^2 + sigma^2), so it has unit scale at every t of every path. The condition is `(n,)` labels,
            `(n, condition_features)` numbers, or None for no condition. `pf.nn.UNet` and `pf.nn.TimeMLP` are such
            networks.
        path: alpha and sigma, such as `pf.paths.Cosine()`.
        event_shape: of x.
        predict: what the network gives: "noise", "data", "velocity", "v" or "score".
        classes: number of classes of a model conditional on labels 0 .. classes - 1. The condition is then optional:
            the network takes None, or the label `classes` in some rows, for "no label".
        condition_features: how many numbers a continuous condition has.
        levels: x holds whole numbers 0 .. levels - 1 (pixels). They are dequantised, z = 2 (x + u) / levels - 1.
        loc, scale: for other data, z = (x - loc) / scale; numbers, or tensors that broadcast to an event.
        integer: where x, without levels, holds whole numbers; a mask that broadcasts to an event.
        loss: what `fit` minimises; by default `Denoising()`, the simple loss.
        learned_variance: whether the network gives twice as many channels (or features), the second half of which says how
            large the variance of a step of `Ancestral` is; see `learned_variance.py`.

    Samples and log_prob are in the units of x. Raises `ConfigError` for impossible arguments.

    >>> import pushforward as pf
    >>> model = pf.diffusion.flow_matching(event_shape=2)
    >>> model.sample(5, sampler=pf.diffusion.samplers.Ancestral(steps=10)).shape
    torch.Size([5, 2])
    """

    loc: Tensor
    scale: Tensor
    integer: Tensor
    predict: Prediction

    def __init__(self, network: nn.Module, path: Path, event_shape: int | Sequence[int], predict: Prediction = "velocity", *,
                 classes: int | None = None, condition_features: int | None = None, levels: int | None = None,
                 loc: Tensor | float | None = None, scale: Tensor | float | None = None,
                 integer: Tensor | None = None, loss: Objective | None = None,
                 learned_variance: bool = False):  # fmt: skip
        super().__init__()
        if predict not in get_args(Prediction):
            raise ConfigError(f"expected predict among {', '.join(get_args(Prediction))}, got {predict!r}")
        if classes is not None and condition_features is not None:
            raise ConfigError("expected one kind of condition, got classes and condition_features; leave one out")
        if levels is not None and not (loc is scale is integer is None and levels >= 2):
            raise ConfigError(f"expected levels of at least 2 without loc, scale or integer, got levels={levels}; "
                              "whole numbers 0 .. levels - 1 are scaled by levels alone")  # fmt: skip
        self.network, self.path, self.event_shape, self.predict = network, path, as_size(event_shape), predict
        self.classes, self.levels, self.loss, self.learned_variance = classes, levels, loss, learned_variance
        if classes is not None:
            self.condition_shape, self.condition_optional = as_size(()), True
        elif condition_features is not None:
            self.condition_shape = as_size(condition_features)
        if levels is not None:
            loc = scale = levels / 2
            integer = torch.tensor(True)
        self.loc = nn.Buffer(self._per_event(0.0 if loc is None else loc, "loc"))
        self.scale = nn.Buffer(self._per_event(1.0 if scale is None else scale, "scale"))
        self.integer = nn.Buffer(self._per_event(torch.tensor(False) if integer is None else integer.bool(), "integer"))
        if not (self.scale > 0).all() or not (torch.isfinite(self.loc) & torch.isfinite(self.scale)).all():
            raise ConfigError("expected finite loc and scale, the scale positive; give means and standard deviations")
        self.whole = bool(self.integer.any())
        self.reparameterised = not self.whole
        self.log_prob_kind = "estimate"

    @property
    def objective(self) -> Objective:
        """Denoising, with the weighting that the model was built with."""
        return Denoising() if self.loss is None else self.loss

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The network's own prediction from y = x_t / sqrt(alpha^2 + sigma^2), in model units; see `Denoiser`."""
        return self.prediction_and_share(y, t, condition)[0]

    def prediction_and_share(self, y: Tensor, t: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The prediction, and with `learned_variance` the share of log beta in the log variance of a step, in (0, 1)."""
        out = self.network(y, t, condition)
        if not self.learned_variance:
            return out, None
        prediction, raw = out.chunk(2, 1)
        return prediction, raw.sigmoid()

    def predicted(
        self, x_t: Tensor, t: Tensor, condition: Tensor | None = None, *, target: Prediction | None = None
    ) -> Tensor:
        """E[target | x_t] in model units, for x_t `(n, *event)` and t `(n,)`; by default of what the network predicts.

        `model.predicted(x_t, t, target="score")` is grad log p_t(x_t).
        """
        y = x_t / expand_right(path_scale(self.path, t), x_t)
        return self.path.convert(self(y, t, condition), self.predict, target or self.predict, x_t, t)

    def sample(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *, sampler: Kernel | None = None,
               guide: Guide | None = None, generator: torch.Generator | None = None,
               callback: Callback | None = None) -> Tensor:  # fmt: skip
        """Draw `(*shape, *batch, *event)` in the units of the data; no gradients.

        `sampler` is one of `pf.diffusion.samplers`, `DDIM(steps=50)` by default; `callback(state, info)` sees every
        step, in model units, of as many rows as fit in memory at once. `guide` is a function of the model that gives
        the denoiser to sample from in its place, such as `functools.partial(pf.diffusion.guidance.ClassifierFree, weight=2.0)`.
        """
        denoiser = guided(self, guide)
        for part in (denoiser, sampler):
            require_rows(part, count(self._batch_of(shape, condition)[0]))
        with torch.inference_mode():
            x = self._draw(partial(self._walk, denoiser, sampler, callback), shape, condition, generator)
        return x.clone()  # outside of inference_mode, so that the draws are ordinary tensors

    def encode(self, x: Tensor, condition: Tensor | None = None, *, tolerance: float = 1e-5) -> Tensor:
        """The noise that the probability flow makes of `x`, `(*batch, *event)`: standard normal if the model fits.

        Whole numbers are encoded from the middle of their cells. `tolerance` is that of the solver.
        """
        return encode(self, x, condition, tolerance)

    def decode(self, noise: Tensor, condition: Tensor | None = None, *, tolerance: float = 1e-5) -> Tensor:
        """The data that the probability flow makes of standard normal `noise`, `(*batch, *event)`; undoes `encode`."""
        return decode(self, noise, condition, tolerance)

    def log_prob_estimate(self, x: Tensor, condition: Tensor | None = None, *, probes: int = 2, exact: bool | None = None,
                          dequantisations: int = 2, rtol: float = 5e-4, steps: int | None = None,
                          max_solver_error: float | None = None, generator: torch.Generator | None = None) -> LogProbEstimate:  # fmt: skip
        """log p(x) in nats by the probability flow, with its standard error; x is `(*batch, *event)` in its own units.

        Args:
            probes: random vectors that estimate the trace, where it is not `exact` (one derivative a dimension; by
                default for events of at most 8 numbers).
            dequantisations: draws of the noise on whole numbers, whose mean bounds log P(x) from below.
            rtol: tolerance of adaptive steps; `steps` takes that many even ones instead.
            max_solver_error: nats, for the median row; beyond it the estimate is refused with a `UserError`. By
                default 0.05, and 0.01 more for every number of an event.
        """
        flat, batch = flatten_batch(x, self.event_shape)
        given = flatten_condition(condition, self.condition_shape, batch, self.condition_optional)
        numbers = self.event_shape.numel()
        settings = Settings(probes, numbers <= 8 if exact is None else exact, dequantisations, rtol, steps,
                            0.05 + 0.01 * numbers if max_solver_error is None else max_solver_error)  # fmt: skip
        source = RowGenerator.of(generator, len(flat), device=device_of(self))
        with torch.no_grad():
            result = estimate(self, self.checked(flat), given, settings, source)
        return LogProbEstimate(*(part.reshape(batch) for part in vars(result).values()))

    def checked(self, x: Tensor) -> Tensor:
        """x in the dtype of the model. Raises `ShapeError` for NaN, infinity, and a float of another precision."""
        x = match_dtype(x, dtype_of(self))
        if not torch.isfinite(x).all():
            raise ShapeError(
                f"expected finite numbers, got {int((~torch.isfinite(x)).sum())} inf or NaN; leave out those rows"
            )
        return x

    def to_model_units(self, x: Tensor, generator: RowGenerator | None) -> Tensor:
        """Standardise x `(n, *event)`; whole numbers get uniform noise from `generator`, or 1/2 without one."""
        x = match_dtype(x, dtype_of(self))
        if self.whole:
            if x.device.type == "cpu":  # elsewhere the check would wait for the device at every step
                self._check_whole(x)
            u = 0.5 if generator is None else generator.uniform(*self.event_shape, dtype=x.dtype)
            x = x + u * self.integer
        return (x - self.loc) / self.scale

    def to_user_units(self, z: Tensor) -> Tensor:
        """Undo `to_model_units`: whole numbers are rounded down, and kept below `levels`."""
        x = z * self.scale + self.loc
        if self.whole:
            x = torch.where(self.integer, x.floor(), x)
        return x if self.levels is None else x.clamp(0, self.levels - 1)

    def log_scale(self) -> float:
        """log abs det dz/dx of `to_model_units`: what turns a density in model units into one in the units of x."""
        return -self.scale.double().log().sum().item()

    def without_condition(self, condition: Tensor, dropped: Tensor) -> Tensor:
        """Labels `(n,)` with those of the `dropped` rows replaced by the one that stands for none."""
        return condition.masked_fill(dropped, self.classes or 0)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self._walk(self, None, None, condition, generator)

    def _walk(self, denoiser: Denoiser, sampler: Kernel | None, callback: Callback | None, condition: Tensor | None,
              generator: RowGenerator) -> Tensor:  # fmt: skip
        sampler = DDIM() if sampler is None else sampler
        if not hasattr(sampler, "on"):
            raise ConfigError(
                f"expected a sampler of pf.diffusion.samplers, got {type(sampler).__name__}; it must have on(model, condition)"
            )
        require_score(self.loss, sampler)
        first, last = generator.start, generator.start + generator.rows
        attached = of_rows(sampler, first, last).on(of_rows(denoiser, first, last), condition)
        noise = generator.normal(*self.event_shape, dtype=dtype_of(self))
        return self.to_user_units(attached.run(noise, attached.steps, generator, callback).x)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self.log_prob_estimate(x, condition, max_solver_error=math.inf).value

    def _probe(self, condition: Tensor | None) -> object:
        zero = torch.zeros(1, *self.event_shape, dtype=dtype_of(self), device=device_of(self))
        return self(zero, zero.new_full((1,), self.path.t_max), condition)

    def _per_event(self, value: Tensor | float, name: str) -> Tensor:
        value = torch.as_tensor(value)
        value = value if value.dtype == torch.bool else value.to(dtype_of(self.network))
        try:
            return value.detach().expand(self.event_shape).clone()
        except RuntimeError:
            raise ConfigError(
                f"expected {name} to broadcast to an event of shape {tuple(self.event_shape)}, got {tuple(value.shape)}"
            ) from None

    def _check_whole(self, x: Tensor) -> None:
        top = math.inf if self.levels is None else self.levels - 1
        if bool((((x != x.floor()) | (x.abs() > top) | (x < (0 if self.levels else -math.inf))) & self.integer).any()):
            span = "" if self.levels is None else f" from 0 to {self.levels - 1}"
            raise ShapeError(f"expected whole numbers{span}, got {x.min().item():g} to {x.max().item():g}; "
                             "give pixels as they are stored, not scaled")  # fmt: skip
