"""`Distribution`: p(x | condition), the interface behind every density and sampler."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Size, Tensor, nn

from .batching import chunks, count, in_chunks, rows_that_fit
from .random import RowGenerator
from .registry import device_of, dtype_of
from .shapes import as_size, flatten_batch, flatten_condition, match_dtype

if TYPE_CHECKING:
    from .objective import Objective

LogProbKind = Literal["exact", "lower_bound", "estimate", "none"]


class Distribution(nn.Module):
    """A distribution over events of one shape, possibly given a condition.

    A final class sets these fields in `__init__` and writes `_sample` and, where it has a density, `_log_prob`, which see
    exactly one batch dimension, `(n, *event)`; the public methods check, flatten, bound the memory, restore the batch.
    """

    event_shape: Size
    condition_shape: Size | None = None
    condition_optional: bool = False
    log_prob_kind: LogProbKind = "exact"
    reparameterised: bool = True

    @abstractmethod
    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        """Draw `generator.rows` events, `(n, *event)`, from `generator` and nothing else."""

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Log density `(n,)` of `x`, `(n, *event)`."""
        raise TypeError(f"{type(self).__name__} has no log_prob: its log_prob_kind is {self.log_prob_kind!r}")

    def _sample_and_log_prob(self, condition: Tensor | None, generator: RowGenerator) -> tuple[Tensor, Tensor]:
        """Draw with the log density of the draws; a final class that can do both in one pass overrides this."""
        x = self._sample(condition, generator)
        return x, self._log_prob(x, condition)

    def sample(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *,
               generator: torch.Generator | None = None) -> Tensor:  # fmt: skip
        """Draw `(*shape, *batch, *event)` where `batch` is the batch shape of `condition`; no gradients."""
        with torch.no_grad():
            return self._draw(self._sample, shape, condition, generator)

    def rsample(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *,
                generator: torch.Generator | None = None) -> Tensor:  # fmt: skip
        """`sample`, the same draws, with gradients to the parameters (reparameterised)."""
        self._require_reparameterised()
        return self._draw(self._sample, shape, condition, generator)

    def rsample_and_log_prob(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *,
                             generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Draw with gradients together with log p of the draws, in one pass where the model can."""
        self._require_reparameterised()
        full, flat = self._batch_of(shape, condition)
        x, log_prob = self._sample_and_log_prob(flat, RowGenerator.of(generator, count(full), device=device_of(self)))
        return x.reshape(full + self.event_shape), log_prob.reshape(full)

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log density of `x`, `(*batch, *event)`, in nats: `(*batch,)`; see `log_prob_kind` for what it is."""
        flat, batch = flatten_batch(x, self.event_shape)
        given = flatten_condition(condition, self.condition_shape, batch, self.condition_optional)
        flat, size = match_dtype(flat, dtype_of(self)), self._rows(len(flat), given)
        return in_chunks(self._log_prob, size, flat, given).reshape(batch)

    @property
    def objective(self) -> "Objective":
        """What `fit` minimises when it is not told otherwise: the negative log likelihood."""
        from .objective import negative_log_likelihood

        return negative_log_likelihood

    def as_torch(self, condition: Tensor | None = None) -> torch.distributions.Distribution:
        """View as a `torch.distributions.Distribution` of the same event shape, for a fixed condition."""
        from .torch_view import TorchView

        return TorchView(self, condition)

    def _require_reparameterised(self) -> None:
        if not self.reparameterised:
            raise TypeError(
                f"{type(self).__name__} cannot be reparameterised; use sample and a score-function gradient"
            )

    def _batch_of(self, shape: int | Sequence[int], condition: Tensor | None) -> tuple[Size, Tensor | None]:
        inner = Size(())
        if condition is not None and self.condition_shape is not None:
            _, inner = flatten_batch(condition, self.condition_shape, "condition")
        full = as_size(shape) + inner
        return full, flatten_condition(condition, self.condition_shape, full, self.condition_optional)

    def _draw(self, draw: Callable[[Tensor | None, RowGenerator], Tensor], shape: int | Sequence[int],
              condition: Tensor | None, generator: torch.Generator | None) -> Tensor:  # fmt: skip
        full, flat = self._batch_of(shape, condition)
        source = RowGenerator.of(generator, count(full), device=device_of(self))
        if source.rows <= (size := self._rows(source.rows, flat)):
            return draw(flat, source).reshape(full + self.event_shape)
        parts = [draw(None if flat is None else flat[a:b], source.slice(a, b)) for a, b in chunks(source.rows, size)]
        return torch.cat(parts).reshape(full + self.event_shape)

    def _probe(self, condition: Tensor | None) -> object:
        """Run the widest computation for one row, so that its memory can be measured."""
        return self._sample(condition, RowGenerator(0, 1, device=device_of(self)))

    def _rows(self, rows: int, condition: Tensor | None) -> int:
        """How many of `rows` to compute at once: all with gradients or when few, else as many as fit in memory."""
        if torch.is_grad_enabled() or rows <= 64:
            return rows
        device, one = device_of(self), None if condition is None else condition[:1]
        if getattr(self, "_rows_known", (None, 0))[0] != device:
            self._rows_known = device, rows_that_fit(self, count(self.event_shape), lambda: self._probe(one))
        return self._rows_known[1]
