"""Kernel, noise and inducing points of a Gaussian process by the likelihood of its data.

max over the logarithms of variances, scales and noise of log p(y) (Rasmussen and Williams, 2006, http://gaussianprocess.org/gpml, section
5.4.1), by L-BFGS-B (Byrd et al., 1995) from several starts, since the likelihood has several maxima.
"""

import math
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from pushforward.core.errors import ConfigError, ConvergenceError, DataError
from pushforward.core.process import Context
from pushforward.parts.data import FunctionSet, Series, Table
from pushforward.parts.data.covariances import parse_kernel

from .gaussian_process import GaussianProcess

FUNCTIONS = 64  # they say what kernel they share; a step of the search costs their number times points^3
RANGE = (math.log(1e-5), math.log(1e5))


def fit_marginal_likelihood(
    process: GaussianProcess,
    data: Any,
    *,
    restarts: int = 3,
    steps: int = 200,
    seed: int = 0,
    fixed: tuple[str, ...] = (),
) -> float:
    """Set the parameters of `process` to the best of `restarts` searches; return log p(y) of all functions, in nats.

    The first search begins at the parameters as they are, the others at random factors around them. `fixed` names parameters to leave
    alone: "log_variance", "log_length_scale", "log_period", "log_noise", "inducing". Raises `ConvergenceError` when no search finds a
    finite likelihood.

    >>> from pushforward.parts.data import gp_draws
    >>> process = GaussianProcess("rbf", length_scale=1.0)
    >>> value = fit_marginal_likelihood(process, gp_draws("rbf(0.5)", 8, points=20), restarts=1)
    >>> round(process.kernel[0].factors[0].length_scale.item(), 1)
    0.5
    """
    known = dict(process.named_parameters())
    if restarts < 1 or steps < 1 or (wrong := [name for name in fixed if name not in known]):
        wrong = [name for name in fixed if name not in known]
        raise ConfigError(f"expected restarts and steps from 1 and parameters among {', '.join(known)}, got {restarts}, {steps} and "
                          f"{', '.join(wrong) or 'those'}; correct them")  # fmt: skip
    data = data if isinstance(data, Context) else as_functions(data)
    parameters = {name: own for name, own in known.items() if name not in fixed and _used(process, name)}
    first = torch.cat([own.detach().double().flatten() for own in parameters.values()]).cpu().numpy()
    scales = np.concatenate([np.full(own.numel(), float(name != "inducing")) for name, own in parameters.items()])
    bounds = [RANGE if scale else (-math.inf, math.inf) for scale in scales]
    low, high = np.array(bounds).T
    random = np.random.default_rng(seed)
    best_value, best = math.inf, None
    for k in range(restarts):
        begin = first + (k > 0) * scales * random.normal(size=len(first))
        value, found = _search(process, parameters, data, np.clip(begin, low, high), bounds, steps)
        if value < best_value:
            best_value, best = value, found
    if best is None:
        raise ConvergenceError(
            "expected a finite likelihood from one of the starts, got none; start nearer, or standardise the data"
        )
    _put(parameters, best)
    return -best_value


def gaussian_process(data: FunctionSet | Series | Table | None = None, *, kernel: str = "rbf", x_dim: int = 1, y_dim: int = 1,
                     length_scale: float | None = None, period: float | None = None, noise: float = 0.3, inducing: int = 0,
                     restarts: int = 3, most_points: int = 2000, seed: int = 0) -> GaussianProcess:  # fmt: skip
    """Build a Gaussian process; with `data`, standardise it and fit kernel and noise by the marginal likelihood (0 `restarts`: do not fit).

    `data` may be a `FunctionSet`, a `Series` (x is time), or a `Table` whose given columns are x (`table.given("age")`) and whose others
    are y. The fit sees 64 functions at random of a larger set; `fit` goes on from there with all of them. Scales that are not given begin
    at a quarter of the spread of x, and the period at all of it. Beyond `most_points` a function needs `inducing` points, a few dozen for a
    curve; they begin at points of the data. Raises `DataError` for data that cannot be fitted.

    >>> import pushforward as pf
    >>> series = pf.data.Series.of([0.0, 1.0, 2.0, 3.0], [[0.0, 0.8, 0.9, 0.1]])
    >>> process = gaussian_process(series, restarts=1)
    >>> process.predict(as_functions(series).context(), torch.full((1, 1, 1), 1.5)).mean.shape
    torch.Size([1, 1, 1])
    """
    parse_kernel(kernel)  # a wrong name is told before anything is computed
    if data is None:
        return GaussianProcess(kernel, x_dim, y_dim, length_scale or 0.25, period or 1.0, noise, inducing)
    functions = as_functions(data)
    x = functions.x[functions.mask].double()
    spread = float((x.amax(0) - x.amin(0)).max()) or 1.0
    most = functions.x.shape[1]
    if most > most_points and not inducing:
        raise DataError(
            f"expected at most {most_points} points in a function, got {most}; set inducing=50, or raise most_points"
        )
    process = GaussianProcess(
        kernel, functions.x_dim, functions.y_dim, length_scale or 0.25 * spread, period or spread, noise, inducing
    )
    process.standardise(functions)
    if process.inducing is not None:
        with torch.no_grad():
            process.inducing.copy_(_spread_out(x, inducing))
    if restarts:
        share, some = FUNCTIONS / len(functions), functions
        if share < 1:
            some = functions.split((share, 1 - share), seed)[0]
        fit_marginal_likelihood(process, some, restarts=restarts, seed=seed)
    return process


def as_functions(data: FunctionSet | Series | Table) -> FunctionSet:
    """A `Series`, or a `Table` with given columns (the x of one function), as a `FunctionSet`; that itself as it is."""
    if isinstance(data, Series):
        return FunctionSet.from_series(data)
    if isinstance(data, Table):
        if data.condition is None:
            raise DataError(
                "expected a table with given columns, the x of the regression, got none; say which, as in table.given('age')"
            )
        return FunctionSet.of(data.condition[None], data.values[None])
    return data


def _search(process: GaussianProcess, parameters: dict[str, Any], data: Any, begin: np.ndarray, bounds: Any,
            steps: int) -> tuple[float, np.ndarray]:  # fmt: skip
    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        _put(parameters, values)
        try:
            total = -process.log_likelihood(data).sum()
        except DataError:  # a matrix without a factor: the search must turn back
            return 1e300, np.zeros_like(values)
        slopes = torch.autograd.grad(total, list(parameters.values()), materialize_grads=True)
        return float(total.detach()), torch.cat([own.double().flatten() for own in slopes]).cpu().numpy()

    found = minimize(
        loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps, "ftol": 1e-13, "gtol": 1e-8}
    )
    return (float(found.fun), found.x) if found.fun < 1e299 else (math.inf, begin)


def _put(parameters: dict[str, Any], values: np.ndarray) -> None:
    with torch.no_grad():
        for own, part in zip(
            parameters.values(), torch.from_numpy(values).split([p.numel() for p in parameters.values()])
        ):
            own.copy_(part.view(own.shape))


def _used(process: GaussianProcess, name: str) -> bool:
    """Periods of kernels without one, and the noise of a noiseless process, have no influence."""
    if name == "log_period":
        return any(own.name == "periodic" for summand in process.kernel for own in summand.factors)
    return name != "log_noise" or bool(process.noise > 0)


def _spread_out(x: Tensor, count: int) -> Tensor:
    """Points of the data far from one another: each the farthest from those before it."""
    chosen = [int((x - x.mean(0)).norm(dim=1).argmin())]
    distance = (x - x[chosen[0]]).norm(dim=1)
    for _ in range(count - 1):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (x - x[chosen[-1]]).norm(dim=1))
    return x[chosen]
