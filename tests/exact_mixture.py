"""A Gaussian mixture that is known in closed form at every time of every Gaussian path: the oracle of the diffusion
laws.

If data ~ sum_k w_k N(m_k, diag s_k^2) then x_t = alpha data + sigma noise ~ sum_k w_k N(alpha m_k, diag alpha^2 s_k^2
+ sigma^2), and (data, noise, x_t) are jointly Gaussian given k, so every posterior mean is a sum of regressions.
Nothing here uses `Path`, apart from alpha and sigma themselves, which `test_paths.py` compares with the textbook.
"""

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor, nn

from pushforward.core.path import Path
from pushforward.core.registry import register
from pushforward.models.diffusion import Diffusion


@dataclass(frozen=True)
class ExactMixture:
    """Weights `(k,)`, means `(k, d)` and standard deviations `(k, d)` of the data, in float64."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    def sample(self, n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator, dtype=torch.float64)
        return self.means[k] + self.stds[k] * noise

    def log_prob(self, x: Tensor, alpha: Tensor | float = 1.0, sigma: Tensor | float = 0.0) -> Tensor:
        """log p_t(x), `(n,)`."""
        return self._components(x, alpha, sigma)[0].logsumexp(1)

    def posterior(self, x: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
        """E[data | x_t] and E[noise | x_t], each `(n, d)`."""
        log_joint, gap, variance = self._components(x, alpha, sigma)
        share = log_joint.softmax(1)[:, :, None]
        alpha, sigma = _column(alpha)[..., None], _column(sigma)[..., None]
        data = self.means + alpha * self.stds.square() / variance * gap
        return (share * data).sum(1), (share * sigma / variance * gap).sum(1)

    def score(self, x: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """grad log p_t(x), `(n, d)`."""
        log_joint, gap, variance = self._components(x, alpha, sigma)
        return -(log_joint.softmax(1)[:, :, None] * gap / variance).sum(1)

    def cdf(self, column: int, x):
        """Distribution function of one coordinate of the data, for scipy."""
        parts = zip(self.weights.tolist(), self.means[:, column].tolist(), self.stds[:, column].tolist())
        return sum(w * stats.norm(m, s).cdf(x) for w, m, s in parts)

    def _components(self, x: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """log(w_k p_k) `(n, k)`, x - alpha m_k and the variances, `(n, k, d)`."""
        alpha, sigma = _column(alpha)[..., None], _column(sigma)[..., None]
        gap = x[:, None] - alpha * self.means
        variance = alpha**2 * self.stds.square() + sigma**2
        log_density = -0.5 * (gap.square() / variance + (2 * torch.pi * variance).log()).sum(2)
        return self.weights.log() + log_density, gap, variance


def _column(value: Tensor | float) -> Tensor:
    value = torch.as_tensor(value, dtype=torch.float64)
    return value[:, None] if value.ndim else value


# Three separate bumps of unequal weight, width and shape, moved and scaled to mean 0 and variance 1 in each coordinate.
def standard_mixture() -> ExactMixture:
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    means = torch.tensor([[-2.0, 1.0], [0.5, -1.0], [1.5, 2.0]], dtype=torch.float64)
    stds = torch.tensor([[0.4, 0.7], [0.6, 0.3], [0.3, 0.5]], dtype=torch.float64)
    mean = weights @ means
    spread = (weights @ (means.square() + stds.square()) - mean.square()).sqrt()
    return ExactMixture(weights, (means - mean) / spread, stds / spread)


@register
class ExactNetwork(nn.Module):
    """The exact prediction for `standard_mixture()`, in the place of a trained network."""

    def __init__(self, path: Path, predict: str):
        super().__init__()
        self.path, self.predict, self.calls = path, predict, 0
        self.dtype_marker = nn.Buffer(torch.zeros(()))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        self.calls += 1
        mixture, t = standard_mixture(), t.double()
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        x = y.double() * torch.hypot(alpha, sigma)[:, None]
        if self.predict == "score":
            return mixture.score(x, alpha, sigma).to(y.dtype)
        data, noise = mixture.posterior(x, alpha, sigma)
        if self.predict == "velocity":
            # Central differences: the derivatives of the path are not taken from its own autodiff.
            h = 1e-6 * (1 + t)
            d_alpha, d_sigma = ((f(t + h) - f(t - h)) / (2 * h) for f in (self.path.alpha, self.path.sigma))
            value = d_alpha[:, None] * data + d_sigma[:, None] * noise
        else:
            value = {"data": data, "noise": noise, "v": alpha[:, None] * noise - sigma[:, None] * data}[self.predict]
        return value.to(y.dtype)


def exact_model(path: Path, predict: str = "noise", dtype: torch.dtype = torch.float64, **arguments) -> Diffusion:
    """A `Diffusion` that is right: its data are `standard_mixture()` in model units."""
    return Diffusion(ExactNetwork(path, predict), path, 2, predict, **arguments).to(dtype)
