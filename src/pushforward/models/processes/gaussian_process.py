"""Gaussian process regression.

f ~ GP(0, k), y = f(x) + noise;  p(f | context) is normal, and p(y of the context) says which kernel fits.
Rasmussen and Williams, 2006, http://gaussianprocess.org/gpml. Many points: Titsias, 2009, see `gaussian_inference`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.process import Context, Process
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.parts.data import GP_SETS, FunctionSet, gp_draws
from pushforward.parts.data.covariances import Factor, Summand, covariance_of, parse_kernel, variances_of

from .gaussian_inference import Exact, Sparse
from .joint_normal import JointNormal


@register
class GaussianProcess(Process):
    """A zero-mean Gaussian process with a kernel such as "rbf", "rbf*periodic" or "2*matern52(0.5) + rbf(3)".

    Predictions are *joint* over the targets, so their draws are whole functions. They are of y, noise included; `predict(..., of="f")`
    is of the function itself. The numbers in `kernel`, `length_scale`, `period` and `noise` (a standard deviation) are where the
    parameters start; all are positive, kept as logarithms. y is standardised by `y_loc` and `y_scale`, so variances and noise are in units of
    the standardised data, and the mean far from all points is `y_loc`. Several numbers of y are independent processes with one kernel.
    With `inducing` above 0 the posterior is seen through this many points, for contexts of thousands. Everything is computed in float64.

    >>> process = GaussianProcess("rbf(1.0)", noise=0.1)
    >>> context = Context.of(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    >>> process.predict(context, torch.tensor([[[0.0], [5.0]]]), of="f").stddev.detach().flatten()
    tensor([0.0995, 1.0000])
    """

    y_loc: Tensor
    y_scale: Tensor

    def __init__(self, kernel: str = "rbf", x_dim: int = 1, y_dim: int = 1, length_scale: float = 0.2, period: float = 1.0,
                 noise: float = 0.05, inducing: int = 0):  # fmt: skip
        super().__init__()
        summands = parse_kernel(kernel, length_scale=length_scale, period=period)
        if min(x_dim, y_dim) < 1 or inducing < 0 or not noise >= 0 or (inducing and not noise):
            raise ConfigError(f"expected sizes of 1 or more, no or some inducing points, and noise 0 or more (more than 0 with inducing "
                              f"points), got x_dim={x_dim}, y_dim={y_dim}, inducing={inducing} and noise={noise}; correct them")  # fmt: skip
        self.x_dim, self.y_dim, self._noiseless = x_dim, y_dim, noise == 0
        self._names = tuple(tuple(own.name for own in summand.factors) for summand in summands)
        factors = [own for summand in summands for own in summand.factors]
        self.log_variance = _logs([summand.variance for summand in summands])
        self.log_length_scale = _logs([own.length_scale for own in factors])
        self.log_period = _logs([own.period for own in factors])
        self.log_noise = _logs([noise or 1.0])
        self.inducing = (
            nn.Parameter(torch.linspace(-1, 1, inducing, dtype=torch.float64)[:, None].repeat(1, x_dim))
            if inducing
            else None
        )
        self.y_loc, self.y_scale = (nn.Buffer(make(y_dim, dtype=torch.float64)) for make in (torch.zeros, torch.ones))

    @property
    def kernel(self) -> tuple[Summand, ...]:
        """The kernel with the scales as they are now; `kernel_text` writes it."""
        scales = iter(zip(self.log_length_scale.double().exp(), self.log_period.double().exp()))
        return tuple(Summand(variance, tuple(Factor(name, *next(scales)) for name in names))
                     for variance, names in zip(self.log_variance.double().exp(), self._names))  # fmt: skip

    @property
    def noise(self) -> Tensor:
        """The standard deviation of an observation, in units of the standardised y."""
        return torch.zeros_like(self.log_noise[0]) if self._noiseless else self.log_noise[0].exp()

    @property
    def objective(self) -> Objective:
        """What `fit` minimises over many functions: minus log p(y) a point."""
        return minus_log_likelihood

    def standardise(self, data: Any) -> None:
        """Take location and scale of y from the real points of `data` (a `FunctionSet`, a batch of one, or a `Context`)."""
        y = data.y[data.mask].double()
        deviation = y.std(0, correction=0)
        self.y_loc.copy_(y.mean(0))
        self.y_scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def predict(
        self, context: Context, x_target: Float[Tensor, "n targets x_dim"], *, of: Literal["y", "f"] = "y"
    ) -> JointNormal:
        """The joint posterior at `x_target`, of an observation y there or of the function f; an empty context gives the prior.

        Raises `ShapeError` for a context or targets that do not fit.
        """
        if of not in ("y", "f"):
            raise ConfigError(
                f"expected of='y' (observations, noise included) or of='f' (the function), got {of!r}; choose one"
            )
        known, x = self._known(context)
        if x_target.ndim != 3 or len(x_target) != len(x) or x_target.shape[-1] != self.x_dim:
            raise ShapeError(f"expected x_target of shape ({len(x)}, targets, {self.x_dim}), got {tuple(x_target.shape)}; "
                             "give each function of the context its targets")  # fmt: skip
        at, kernel = x_target.double(), self.kernel
        before = x if self.inducing is None else self.inducing.double().expand(len(x), -1, -1)
        mean, covariance = known.predict(covariance_of(kernel, before, at), covariance_of(kernel, at, at))
        if of == "y":
            covariance = covariance + self.noise**2 * torch.eye(at.shape[1]).to(covariance)
        mean = self.y_loc.double() + self.y_scale.double() * mean
        return JointNormal(mean.to(context.y), covariance, self.y_scale)

    def log_likelihood(self, context: Any) -> Float[Tensor, " n"]:
        """log p(y) of the points of each function, in the user's units; with inducing points a lower bound (`log_prob_kind`)."""
        known, _ = self._known(context)
        value = known.bound if isinstance(known, Sparse) else known.log_likelihood()
        points = _mask(context).sum(-1)
        return value - points * self.y_scale.double().log().sum()

    @property
    def log_prob_kind(self) -> str:
        """Whether `log_likelihood` is "exact" or a "lower_bound"."""
        return "exact" if self.inducing is None else "lower_bound"

    def _known(self, context: Any) -> tuple[Exact | Sparse, Tensor]:
        mask = _mask(context)
        x, y = context.x, context.y
        if mask.ndim != 2 or x.shape != (*mask.shape, self.x_dim) or y.shape != (*mask.shape, self.y_dim):
            raise ShapeError(f"expected a context of x (n, points, {self.x_dim}), y (n, points, {self.y_dim}) and mask "
                             f"(n, points), got {tuple(x.shape)}, {tuple(y.shape)} and {tuple(context.mask.shape)}; "
                             "one function is a batch of one")  # fmt: skip
        x = torch.where(mask[..., None], x.double(), 0.0)
        y = (torch.where(mask[..., None], y.double(), self.y_loc.double()) - self.y_loc) / self.y_scale
        kernel = self.kernel
        if self.inducing is None:
            return Exact.of(covariance_of(kernel, x, x), y, mask, self.noise), x
        z = self.inducing.double()
        cross = covariance_of(kernel, z.expand(len(x), -1, -1), x)
        return Sparse.of(covariance_of(kernel, z, z), cross, variances_of(kernel, x), y, mask, self.noise), x


def minus_log_likelihood(model: Any, batch: Any, generator: RowGenerator) -> Loss:
    """Minus log p(y) of whole functions, a point, averaged over the functions of the batch."""
    points = batch.mask.sum(1).clamp(min=1)
    value = (model.log_likelihood(batch) / points).mean()
    return Loss(-value, {"log_likelihood_per_point": value.detach()})


def oracle_for(data: str | FunctionSet) -> GaussianProcess | None:
    """The Gaussian process that a named set ("gp_rbf") or the functions of `gp_draws` come from; None where there is none.

    Nothing predicts such functions better: neural processes are compared with it.

    >>> oracle_for("gp_weakly_periodic").noise
    tensor(0.2236, dtype=torch.float64, grad_fn=<ExpBackward0>)
    """
    if isinstance(data, str):
        if data not in GP_SETS:
            raise ConfigError(
                f"expected one of {', '.join(GP_SETS)}, got {data!r}; other functions have no exact posterior"
            )
        data = gp_draws(n=1, **GP_SETS[data])
    if data.process is None:
        return None
    kernel, noise = data.process
    return GaussianProcess(kernel, data.x_dim, data.y_dim, noise=noise)


def _mask(context: Any) -> Tensor:
    # The numbers of y may be observed apart, as the channels of a series: a point is real where all of them are.
    return context.mask.all(-1) if context.mask.ndim == 3 else context.mask


def _logs(values: Sequence[float]) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64).log())
