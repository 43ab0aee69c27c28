"""A Gaussian mixture that is known at every time of every path: a test bench on which nothing has to be learned.

If data ~ sum_k w_k N(m_k, C_k), then x_t = alpha data + sigma noise ~ sum_k w_k N(alpha m_k, alpha^2 C_k + sigma^2 I), and
(data, noise, x_t) are jointly Gaussian given k. So E[data | x_t] is a sum of regressions weighted by p(k | x_t),

    E[data | x_t, k] = m_k + alpha C_k S_k^-1 (x_t - alpha m_k),    S_k = alpha^2 C_k + sigma^2 I,

and E[noise | x_t, k] = sigma S_k^-1 (x_t - alpha m_k). Score, velocity and v are linear in the two.
Bishop 2006, Pattern Recognition and Machine Learning, section 2.3.3.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.path import Path, Prediction
from pushforward.core.path import combination as bridge
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import as_size


@register
class GaussianMixture(Distribution):
    """sum_k w_k N(m_k, C_k) in any dimension, with its noised densities and every prediction in closed form.

    Computed in double precision whatever the dtype of the mixture; answers have the dtype of the question.

    Args:
        weights: `(k,)`, positive; they are divided by their sum.
        means: `(k, d)`.
        covariances: variances `(k, d)`, or full matrices `(k, d, d)`.
        labels: the class of every component, `(k,)` whole numbers from 0; the condition is then optional, and
            the label that is one past the last stands for none.

    Raises `ConfigError` for shapes that disagree and for a covariance that is not positive definite.

    >>> mixture = GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [[0.04], [0.04]])
    >>> mixture.mean()
    tensor([0.4000])
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    labels: Tensor
    spectrum: Tensor
    axes: Tensor

    def __init__(self, weights: Tensor | Sequence[float], means: Tensor | Sequence[Sequence[float]],
                 covariances: Tensor | Sequence, labels: Tensor | Sequence[int] | None = None):  # fmt: skip
        super().__init__()
        weights, means, covariances = (torch.as_tensor(v).detach() for v in (weights, means, covariances))
        k, d = means.shape if means.ndim == 2 else (0, 0)
        full = covariances.shape == (k, d, d)
        if not k * d or weights.shape != (k,) or not (full or covariances.shape == (k, d)):
            raise ConfigError("expected weights (k,), means (k, d) and covariances (k, d) or (k, d, d), got "
                              f"{tuple(weights.shape)}, {tuple(means.shape)} and {tuple(covariances.shape)}")  # fmt: skip
        spectrum, axes = _axes(covariances, full)
        numbers = (weights, means, spectrum)
        if not all(torch.isfinite(v).all() for v in numbers) or not (weights > 0).all() or not (spectrum > 0).all():
            raise ConfigError("expected finite numbers, positive weights and positive definite symmetric covariances, got "
                              f"weights from {weights.min():g} and variances from {spectrum.min():g}")  # fmt: skip
        dtype = means.dtype if means.is_floating_point() else torch.get_default_dtype()
        self.weights = nn.Buffer((weights.double() / weights.double().sum()).to(dtype))
        self.means, self.covariances = nn.Buffer(means.to(dtype).clone()), nn.Buffer(covariances.to(dtype).clone())
        self.spectrum, self.axes = nn.Buffer(spectrum.to(dtype)), nn.Buffer(axes.to(dtype))
        self.labels = nn.Buffer(_labels(labels, k))
        self.full, self.event_shape, self.reparameterised = full, as_size(d), False
        self.classes = None if labels is None else int(self.labels.max()) + 1
        if self.classes is not None:
            self.condition_shape, self.condition_optional = as_size(()), True

    def mean(self) -> Tensor:
        """E[x], `(d,)`."""
        return (self.weights.double() @ self.means.double()).to(self.means.dtype)

    def variance(self) -> Tensor:
        """Variance of every coordinate, `(d,)`."""
        within = self.covariances.diagonal(dim1=1, dim2=2) if self.full else self.covariances
        gap = self.means.double() - self.mean().double()
        return (self.weights.double() @ (within.double() + gap.square())).to(self.means.dtype)

    def standardised(self) -> "GaussianMixture":
        """The mixture of (x - mean) / standard deviation, coordinate by coordinate."""
        scale = self.variance().double().sqrt()
        means = (self.means.double() - self.mean().double()) / scale
        by = scale[:, None] * scale if self.full else scale.square()
        labels = None if self.classes is None else self.labels
        dtype = self.means.dtype
        return GaussianMixture(self.weights, means.to(dtype), (self.covariances.double() / by).to(dtype), labels)

    def log_prob_at(self, x_t: Tensor, t: Tensor, path: Path, condition: Tensor | None = None) -> Tensor:
        """log p_t(x_t) `(n,)` of the noised density, for x_t `(n, d)`, t `(n,)` or scalar, and labels `(n,)`.

        >>> import pushforward as pf
        >>> from pushforward.models.diffusion.exact import two_gaussians
        >>> x = torch.zeros(1, 2, dtype=torch.float64)
        >>> round(two_gaussians().log_prob_at(x, torch.tensor([1.0]), pf.paths.Linear()).item(), 4)  # all noise
        -1.8379
        """
        alpha, sigma = _scales(path, t, x_t)
        return self._joint(x_t, alpha, sigma, condition)[0].logsumexp(1).to(x_t.dtype)

    def predicted(self, x_t: Tensor, t: Tensor, path: Path, target: Prediction = "score",
                  condition: Tensor | None = None) -> Tensor:  # fmt: skip
        """E[target | x_t] `(n, d)`: score, noise, data, velocity or v, for x_t `(n, d)`, t `(n,)` or scalar."""
        alpha, sigma = _scales(path, t, x_t)
        log_joint, gap, variance = self._joint(x_t, alpha, sigma, condition)
        share = log_joint.softmax(1)[:, :, None]
        whitened = gap / variance
        noise = (share * self._back(whitened)).sum(1)  # S^-1 (x - alpha m): the score, but for its sign
        if target == "score":
            return (-noise).to(x_t.dtype)
        data = (share * (self.means.double() + self._back(alpha[..., None] * self.spectrum.double() * whitened))).sum(1)
        slopes = (c[:, None] for c in path.derivatives(_times(t, x_t))[2:]) if target == "velocity" else (alpha, sigma)
        a, b = bridge(target, alpha, sigma, *slopes)
        return (a * data + b * sigma * noise).to(x_t.dtype)

    def class_log_prob_at(self, x_t: Tensor, t: Tensor, path: Path, label: Tensor) -> Tensor:
        """log p_t(label | x_t) `(n,)`: what a perfect classifier of noised points says."""
        if self.classes is None:
            raise ConfigError("expected a mixture with labels, got one without; give the class of every component")
        alpha, sigma = _scales(path, t, x_t)
        joint = self._joint(x_t, alpha, sigma, None)[0]
        inside = label.reshape(-1, 1) == self.labels
        return (joint.masked_fill(~inside, -math.inf).logsumexp(1) - joint.logsumexp(1)).to(x_t.dtype)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        one, zero = (torch.full((len(x), 1), v, dtype=torch.float64, device=x.device) for v in (1.0, 0.0))
        return self._joint(x, one, zero, condition)[0].logsumexp(1).to(x.dtype)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        u, noise = generator.uniform(dtype=torch.float64), generator.normal(*self.event_shape, dtype=torch.float64)
        edges = self._log_weights(len(u), condition).exp().cumsum(1)
        k = (u[:, None] * edges[:, -1:] >= edges).sum(1).clamp(max=len(self.weights) - 1)
        along = self.spectrum.double()[k].sqrt() * noise
        if self.full:
            along = (self.axes.double()[k] @ along[:, :, None])[:, :, 0]
        return (self.means.double()[k] + along).to(dtype_of(self))

    def _joint(self, x: Tensor, alpha: Tensor, sigma: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """log(w_k p_k(x)) `(n, k)`, then x - alpha m_k and its variances along the axes of C_k, `(n, k, d)`."""
        if x.ndim != 2 or x.shape[1:] != self.event_shape:
            raise ShapeError(f"expected points (n, {self.event_shape[0]}), got {tuple(x.shape)}; give one point a row")
        gap = x.double()[:, None] - alpha[..., None] * self.means.double()
        if self.full:
            gap = torch.einsum("kij,nki->nkj", self.axes.double(), gap)
        variance = alpha[..., None].square() * self.spectrum.double() + sigma[..., None].square()
        log_density = -0.5 * (gap.square() / variance + (2 * math.pi * variance).log()).sum(2)
        return self._log_weights(len(x), condition) + log_density, gap, variance

    def _back(self, along: Tensor) -> Tensor:
        """From coordinates along the axes of every component to those of x."""
        return torch.einsum("kij,nkj->nki", self.axes.double(), along) if self.full else along

    def _log_weights(self, n: int, condition: Tensor | None) -> Tensor:
        log_weights = self.weights.double().log().expand(n, -1)
        if condition is None or self.classes is None:
            return log_weights
        label = condition.reshape(-1, 1).expand(n, 1)
        if bool(((label < 0) | (label > self.classes)).any()):
            raise ShapeError(f"expected labels from 0 to {self.classes - 1}, or {self.classes} for none, got {label.min()} to {label.max()}")  # fmt: skip
        inside = (label == self.labels) | (label == self.classes)
        return log_weights.masked_fill(~inside, -math.inf).log_softmax(1)


def _axes(covariances: Tensor, full: bool) -> tuple[Tensor, Tensor]:
    """Variances along the principal axes `(k, d)` and the axes `(k, d, d)`, columns; no axes for diagonal ones."""
    covariances = covariances.double()
    if not full:
        return covariances.clone(), covariances.new_zeros(0)
    if not torch.isfinite(covariances).all() or not torch.allclose(covariances, covariances.mT, atol=1e-6 * covariances.abs().max().item()):  # fmt: skip
        raise ConfigError("expected finite symmetric covariances, got matrices that are not; give C and its transpose alike")  # fmt: skip
    spectrum, axes = torch.linalg.eigh(covariances)
    return spectrum, axes


def _labels(labels: Tensor | Sequence[int] | None, k: int) -> Tensor:
    if labels is None:
        return torch.zeros(k, dtype=torch.long)
    found = torch.as_tensor(labels)
    if found.shape != (k,) or found.is_floating_point() or sorted(set(found.tolist())) != list(range(int(found.max()) + 1)):  # fmt: skip
        raise ConfigError(f"expected {k} labels, whole numbers 0, 1, ... with none left out, got {found.tolist()}")
    return found.long().clone()


def _times(t: Tensor, x: Tensor) -> Tensor:
    return torch.as_tensor(t, device=x.device).double().expand(len(x))


def _scales(path: Path, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma, `(n, 1)` in double precision."""
    t = _times(t, x)
    return path.alpha(t)[:, None], path.sigma(t)[:, None]
