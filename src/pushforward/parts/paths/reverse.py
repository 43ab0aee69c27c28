"""From noise back to data: the equations whose marginals are those of a path, run from t_max down to t_min.

kind "ode":  dx = [f x - 1/2 g^2 score] dt           the probability flow, deterministic
kind "sde":  dx = [f x - g^2 score] dt + g dw        the reverse process: dt < 0, w a Brownian motion backwards in time

f and g^2 are those of `Path.drift_and_diffusion`. Anderson 1982, https://doi.org/10.1016/0304-4149(82)90051-5;
Song et al. 2021, https://arxiv.org/abs/2011.13456, eq. 6 and 13.
"""

from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.core.shapes import expand_right
from pushforward.core.term import Term
from pushforward.parts.diffeq import ODETerm

Kind = Literal["ode", "sde"]
_SHARE = {"ode": 0.5, "sde": 1.0}


def reverse_terms(path: Path, score: Callable[[Tensor, Tensor], Tensor], kind: Kind) -> list[Term]:
    """The terms in dt for `pf.diffeq.solve`, given `score(x, t)` of p_t: x `(n, *event)`, t `(n,)`.

    For "sde" this is the drift; the noise of the equation is g dw, with g^2 = `path.drift_and_diffusion(t)[1]`.
    Raises `ConfigError` for another kind.

    >>> import torch
    >>> import pushforward as pf
    >>> path = pf.paths.VP()
    >>> (term,) = reverse_terms(path, lambda x, t: -x, "ode")  # standard normal data stay standard normal: no flow
    >>> term.vector_field(torch.tensor([0.5]), torch.tensor([[2.0]])).abs() < 1e-5
    tensor([[True]])
    """
    if kind not in _SHARE:
        raise ConfigError(f"expected kind among {', '.join(get_args(Kind))}, got {kind!r}")

    def drift(t: Tensor, x: Tensor) -> Tensor:
        t = t.contiguous()  # forward-mode derivatives want memory of their own, not an expanded number
        f, g_squared = (expand_right(c, x) for c in path.drift_and_diffusion(t))
        return f * x - _SHARE[kind] * g_squared * score(x, t)

    return [ODETerm(drift)]
