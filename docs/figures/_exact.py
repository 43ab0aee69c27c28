"""A Gaussian mixture that needs no training: its density and noise prediction are known at every time of every path."""

import torch
from torch import Tensor, nn

import pushforward as pf


class Exact(nn.Module):
    """E[noise | x_t] for data sum_k w_k N(m_k, s_k^2 I), in the place of a network; means are `(k, d)`."""

    def __init__(self, path: pf.Path, means: list[list[float]], stds: list[float], weights: list[float]):
        super().__init__()
        self.path = path
        self.means, self.stds, self.weights = (nn.Buffer(torch.tensor(v)) for v in (means, stds, weights))

    def log_prob(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """log p_t(x), `(n,)`; of the data when no time `(n,)` is given."""
        return self._joint(x, *self._scales(x, t))[0].logsumexp(1)

    def score(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """grad log p_t(x), `(n, d)`."""
        joint, gap, variance = self._joint(x, *self._scales(x, t))
        return -(joint.softmax(1)[..., None] * gap / variance[..., None]).sum(1)

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The noise prediction, -sigma score, from y = x_t / sqrt(alpha^2 + sigma^2)."""
        alpha, sigma = self._scales(y, t)
        return -sigma * self.score(y * torch.hypot(alpha, sigma), t)

    def model(self) -> pf.diffusion.Diffusion:
        """The exact model: `Diffusion` with this in the place of a network."""
        return pf.diffusion.Diffusion(self, self.path, self.means.shape[1], "noise")

    def _scales(self, x: Tensor, t: Tensor | None) -> tuple[Tensor, Tensor]:
        if t is None:
            return torch.ones(1, 1), torch.zeros(1, 1)
        return self.path.alpha(t)[:, None], self.path.sigma(t)[:, None]

    def _joint(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gap = x[:, None] - alpha[..., None] * self.means
        variance = (alpha * self.stds) ** 2 + sigma**2
        log_density = -0.5 * (gap.square().sum(2) / variance + x.shape[1] * (2 * torch.pi * variance).log())
        return self.weights.log() + log_density, gap, variance


def two_bumps(path: pf.Path) -> Exact:
    """Two bumps on a line, of unequal weight and width, with mean 0 and variance 1."""
    return Exact(path, [[-1.19], [0.76]], [0.25, 0.3], [0.39, 0.61])


def five_bumps(path: pf.Path) -> Exact:
    """Five bumps on a circle in the plane."""
    angles = torch.arange(5) * (2 * torch.pi / 5)
    means = (1.3 * torch.stack([angles.cos(), angles.sin()], 1)).tolist()
    return Exact(path, means, [0.25, 0.15, 0.25, 0.15, 0.25], [0.3, 0.1, 0.2, 0.15, 0.25])
