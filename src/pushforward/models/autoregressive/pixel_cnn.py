"""PixelCNN: an image pixel by pixel, in raster order, from gated convolutions over what comes before.

    log p(x | c) = sum_i log p(x_i | x_1, ..., x_{i-1}, c),

van den Oord et al. 2016, https://arxiv.org/abs/1606.05328; the discretised mixture and its coupling of colours are those of PixelCNN++,
Salimans et al. 2017, https://arxiv.org/abs/1701.05517. An image is scored in one evaluation; drawing goes pixel by pixel.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Size, Tensor

from pushforward.core.batching import chunks, count
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, dtype_of, register
from pushforward.parts.data import Images
from pushforward.parts.distributions.lattice import noise_of_rows
from pushforward.parts.distributions.outputs import Bernoulli, Output
from pushforward.parts.nn.pixel_stack import PixelStack
from pushforward.parts.nn.pixel_walk import PixelWalk

if TYPE_CHECKING:
    from pushforward.core.objective import Objective

Binarise = Literal["threshold", "fixed", "dynamic"]
Known = tuple[Tensor, Tensor]
ROWS = 256  # images that are drawn at once


@register
class PixelCNN(Distribution):
    """Images of whole numbers 0 .. levels - 1, `(channels, height, width)`.

    Args:
        event_shape: channels, height and width.
        levels: of a pixel; those of the output must be as many, except where greys are made black and white.
        output: of a channel of a pixel, whose channels then see the ones before, or of a whole pixel (`ColourLogisticMixture`).
        width, blocks, kernel, dropout: see `PixelStack`.
        classes: the condition is the number of a class, which goes to every gate.
        binarise: greys become 0 or levels - 1 first, for `Bernoulli()`: "threshold" at the middle; "fixed", white with
            the probability of the grey, by a draw that is a function of the image, the same every time; "dynamic", the same but drawn anew at
            every step of training. Scores are then of the image in black and white.

    `log_prob` is exact, in nats. Raises `ConfigError` for sizes that do not fit, and `DataError` where a score is asked of what is no level.

    >>> from pushforward.parts.distributions.outputs import Categorical
    >>> model = PixelCNN((1, 4, 5), 3, Categorical(3), width=8, blocks=2, kernel=3)
    >>> x = model.sample(6)
    >>> x.shape, model.log_prob(x).shape
    (torch.Size([6, 1, 4, 5]), torch.Size([6]))
    """

    reparameterised = False

    def __init__(self, event_shape: Sequence[int], levels: int, output: Output, width: int = 32, blocks: int = 5,
                 kernel: int = 5, dropout: float = 0.0, classes: int = 0, binarise: Binarise | None = None):  # fmt: skip
        super().__init__()
        self.event_shape = Size(event_shape)
        if len(self.event_shape) != 3 or min(self.event_shape) < 1 or levels < 2 or classes < 0:
            raise ConfigError(f"expected channels, height and width, at least 2 levels and no negative number of classes, got "
                              f"{tuple(event_shape)}, {levels} and {classes}")  # fmt: skip
        channels = self.event_shape[0]
        fitting = 2 if binarise is not None or isinstance(output, Bernoulli) else levels
        if getattr(output, "levels", 2) != fitting or (binarise is None and levels != fitting) or not output.discrete:
            raise ConfigError(f"expected an output of {fitting} levels for pixels of {levels}, got {type(output).__name__} of "
                              f"{getattr(output, 'levels', 2)}; make them equal, or binarise")  # fmt: skip
        if binarise not in (None, *get_args(Binarise)) or output.element not in (Size(()), Size((channels,))):
            raise ConfigError(f"expected binarise among {', '.join(get_args(Binarise))} or none and an output of one channel or "
                              f"of {channels}, got {binarise!r} and an output of {tuple(output.element)}")  # fmt: skip
        self.levels, self.output, self.classes, self.binarise = levels, output, classes, binarise
        self.condition_shape = Size(()) if classes else None
        self.groups = channels if output.element == Size(()) else 1
        self.network = PixelStack(channels, output.size, width, blocks, kernel, self.groups, classes, dropout)
        self.top = 1.0 if binarise is not None else levels - 1.0  # the highest number that the network knows

    @property
    def objective(self) -> "Objective":
        """Minus the mean log probability of an image, in nats; with "dynamic", of a new draw of black and white."""
        return mean_image

    def as_seen(self, data: Images) -> Images:
        """Images as they are scored: in black and white where the model makes them so."""
        if self.binarise is None:
            return data
        device, dtype = device_of(self), dtype_of(self)
        parts = [self.bits(part.to(device, dtype)).to(data.pixels.device, torch.uint8) for part in data.pixels.split(1024)]  # fmt: skip
        return Images(torch.cat(parts) * (data.levels - 1), data.labels, data.levels, data.class_names)

    def bits(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        """Greys `(n, *event)` as 0 and 1, as `binarise` says; by the uniform numbers u where they are given."""
        # On a GPU the check would wait for the device at every step of a training.
        if x.device.type == "cpu" and not bool(((x >= 0) & (x < self.levels)).all()):
            raise DataError(f"expected greys from 0 to {self.levels - 1}, got {float(x.min()):g} to {float(x.max()):g}; give "
                            "pixels as they are stored, not scaled")  # fmt: skip
        share = x / (self.levels - 1)
        if self.binarise == "threshold":
            return (share > 0.5).to(x.dtype)
        return ((noise_of_rows(x, 1)[:, 0] if u is None else u) < share).to(x.dtype)

    def sample(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *,
               generator: torch.Generator | None = None, given: Known | None = None, temperature: float = 1.0,
               top_p: float = 1.0, cached: bool = True) -> Tensor:  # fmt: skip
        """Draw `(*shape, *batch, *event)`, where `batch` is the batch shape of `condition`.

        Args:
            given: `(image, mask)`: pixels where the mask is true are those of the image, and the others are drawn, each given
                all before it in raster order. Known pixels that come later than a drawn one do not move it: with a known top the draw is
                of the exact conditional, with a known bottom it is not. Both broadcast to the draws.
            temperature: below 1 each pixel is drawn nearer to what is probable; see the outputs.
            top_p: the share of the mass of the levels to draw from, the most probable ones.
            cached: remember what a new pixel does not change; without, the whole network is evaluated for each: the same draws, slow.
        """
        full, flat = self._batch_of(shape, condition)
        known = None if given is None else self._known(given, full)

        def draw(condition: Tensor | None, rows: RowGenerator) -> Tensor:
            own = None if known is None else tuple(p[rows.start : rows.start + rows.rows] for p in known)
            return self._walk(condition, rows, own, temperature, top_p, cached)  # type: ignore[arg-type]

        with torch.no_grad():
            source = RowGenerator.of(generator, count(full), device=device_of(self))
            parts = [draw(None if flat is None else flat[a:b], source.slice(a, b)) for a, b in chunks(source.rows, ROWS)]  # fmt: skip
            x = torch.cat(parts) if parts else torch.empty(0, dtype=dtype_of(self), device=device_of(self))
            return x.reshape(full + self.event_shape)

    def predictions(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Parameters of every element, from the numbers of the network `(n, *event)`, 0 .. top: `(n, height, width, groups, size)`."""
        out = self.network(2 * x / self.top - 1, self._given(condition))
        return out.unflatten(1, (self.groups, -1)).movedim((3, 4), (1, 2))

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self._scores(x if self.binarise is None else self.bits(x), condition)

    def _scores(self, y: Tensor, condition: Tensor | None) -> Tensor:
        # At a step of a training on a GPU the check would wait for the device; a score of no level is then -inf.
        checked = y.device.type == "cpu" or not torch.is_grad_enabled()
        if checked and not bool(((y == y.round()) & (y >= 0) & (y <= self.top)).all()):
            raise DataError(f"expected whole numbers from 0 to {self.levels - 1}, got {float(y.min()):g} to {float(y.max()):g}; "
                            "give pixels as they are stored, not scaled")  # fmt: skip
        parameters, elements = self.predictions(y, condition), y.movedim(1, 3)
        parameters = parameters if self.output.element == Size(()) else parameters[..., 0, :]
        return self.output.log_prob(parameters, elements).flatten(1).sum(1)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        with torch.no_grad():
            return self._walk(condition, generator, None, 1.0, 1.0, True)

    def _probe(self, condition: Tensor | None) -> object:
        # A walk calls no submodule whose output could be measured; the evaluation for scores does.
        return self.predictions(
            torch.zeros(1, *self.event_shape, dtype=dtype_of(self), device=device_of(self)), condition
        )

    def _given(self, condition: Tensor | None) -> Tensor | None:
        if condition is None:
            return None
        numbers = torch.arange(self.classes, device=condition.device)
        return (condition[:, None].round() == numbers).to(
            dtype_of(self)
        )  # a number that is no class is encoded as none

    def _known(self, given: Known, full: Size) -> Known:
        """Numbers of the network and where they hold, `(rows, *event)` both."""
        if not (isinstance(given, tuple | list) and len(given) == 2):
            raise ShapeError(
                f"expected given=(image, mask), got {type(given).__name__}; a mask is true where pixels are known"
            )
        image, mask = (torch.as_tensor(part).to(device_of(self)) for part in given)
        try:
            image, mask = (
                part.expand(full + self.event_shape).reshape(-1, *self.event_shape) for part in (image, mask)
            )
        except RuntimeError:
            raise ShapeError(f"expected an image and a mask that broadcast to {tuple(full + self.event_shape)}, got "
                             f"{tuple(image.shape)} and {tuple(mask.shape)}") from None  # fmt: skip
        image, mask = image.to(dtype_of(self)), mask.bool()
        image = torch.where(mask, image, 0)  # what is not known may be anything
        if not bool(((image == image.round()) & (image >= 0) & (image < self.levels)).all()):
            raise DataError(f"expected known pixels from 0 to {self.levels - 1}, whole numbers, got {float(image.min()):g} to "
                            f"{float(image.max()):g}; give pixels as they are stored")  # fmt: skip
        return (image if self.binarise is None else self.bits(image)), mask

    def _walk(self, condition: Tensor | None, generator: RowGenerator, known: Known | None, temperature: float,
              top_p: float, cached: bool) -> Tensor:  # fmt: skip
        (channels, height, width), n = self.event_shape, generator.rows
        steps = self.groups  # 1 for an output that gives a whole pixel at once
        u = generator.uniform(height, width, steps, self.output.uniforms, dtype=torch.float64)
        y = torch.zeros(n, *self.event_shape, dtype=dtype_of(self), device=u.device)
        unknown = torch.ones(channels, height, width, dtype=torch.bool)
        if known is not None:
            y, unknown = known[0].clone(), (~known[1]).any(0).cpu()
        was_training = self.training
        self.eval()  # a draw is of the model, not of one with units left out at random
        walk = PixelWalk(self.network, n, (height, width), self._given(condition)) if cached else None
        for r in range(height):
            wanted = unknown[:, r].any(0).nonzero()[:, 0].tolist()
            if walk is not None:
                walk.begin_row(r)
            for c in range(width):
                if walk is None and c not in wanted:
                    continue  # what is remembered of a known column is wanted by those after it, a value is not
                for g in range(steps) if wanted and c <= wanted[-1] else ():
                    of = slice(g, g + 1) if steps > 1 else slice(None)
                    if walk is None:
                        parameters = self.predictions(y, condition)[:, r, c, g]
                    else:
                        if g:  # the first group of a pixel sees nothing of it
                            walk.put(r, c, 2 * y[:, :, r, c] / self.top - 1)
                        parameters = walk.parameters(c).unflatten(1, (steps, -1))[:, g]
                    value = self.output.sample(parameters, u[:, r, c, g], temperature, top_p).reshape(n, -1)
                    y[:, of, r, c] = (
                        value if known is None else torch.where(known[1][:, of, r, c], known[0][:, of, r, c], value)
                    )
                if walk is not None:
                    walk.put(r, c, 2 * y[:, :, r, c] / self.top - 1)
        self.train(was_training)
        return y if self.binarise is None else y * (self.levels - 1)


def mean_image(model: PixelCNN, batch: Any, generator: RowGenerator) -> Loss:
    """Minus the mean log probability of an image, in nats; greys of a "dynamic" model are drawn anew."""
    condition = batch.condition if model.condition_shape is not None else None
    if model.binarise != "dynamic" or not model.training:
        return Loss(-model.log_prob(batch.x, condition).mean())
    u = generator.uniform(*model.event_shape, dtype=batch.x.dtype)
    return Loss(-model._scores(model.bits(batch.x, u), condition).mean())
