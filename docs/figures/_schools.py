"""Eight schools (Rubin 1981): the model, and exact draws of its posterior from a grid."""

import torch
from torch import Tensor
from torch import distributions as td

import pushforward as pf

Y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def log_joint(p: dict[str, Tensor]) -> Tensor:
    """mu ~ N(0, 5), tau ~ half-Cauchy(5), eta ~ N(0, 1), y ~ N(mu + tau eta, sigma)."""
    theta = p["mu"][:, None] + p["tau"][:, None] * p["eta"]
    prior = td.Normal(0.0, 5.0).log_prob(p["mu"]) + td.HalfCauchy(5.0).log_prob(p["tau"])
    return prior + td.Normal(0.0, 1.0).log_prob(p["eta"]).sum(1) + td.Normal(theta, SIGMA).log_prob(Y).sum(1)


def target() -> pf.inference.Target:
    """The posterior over free numbers."""
    return pf.inference.Target(log_joint, {"mu": "real", "tau": "positive", "eta": ("real", 8)})


def exact(rows: int, seed: int = 0) -> dict[str, Tensor]:
    """Independent draws: (mu, log tau) from a fine grid of its marginal, which is a closed form; then every theta is normal."""
    mu, log_tau = torch.linspace(-16, 24, 401), torch.linspace(-9, 5, 701)
    m, t = (g.flatten() for g in torch.meshgrid(mu, log_tau, indexing="ij"))
    tau = t.exp()
    log_p = td.Normal(0.0, 5.0).log_prob(m) + td.HalfCauchy(5.0).log_prob(tau) + t
    log_p = log_p + td.Normal(m[:, None], (SIGMA**2 + tau[:, None] ** 2).sqrt()).log_prob(Y).sum(1)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(log_p.softmax(0), rows, replacement=True, generator=generator)
    m = m[chosen] + (torch.rand(rows, generator=generator) - 0.5) * 0.1
    tau = (t[chosen] + (torch.rand(rows, generator=generator) - 0.5) * 0.02).exp()
    precision = 1 / SIGMA**2 + 1 / tau[:, None] ** 2
    mean = (Y / SIGMA**2 + (m / tau**2)[:, None]) / precision
    theta = mean + torch.randn(rows, 8, generator=generator) / precision.sqrt()
    return {"mu": m, "tau": tau, "theta": theta}
