"""A5: the posterior of eight schools, fitted by a flow, beside exact draws."""

import torch
from _schools import exact, target
from matplotlib.figure import Figure

import pushforward as pf


def draw() -> Figure:
    """Three of ten numbers: below the diagonal the fitted flow, above it independent exact draws from a grid."""
    posterior = target()
    flow = pf.flows.iaf(features=posterior.features, layers=2, hidden=[32])
    pf.inference.fit_posterior(flow, posterior, steps=1000, draws=64, learning_rate=0.02)
    p = posterior.constrain(flow.sample(3000, generator=torch.Generator().manual_seed(0)))
    shown = {"μ": p["mu"], "log τ": p["tau"].log(), "θ₁": p["mu"] + p["tau"] * p["eta"][:, 0]}
    q = exact(3000)
    known = {"μ": q["mu"], "log τ": q["tau"].log(), "θ₁": q["theta"][:, 0]}
    return pf.plots.pairs(shown, reference=known, labels=("fitted flow", "exact"))
