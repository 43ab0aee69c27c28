"""WaveNet: a waveform sample by sample, from dilated causal convolutions over its past.

    log p(x | c) = sum_t log p(x_t | x_{t-1}, ..., x_{t-R}, c),

van den Oord et al. 2016, https://arxiv.org/abs/1609.03499. In training all samples of a window are scored at once; drawing goes
sample by sample, with the queues of Le Paine et al. 2016 (https://arxiv.org/abs/1611.09482).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Size, Tensor
from torch.nn import functional

from pushforward.core.batching import chunks, count, in_chunks
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, dtype_of, register
from pushforward.core.shapes import flatten_batch, flatten_condition, match_dtype
from pushforward.parts.distributions.outputs import Output
from pushforward.parts.nn.wave_queue import WaveQueue
from pushforward.parts.nn.wave_stack import WaveStack

from .amplitude_levels import AmplitudeLevels, compand

if TYPE_CHECKING:
    from pushforward.core.objective import Objective

INPUTS = 3  # of the network: an amplitude, the same companded, and 1, which is 0 before the first sample
TOGETHER = 1 << 16  # instants that are scored at once without gradients
ROWS = 1024  # clips that are drawn at once


@register
class WaveNet(Distribution):
    """Clips of sound: amplitudes from -1 to 1, drawn and scored as the levels that they fall into.

    A clip may have any number of samples; in a batch of unequal ones NaN marks where there is no sample, after the end of a
    clip. `length` is how many samples are drawn when nothing is said: how long a clip is, is not modelled.

    Args:
        length: samples of a clip that is drawn.
        levels: how amplitudes become levels; those of the output must be as many.
        output: the distribution of a level, `Categorical(256)` or `LogisticMixture(10, 65536, -12.0)`.
        width, skip, dilations: see `WaveStack`.
        window: samples of each clip that a step of training scores, at a random place.
        classes: the condition is the number of a class, the same at all times. A number that is no class is encoded as none.
        features: the condition is `(ceil(length / hop), features)` numbers, each row for `hop` samples: a local condition.

    `log_prob` is exact, in nats: that of the levels, so of the cells that the amplitudes fall into, the first sample included.
    Levels are discrete, so no Jacobian belongs to their change. Raises `ConfigError` for sizes that do not fit.

    >>> from pushforward.parts.distributions.outputs import Categorical
    >>> model = WaveNet(100, AmplitudeLevels(16), Categorical(16), width=8, skip=8, dilations=[1, 2, 4])
    >>> x = model.sample(3)
    >>> x.shape, model.log_prob(x[:, :50]).shape, model.receptive_field
    (torch.Size([3, 100]), torch.Size([3]), 8)
    """

    reparameterised = False

    def __init__(self, length: int, levels: AmplitudeLevels, output: Output, width: int = 32, skip: int = 64,
                 dilations: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256), window: int = 2048, classes: int = 0,
                 features: int = 0, hop: int = 1):  # fmt: skip
        super().__init__()
        if min(length, window, hop) < 1 or min(classes, features) < 0 or (classes and features):
            raise ConfigError(f"expected length, window and hop of at least 1, and classes or features or none of the two, got "
                              f"{length}, {window}, {hop}, {classes} and {features}")  # fmt: skip
        if getattr(output, "levels", None) != levels.levels or output.element != Size(()):
            raise ConfigError(f"expected an output of the {levels.levels} levels of the amplitudes, got "
                              f"{type(output).__name__} of {getattr(output, 'levels', 'no')} levels; make them equal")  # fmt: skip
        self.event_shape = Size((length,))
        self.condition_shape = Size(()) if classes else Size((-(-length // hop), features)) if features else None
        self.levels, self.output, self.window, self.classes, self.hop = levels, output, window, classes, hop
        self.network = WaveStack(INPUTS, output.size, width, skip, dilations, classes or features)
        self.receptive_field = self.network.past + 1  # of samples that are heard, x_{t-1} the last of them

    @property
    def objective(self) -> "Objective":
        """Minus the mean log probability of a sample, in nats, over a random window of each clip."""
        return random_windows

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log probability in nats, `(*batch,)`, of clips `(*batch, samples)` of any length; NaN marks what is after the end.

        Raises `ShapeError` for amplitudes outside [-1, 1], or NaN before the end.
        """
        if x.ndim < 1:
            raise ShapeError("expected clips of shape (*batch, samples), got a single number; give at least one clip")
        flat, batch = flatten_batch(x, x.shape[-1:])
        given = flatten_condition(condition, self.condition_shape, batch)
        size = len(flat) if torch.is_grad_enabled() else max(1, TOGETHER // (flat.shape[1] + self.network.past))
        return in_chunks(self._log_prob, max(size, 1), match_dtype(flat, dtype_of(self)), given).reshape(batch)

    def sample(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *,
               generator: torch.Generator | None = None, given: Tensor | None = None, length: int | Tensor | None = None,
               temperature: float = 1.0, top_p: float = 1.0, cached: bool = True) -> Tensor:  # fmt: skip
        """Draw `(*shape, *batch, samples)`, where `batch` is the batch shape of `condition`.

        Args:
            given: the first samples `(*any, k)`, to be continued; they broadcast to the rows.
            length: samples of each clip, a number or whole numbers that broadcast to the rows; shorter ones end in NaN.
            temperature: below 1 each sample is drawn nearer to what is probable; see the outputs.
            top_p: the share of the mass of the levels to draw from, the most probable ones.
            cached: with queues; without, the whole receptive field is computed for each sample: the same draws, and slow.
        """
        full, _ = self._batch_of(shape, condition)
        ends = torch.as_tensor(self.event_shape[0] if length is None else length, device=device_of(self)).expand(full)
        time = int(ends.max()) if ends.numel() else self.event_shape[0]
        if ends.numel() and int(ends.min()) < 1:
            raise ConfigError(f"expected clips of at least 1 sample, got length {int(ends.min())}; ask for more")
        prefix = self._prefix(given, full, time)

        def draw(condition: Tensor | None, rows: RowGenerator) -> Tensor:
            own = None if prefix is None else prefix[rows.start : rows.start + rows.rows]
            return self._walk(condition, rows, time, own, temperature, top_p, cached)

        with torch.no_grad():
            _, flat = self._batch_of(shape, condition)
            source = RowGenerator.of(generator, count(full), device=device_of(self))
            parts = [
                draw(None if flat is None else flat[a:b], source.slice(a, b)) for a, b in chunks(source.rows, ROWS)
            ]
            x = torch.cat(parts) if parts else torch.empty(0, time, dtype=dtype_of(self), device=device_of(self))
            after = torch.arange(time, device=x.device) >= ends.reshape(-1, 1)
            return x.masked_fill(after, torch.nan).reshape(*full, time)

    def each(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log probability in nats of every sample of clips `(n, samples)`, and 0 where there is none: `(n, samples)`."""
        real = ~x.isnan()
        levels = torch.where(real, self.levels.encode(x), 0)
        return torch.where(real, self.output.log_prob(self.predictions(levels, condition), levels), 0)

    def predictions(self, levels: Tensor, condition: Tensor | None = None) -> Tensor:
        """Parameters of the output for every sample, from levels `(n, samples)` before it: `(n, samples, size)`."""
        time = levels.shape[1]
        previous = functional.pad(levels[:, : time - 1], (self.receptive_field, 0))
        at = torch.arange(-self.network.past, time, device=levels.device)[None]
        return self._outputs(previous, at, condition)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        with torch.no_grad():
            return self._walk(condition, generator, self.event_shape[0], None, 1.0, 1.0, True)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        real = ~x.isnan()
        if not bool((real[:, 1:] <= real[:, :-1]).all()):
            raise ShapeError("expected NaN only after the end of a clip, where there is no sample, got some before a sample; "
                             "fill gaps or cut the clip there")  # fmt: skip
        if not bool((torch.where(real, x, 0).abs() <= 1).all()):
            raise ShapeError(f"expected amplitudes from -1 to 1, got up to {float(x[real].abs().max()):g}; divide 16-bit "
                             "numbers by 32768")  # fmt: skip
        longest = int(real.sum(1).max()) if len(x) else 0
        if longest == 0:
            return x.new_zeros(len(x))
        return self.each(x[:, :longest], condition).sum(1)

    def _probe(self, condition: Tensor | None) -> object:
        return self.predictions(torch.zeros(1, self.event_shape[0], dtype=dtype_of(self), device=device_of(self)), condition)  # fmt: skip

    def _outputs(self, previous: Tensor, at: Tensor, condition: Tensor | None) -> Tensor:
        """For instants `at` `(1 or n, past + time)`, from the levels one sample before each: `(n, time, size)`."""
        x = self._inputs(previous) * (at >= 1).to(previous.dtype)[..., None]
        return self.network(x, (at >= 0).to(previous.dtype)[..., None], self._given(condition, at))

    def _inputs(self, levels: Tensor) -> Tensor:
        y = self.levels.decode(levels)
        return torch.stack([y, compand(y), torch.ones_like(y)], -1)

    def _given(self, condition: Tensor | None, at: Tensor) -> Tensor | None:
        """The condition as the network takes it: one instant for a class, one for each of `at` for features."""
        if condition is None:
            return None
        if self.classes:
            numbers = torch.arange(self.classes, device=condition.device)
            return (condition[:, None].round() == numbers).to(dtype_of(self))[:, None]
        frame = (at.clamp(min=0) // self.hop).expand(len(condition), -1)
        if int(frame[:, -1].max()) >= condition.shape[1]:
            raise ShapeError(f"expected at most {condition.shape[1] * self.hop} samples, for which there are features, got "
                             f"{int(at.max()) + 1}; build the model with a greater length")  # fmt: skip
        return condition.to(dtype_of(self)).gather(1, frame[..., None].expand(-1, -1, condition.shape[2]))

    def _prefix(self, given: Tensor | None, full: Size, time: int) -> Tensor | None:
        """Known first samples as levels `(rows, k)`."""
        if given is None:
            return None
        if given.ndim < 1 or given.shape[-1] > time or not bool((given.abs() <= 1).all()):
            raise ShapeError(f"expected at most {time} first samples from -1 to 1, (*batch, k), got shape {tuple(given.shape)}; "
                             "cut them, or ask for a greater length")  # fmt: skip
        try:
            known = given.to(dtype_of(self)).to(device_of(self)).expand(*full, given.shape[-1])
        except RuntimeError:
            raise ShapeError(
                f"expected given samples that broadcast to {tuple(full)}, got {tuple(given.shape[:-1])}"
            ) from None
        return self.levels.encode(known.reshape(-1, given.shape[-1]))

    def _walk(self, condition: Tensor | None, generator: RowGenerator, time: int, prefix: Tensor | None, temperature: float,
              top_p: float, cached: bool) -> Tensor:  # fmt: skip
        u = generator.uniform(time, self.output.uniforms, dtype=torch.float64)
        first = 0 if prefix is None else prefix.shape[1]
        levels = torch.zeros(len(u), time, dtype=dtype_of(self), device=u.device)
        if prefix is not None:
            levels[:, :first] = prefix
        step = self._queue(levels, condition, first) if cached else self._again(levels, condition)
        for t in range(first, time):
            levels[:, t] = self.output.sample(step(t), u[:, t], temperature, top_p)
        return self.levels.decode(levels)

    def _again(self, levels: Tensor, condition: Tensor | None) -> Any:
        past = self.network.past

        def step(t: int) -> Tensor:
            padded = functional.pad(levels[:, max(0, t - past - 1) : t], (max(0, past + 1 - t), 0))
            return self._outputs(padded, torch.arange(t - past, t + 1, device=levels.device)[None], condition)[:, 0]

        return step

    def _queue(self, levels: Tensor, condition: Tensor | None, first: int) -> Any:
        start = torch.zeros(1, 1, dtype=torch.long, device=levels.device)
        given = self._given(condition, start)
        queue = WaveQueue(self.network, len(levels), None if given is None else given[:, 0])
        none = levels.new_zeros(len(levels), INPUTS)
        table = self._inputs(torch.arange(self.levels.levels, dtype=levels.dtype, device=levels.device))

        def inputs(t: int) -> Tensor:
            if t and condition is not None and not self.classes and t % self.hop == 0:
                queue.condition(self._given(condition, start + t)[:, 0])  # type: ignore[index]
            return table[levels[:, t - 1].long()] if t else none

        for t in range(first):
            queue.advance(inputs(t))
        return lambda t: queue.step(inputs(t))


def random_windows(model: WaveNet, batch: Any, generator: RowGenerator) -> Loss:
    """Minus the mean log probability of a sample, in nats, over a window of each clip that begins at a random sample.

    What came before the window is heard as far as the receptive field goes, so a window costs little more than itself, and
    its scores are those of the whole clip.
    """
    x, condition = batch.x, batch.condition if model.condition_shape is not None else None
    ends = (~x.isnan()).sum(1)
    window = min(model.window, x.shape[1])
    u = generator.uniform(dtype=torch.float64)
    start = (u * ((ends - window).clamp(min=0) + 1)).long()[:, None]
    at = start + torch.arange(-model.network.past, window, device=x.device)
    clean = model.levels.encode(x)
    previous = clean.gather(1, (at - 1).clamp(0, x.shape[1] - 1))
    previous = torch.where(at <= ends[:, None], previous, 0)  # after the end there is no sample, and nothing is scored
    scored = at[:, -window:]
    real = scored < ends[:, None]
    target = torch.where(real, clean.gather(1, scored.clamp(max=x.shape[1] - 1)), 0)
    each = model.output.log_prob(model._outputs(previous, at, condition), target)
    nats = -torch.where(real, each, 0).sum() / real.sum()
    return Loss(nats, {"bits_per_sample": nats.detach() / math.log(2)})
