"""A posterior written by its user: log p(data, theta) over named parameters, each with a support of its own.

With theta = T(z) and z any real numbers, the density to sample, to bound or to maximise is
log p(data, T(z)) + log abs det dT/dz. Kucukelbir, Tran, Ranganath, Gelman, Blei 2017, https://arxiv.org/abs/1603.00788,
section 2.3. The maps are those of `torch.distributions.biject_to`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Transform, biject_to, constraints

from pushforward.core.errors import ConfigError, ShapeError, UserError
from pushforward.core.shapes import as_size, flatten_batch

from .ordered import ORDERED, Ordered

SUPPORTS = {
    "real": constraints.real,
    "positive": constraints.positive,
    "unit": constraints.unit_interval,
    "simplex": constraints.simplex,
    "ordered": ORDERED,
    "correlation_cholesky": constraints.corr_cholesky,
}


@dataclass(frozen=True)
class _Parameter:
    shape: Size  # of theta
    free: Size  # of z, before it is flattened
    transform: Transform
    support: Any


class Target:
    """The log density of z `(n, d)`, all real, for a `log_joint` over named parameters.

    `log_joint` takes a dict of tensors `(n, *shape)`, a row for each draw, and returns `(n,)`. `parameters` maps a name to
    a support, or to a support and a shape: `"real"`, `"positive"`, `"unit"` (0 to 1), `("interval", low, high)`,
    `("simplex", 3)`, `("ordered", 4)` (increasing), `("correlation_cholesky", 3)` (the lower factor of a 3 x 3 correlation
    matrix); `("positive", 8)` or `("interval", low, high, (2, 3))` are many numbers. The last dimension of a simplex is the
    one that sums to one.

    With `data` (a tensor, or a list or dict of tensors with as many rows) and `batch_size`, `log_joint` takes (parameters, batch,
    scale), and should multiply the sum over the rows of the batch by scale = N / batch size; calling the target uses all
    rows and scale 1.

    Raises `ConfigError` for an unknown support or an impossible shape, `UserError` when log_joint returns another shape.

    >>> def log_joint(theta):
    ...     return torch.distributions.Gamma(2.0, 1.0).log_prob(theta["rate"])
    >>> target = Target(log_joint, {"rate": "positive"})
    >>> z = torch.tensor([[0.0], [1.0]])
    >>> target.constrain(z)["rate"], target(z)
    (tensor([1.0000, 2.7183]), tensor([-1.0000, -0.7183]))
    """

    def __init__(self, log_joint: Callable[..., Tensor], parameters: Mapping[str, Any], *,
                 data: Any = None, batch_size: int | None = None):  # fmt: skip
        if not parameters:
            raise ConfigError("expected at least one parameter, got none; name what is unknown")
        self.log_joint, self.data, self.batch_size = log_joint, data, batch_size
        self._parameters = {name: _read(name, spec) for name, spec in parameters.items()}
        self.features = sum(p.free.numel() for p in self._parameters.values())
        if (data is None) != (batch_size is None):
            raise ConfigError(
                "expected data and batch_size together, got one of them; leave both out where log_joint holds its data"
            )
        self.rows = 0 if data is None else _rows(data)
        if batch_size is not None and not 1 <= batch_size <= self.rows:
            raise ConfigError(f"expected a batch_size from 1 to {self.rows}, the rows of data, got {batch_size}")

    @property
    def names(self) -> list[str]:
        """A name for each number of theta, such as `tau` or `theta[3]`, in the order of `constrain`."""
        places = []
        for name, p in self._parameters.items():
            index = torch.cartesian_prod(*(torch.arange(n) for n in p.shape)) if p.shape else None
            if index is None:
                places.append(name)
            else:
                places += [f"{name}[{','.join(map(str, torch.atleast_1d(i).tolist()))}]" for i in index]
        return places

    def __call__(self, z: Tensor) -> Tensor:
        """log p(data, T(z)) + log abs det dT/dz, `(n,)`, of z `(n, d)`."""
        return self._evaluate(z, None if self.data is None else (self.data, 1.0))

    def minibatch(self, seed: int) -> Callable[[Tensor], Tensor]:
        """The same on `batch_size` random rows, without replacement: unbiased. The target itself where there are no data."""
        if self.data is None or self.batch_size is None:
            return self
        chosen = torch.randperm(self.rows, generator=torch.Generator().manual_seed(seed & ((1 << 62) - 1)))[
            : self.batch_size
        ]
        batch = _map(self.data, lambda t: t[chosen.to(t.device)])
        return lambda z: self._evaluate(z, (batch, self.rows / len(chosen)))

    def log_posterior(self, z: Tensor) -> Tensor:
        """log_joint at T(z) without the Jacobian: the density in the user's units, which is what a mode in them maximises."""
        flat, batch = flatten_batch(z, Size((self.features,)), "z")
        theta, _ = self._constrain(flat)
        return self._joint(theta, None if self.data is None else (self.data, 1.0), len(flat)).reshape(batch)

    def constrain(self, z: Tensor) -> dict[str, Tensor]:
        """theta = T(z): a tensor `(*batch, *shape)` for each name, of z `(*batch, d)`."""
        flat, batch = flatten_batch(z, Size((self.features,)), "z")
        return {name: value.reshape(batch + value.shape[1:]) for name, value in self._constrain(flat)[0].items()}

    def unconstrain(self, values: Mapping[str, Any]) -> Tensor:
        """z `(*batch, d)` of values `(*batch, *shape)` for every name. Raises `ShapeError` or `UserError` for values that do not fit."""
        if set(values) != set(self._parameters):
            raise UserError(
                f"expected values for {', '.join(self._parameters)}, got {', '.join(values) or 'none'}; give every parameter once"
            )
        parts = []
        for name, p in self._parameters.items():
            value = torch.as_tensor(
                values[name], dtype=None if isinstance(values[name], Tensor) else torch.get_default_dtype()
            )
            flat, batch = flatten_batch(value, p.shape, name)
            if not p.support.check(flat).all():
                raise UserError(
                    f"expected {name} inside its support ({p.support}), got {flat.flatten()[:4].tolist()}; a start lies inside"
                )
            free: Tensor = p.transform.inv(flat)  # type: ignore[assignment,misc]
            parts.append(free.reshape(*batch, p.free.numel()))
        return torch.cat(_alike(parts), dim=-1)

    def _constrain(self, z: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        theta, log_det, first = {}, z.new_zeros(len(z)), 0
        for name, p in self._parameters.items():
            free = z[:, first : first + p.free.numel()].reshape(len(z), *p.free)
            theta[name] = p.transform(free)
            first += p.free.numel()
            term = p.transform.log_abs_det_jacobian(free, theta[name])
            log_det = log_det + (term.flatten(1).sum(1) if term.ndim > 1 else term)
        return theta, log_det

    def _joint(self, theta: dict[str, Tensor], rows: tuple[Any, float] | None, n: int) -> Tensor:
        value = self.log_joint(theta) if rows is None else self.log_joint(theta, *rows)
        if not isinstance(value, Tensor) or value.shape != (n,):
            raise UserError(f"expected log_joint to return ({n},), one number for each of {n} rows of parameters, "
                            f"got {tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__}; "
                            "sum over everything but the first dimension")  # fmt: skip
        return value

    def _evaluate(self, z: Tensor, rows: tuple[Any, float] | None) -> Tensor:
        flat, batch = flatten_batch(z, Size((self.features,)), "z")
        theta, log_det = self._constrain(flat)
        return (self._joint(theta, rows, len(flat)) + log_det).reshape(batch)


def _read(name: str, spec: Any) -> _Parameter:
    """`"positive"`, `("positive", 8)`, `("interval", 0, 2, (3, 4))` as a support and its shapes."""
    kind, *rest = (spec,) if isinstance(spec, str) else tuple(spec)
    if kind == "interval":
        if len(rest) < 2 or not rest[0] < rest[1]:
            raise ConfigError(f'expected ("interval", low, high) with low < high for {name}, got {spec!r}')
        support, rest = constraints.interval(float(rest[0]), float(rest[1])), rest[2:]
    elif kind in SUPPORTS:
        support = SUPPORTS[kind]
    else:
        raise ConfigError(f"expected a support among {', '.join([*SUPPORTS, 'interval'])} for {name}, got {kind!r}")
    if len(rest) > 1:
        raise ConfigError(
            f"expected a support and one shape for {name}, got {spec!r}; write a shape of two dimensions as (2, 3)"
        )
    shape = as_size(rest[0]) if rest else Size(())
    if kind == "correlation_cholesky" and len(shape) == 1:
        shape = Size((*shape, *shape))
    if len(shape) < support.event_dim or any(n < 1 for n in shape) or (support.event_dim and shape[-1] < 2):
        raise ConfigError(f"expected a shape for {name}, which is {kind}, such as ({kind!r}, 3), got {spec!r}")
    transform = Ordered() if kind == "ordered" else biject_to(support)
    return _Parameter(shape, Size(transform.inverse_shape(shape)), transform, support)


def _map(data: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(data, Mapping):
        return {name: change(value) for name, value in data.items()}
    return change(data) if isinstance(data, Tensor) else type(data)(change(value) for value in data)


def _rows(data: Any) -> int:
    tensors = list(data.values()) if isinstance(data, Mapping) else [data] if isinstance(data, Tensor) else list(data)
    if not tensors or not all(isinstance(t, Tensor) and t.ndim and len(t) == len(tensors[0]) for t in tensors):
        raise ShapeError("expected data as tensors with one number of rows, got others; a row of each belongs together")
    return len(tensors[0])


def _alike(parts: list[Tensor]) -> list[Tensor]:
    batch = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return [part.expand(*batch, part.shape[-1]) for part in parts]
