"""A4: the mode of a rate depends on its units, and so does how good a Gaussian is."""

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats
from torch import distributions as td

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import INK, MODEL, REAL

COUNTS = torch.tensor([2.0, 0.0, 1.0])


def draw() -> Figure:
    """A rate of three counts under an exponential prior: the exact posterior, Laplace's Gaussian over its logarithm, two modes."""

    def log_joint(p: dict[str, torch.Tensor]) -> torch.Tensor:
        return td.Exponential(1.0).log_prob(p["rate"]) + td.Poisson(p["rate"][:, None]).log_prob(COUNTS).sum(1)

    target = pf.inference.Target(log_joint, {"rate": "positive"})
    free, user = pf.inference.map_estimate(target), pf.inference.map_estimate(target, jacobian=False)
    known = stats.gamma(1 + float(COUNTS.sum()), scale=1 / (1 + len(COUNTS)))
    mean, scale = float(free.z), float(free.covariance) ** 0.5
    figure = canvas(height=3.0)
    left, right = figure.subplots(1, 2)
    z, rate = np.linspace(-2.5, 1.8, 400), np.linspace(0.005, 3.5, 400)
    dress(left, title="over z = log rate", x="z", y="density")
    left.fill_between(z, known.pdf(np.exp(z)) * np.exp(z), color=REAL, alpha=0.25, linewidth=0, label="exact")
    left.plot(z, stats.norm(mean, scale).pdf(z), color=MODEL, label="Laplace")
    left.axvline(mean, color=MODEL, linewidth=1, linestyle=":")
    legend(left, "upper left")
    dress(right, title="over the rate", x="rate", y="density")
    right.fill_between(rate, known.pdf(rate), color=REAL, alpha=0.25, linewidth=0, label="exact")
    right.plot(rate, stats.lognorm(scale, scale=np.exp(mean)).pdf(rate), color=MODEL, label="Laplace, mapped")
    right.axvline(float(free.values["rate"]), color=MODEL, linewidth=1, linestyle=":", label="mode over z")
    right.axvline(float(user.values["rate"]), color=INK, linewidth=1, linestyle="--", label="mode over the rate")
    legend(right, "upper right")
    return figure
