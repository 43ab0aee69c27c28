"""Contractive residual map: x = z + g(z) with |g(z) - g(y)| <= L |z - y|, L < 1.

Nothing about g but its Lipschitz constant makes the map invertible: z = x - g(z) is a contraction, whose fixed point
(Banach) is reached at rate L. The Jacobian is full, with log det(I + dg/dz) from the matrix, or a power series. Behrmann et al. 2019,
Invertible residual networks, https://arxiv.org/abs/1811.00995; Chen et al. 2019, Residual flows, https://arxiv.org/abs/1906.02735.
"""

from typing import Literal, get_args

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.solved import Solved
from pushforward.parts.nn.contractive import Contraction, Prepared
from pushforward.parts.numerics.contraction import invert_contraction
from pushforward.parts.numerics.fixed_point import fixed_point
from pushforward.parts.numerics.log_det_series import (
    log_det_converged,
    log_det_exact,
    log_det_series,
    log_det_unbiased,
    probes_of_rows,
)

LogDet = Literal["exact", "auto", "unbiased", "series"]


@register
class Residual(Bijection):
    """x = z + network(z, condition) for a network with a Lipschitz constant below 1, such as `ContractiveMLP`.

    `log_det` says how log det(I + J) is found. "exact": from the Jacobian, for events of few numbers. "unbiased": in training mode a
    power series with `probes` random vectors, cut at random (`terms` terms are always there), in evaluation mode summed until
    1e-5 nats are missing. "auto": unbiased in training mode, exact in evaluation mode. "series": the first `terms` terms; biased.
    In training mode probes are fresh ones from PyTorch's global generator, which also draws one number of terms for all rows; in
    evaluation mode they are a function of the row. Where an evaluation is estimated, `log_det_kind` is "estimate".

    The inverse is a fixed point with implicit gradients; where the Jacobian is computed in any case ("exact", and "auto" in
    evaluation mode) Newton's method finds it, no slower than the contraction. `solved` holds, of the last one, the iterations k, the
    residual |z + g(z) - x|, and a bound on the Euclidean |z - z*|: the lesser of L^k / (1 - L) |g(x)| and |z + g(z) - x| / (1 - L),
    largest over the rows, and what rounding adds.

    Raises `ConfigError` for a Lipschitz bound of 1 or more, an unknown `log_det`, or no terms or probes, and in the
    inverse `ConvergenceError` for an iteration that does not come to rest.

    >>> from pushforward.parts.nn import ContractiveMLP
    >>> part = Residual(ContractiveMLP(2, hidden=(16,), coefficient=0.7))
    >>> x, log_det = part(torch.randn(5, 2))
    >>> part.inverse(x)[0].shape, part.solved.bound < 1e-4
    (torch.Size([5, 2]), True)
    """

    def __init__(self, network: nn.Module, log_det: str = "exact", terms: int = 4, probes: int = 1):
        super().__init__()
        if log_det not in get_args(LogDet):
            raise ConfigError(f"expected log_det among {', '.join(get_args(LogDet))}, got {log_det!r}; choose one")
        if min(terms, probes) < 1:
            raise ConfigError(f"expected at least 1 term and 1 probe, got {terms} and {probes}; 4 and 1 are usual")
        contraction: Contraction = network  # type: ignore[assignment]
        if not (bound := contraction.lipschitz_bound()) < 1:
            raise ConfigError(f"expected a network with a Lipschitz constant below 1, got a bound of {bound:g}; "
                              "lower its coefficient below 1, 0.97 say")  # fmt: skip
        self.event_shape = self.output_shape = contraction.event_shape
        self.condition_shape = Size((contraction.condition,)) if contraction.condition else None
        self.inverse_kind, self.log_det_kind = "iterative", "exact" if log_det in ("exact", "auto") else "estimate"
        self.network, self.log_det, self.terms, self.probes = network, log_det, terms, probes
        self.solved: Solved | None = None

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        g, log_det = self._with_log_det(self._prepared(condition), z)
        return z + g, log_det

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        g = self._prepared(condition)
        if self._exactly():
            z, solved, (value, slopes) = invert_contraction(g, g.jacobian, x, self._lipschitz())
            log_det = log_det_exact(slopes)
        else:
            z, solved = fixed_point(lambda z: x - g(z), x)
            value, log_det = self._with_log_det(g, z)
        bound = self._error_bound(g, x, z.detach(), value.detach(), solved.iterations)
        self.solved = Solved(solved.iterations, solved.residual, bound)
        return z, -log_det

    def _prepared(self, condition: Tensor | None) -> Prepared:
        network: Contraction = self.network  # type: ignore[assignment]
        if not torch.is_inference_mode_enabled():
            return network.prepare(condition)
        with (
            torch.inference_mode(False),
            torch.no_grad(),
        ):  # a series has graphs of its own, which take no inference tensors
            return network.prepare(condition)

    def _with_log_det(self, g: Prepared, z: Tensor) -> tuple[Tensor, Tensor]:
        """g(z) and log det(I + dg/dz)."""
        if self._exactly():
            value, jacobian = g.jacobian(z)
            return value, log_det_exact(jacobian)
        if not self.training:
            probes = probes_of_rows(z, self.probes)
            if self.log_det == "series":
                return log_det_series(g, z, probes, self.terms)[:2]
            return log_det_converged(g, z, probes, self._lipschitz())[:2]
        probes = 2.0 * torch.randint(2, (self.probes, *z.shape), dtype=z.dtype, device=z.device) - 1
        if self.log_det == "series":
            return log_det_series(g, z, probes, self.terms)[:2]
        # One number of terms for all: as many as the longest of many would cost more than it steadies.
        uniform = torch.rand(self.probes, 1, dtype=z.dtype, device=z.device).expand(self.probes, len(z))
        return log_det_unbiased(g, z, probes, uniform, self.terms)[:2]

    def _exactly(self) -> bool:
        return self.log_det == "exact" or (self.log_det == "auto" and not self.training)

    def _lipschitz(self) -> float:
        network: Contraction = self.network  # type: ignore[assignment]
        return network.lipschitz_bound()

    @torch.no_grad()
    def _error_bound(self, g: Prepared, x: Tensor, z: Tensor, value: Tensor, iterations: int) -> float:
        if not x.numel():
            return 0.0
        rate = self._lipschitz()
        first = rate**iterations * g(x).flatten(1).norm(dim=1)
        left = (z + value - x).flatten(1).norm(dim=1)
        rounding = 8 * torch.finfo(x.dtype).eps * (x.flatten(1).norm(dim=1) + z.flatten(1).norm(dim=1))
        return float(((torch.minimum(first, left) + rounding) / (1 - rate)).max())
