"""Numbers of two values as bits, and all the bits there are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, DataError
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import as_size, match_dtype
from pushforward.parts.data import Images, Table


@register
class Bits(nn.Module):
    """v = 0 where x is `low`, and 1 where it is `high`: events of one shape to flat rows `(n, d)` and back.

    `low` and `high` are numbers, or tensors of the event's shape. With `binarise` any x counts as the nearer of the two (so a model
    of grey images is one of black and white); without it, `DataError` is raised for other numbers.

    >>> bits = Bits(3, low=-1.0, high=1.0)
    >>> bits.to_model(torch.tensor([[1.0, -1.0, 1.0]])), bits.to_user(torch.tensor([[0.0, 1.0, 1.0]]))
    (tensor([[1., 0., 1.]]), tensor([[-1.,  1.,  1.]]))
    """

    low: Tensor
    high: Tensor

    def __init__(self, event_shape: int | Sequence[int], low: Tensor | float = 0.0, high: Tensor | float = 1.0,
                 binarise: bool = False):  # fmt: skip
        super().__init__()
        self.event_shape, self.binarise = as_size(event_shape), binarise
        low, high = (torch.as_tensor(value, dtype=torch.get_default_dtype()) for value in (low, high))
        if not (low < high).all():
            raise ConfigError("expected low below high at every place, got others; give the two values of each number")
        self.low = nn.Buffer(low.detach().expand(self.event_shape).clone())
        self.high = nn.Buffer(high.detach().expand(self.event_shape).clone())

    @classmethod
    def of(cls, data: Images | Table | Tensor) -> "Bits":
        """The two values of each column, or black and white of images, whose greys are taken as the nearer of them.

        Raises `DataError` for a column of one value, or of more than two.
        """
        if isinstance(data, Images):
            return cls(data.shape, 0.0, float(data.levels - 1), data.levels > 2)
        table = data if isinstance(data, Table) else Table.of(data)
        table.require_fittable(2)
        low, high = table.values.amin(0), table.values.amax(0)
        others = ((table.values != low) & (table.values != high)).any(0).tolist()
        if any(others):
            names = ", ".join(name for name, other in zip(table.names, others) if other)
            raise DataError(f"expected columns of two values each, got more in {names}; drop them, split them by a threshold, or use "
                            "energy_model")  # fmt: skip
        return cls(table.event_shape, low, high)

    def to_model(self, x: Tensor) -> Tensor:
        """x `(n, *event)` as bits `(n, d)`."""
        x = match_dtype(x, dtype_of(self))
        # On a GPU the check would wait for the device at every step of a training.
        if not self.binarise and x.device.type == "cpu" and not ((x == self.low) | (x == self.high)).all():
            raise DataError(f"expected the two values {self.low.min():g} and {self.high.max():g} that the model knows, got numbers from "
                            f"{x.min():g} to {x.max():g}; map them first")  # fmt: skip
        return (x > (self.low + self.high) / 2).to(x.dtype).flatten(1)

    def to_user(self, v: Tensor) -> Tensor:
        """Bits `(n, d)` as x `(n, *event)`."""
        return torch.where(v.reshape(len(v), *self.event_shape) > 0.5, self.high, self.low)

    def as_seen(self, data: Images | Table) -> Images | Table:
        """The data as a model of bits sees them: images of black and white; a table as it is."""
        if not isinstance(data, Images) or not self.binarise:
            return data
        bright = (data.pixels > (data.levels - 1) / 2).byte() * (data.levels - 1)
        return Images(bright, data.labels, data.levels, data.class_names)


def all_bits(d: int, like: Tensor) -> Tensor:
    """The 2^d rows of d bits, `(2^d, d)`, in the order of binary numbers with the lowest place first.

    >>> all_bits(2, torch.zeros(())).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    """
    numbers = torch.arange(2**d, device=like.device)[:, None]
    return ((numbers >> torch.arange(d, device=like.device)) & 1).to(like.dtype)


def draw_rows(log_weights: Tensor, u: Tensor) -> Tensor:
    """Numbers `(n,)` of rows drawn in proportion to exp(log_weights) `(m,)`, from uniform u `(n,)`: the inverse of their sums."""
    sums = torch.softmax(log_weights.double(), 0).cumsum(0)
    return torch.searchsorted(sums, u.double() * sums[-1]).clamp(max=len(sums) - 1)
