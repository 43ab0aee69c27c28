"""G3: all samplers on one exact model, error against network evaluations."""

import math
from dataclasses import replace
from typing import Any

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, MUTED

samplers = pf.diffusion.samplers
MEAN, STD = 0.5, 0.6

DETERMINISTIC = {
    "DDIM": (samplers.DDIM, 1),
    "DPM-Solver++ 2M": (samplers.DPMSolver, 1),
    "DPM-Solver++ 3M": (lambda k: samplers.DPMSolver(k, order=3), 1),
    "UniPC": (samplers.UniPC, 1),
    "EDM's Heun": (samplers.ChurnedHeun, 2),
    "probability flow, Heun": (samplers.ProbabilityFlow, 2),
    "probability flow, RK4": (lambda k: samplers.ProbabilityFlow(k, solver=pf.diffeq.RK4()), 4),
}
NOISY = {
    "ancestral": (samplers.Ancestral, 1),
    "DDIM, half the noise": (lambda k: samplers.DDIM(k, eta=0.5), 1),
    "reverse diffusion": (samplers.ReverseDiffusion, 1),
    "Euler-Maruyama": (samplers.ReverseEulerMaruyama, 1),
    "predictor-corrector": (lambda k: samplers.PredictorCorrector(samplers.Ancestral(k)), 2),
    "Runge-Kutta": (samplers.ReverseRungeKutta, 2),
}


def draw() -> Figure:
    """Left: distance from the exact flow of a mixture. Right: error of the variance of Gaussian data, without Monte Carlo."""
    figure = canvas(height=3.9)
    left, right = figure.subplots(1, 2)
    work = [8, 16, 32, 64, 128, 256]
    exact = pf.diffusion.exact
    model = exact.exact_model(exact.ring(), pf.paths.Cosine())
    noise = torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth = model.to_model_units(model.decode(noise, tolerance=1e-9), None)
    dress(left, title="without noise", x="network evaluations", y="distance from the exact flow")
    for (name, (build, calls)), colour in zip(DETERMINISTIC.items(), [*COLOURS, MUTED, "black"]):
        steps = [max(2, k // calls) for k in work]
        errors = [float((_run(build(k), model, noise) - truth).norm(dim=1).median()) for k in steps]
        left.loglog(work, errors, "o-", color=colour, markersize=3, linewidth=1.3, label=name)
    left.set_ylim(1e-6, 10)
    dress(right, title="with noise", x="network evaluations", y="relative error of the variance")
    flat = exact.GaussianMixture([1.0], torch.tensor([[MEAN]]).double(), torch.tensor([[STD**2]]).double())
    model = exact.exact_model(flat, pf.paths.Cosine(), standardise=False)
    for (name, (build, calls)), colour in zip(NOISY.items(), [*COLOURS, MUTED, "black"]):
        used = [k for k in work if k >= 16]
        errors = [abs(_variance(build(k // calls), model) / STD**2 - 1) for k in used]
        right.loglog(used, errors, "o-", color=colour, markersize=3, linewidth=1.3, label=name)
    for axes in (left, right):
        shown = work if axes is left else work[1:]
        axes.set_xticks(shown, labels=[str(k) for k in shown])
        axes.minorticks_off()
        legend(axes, "best")
    return figure


def _run(sampler: Any, model: Any, noise: torch.Tensor) -> torch.Tensor:
    attached = sampler.on(model)
    with torch.inference_mode():
        return attached.run(noise, attached.steps, pf.RowGenerator(0, len(noise))).x


def _variance(sampler: Any, model: Any) -> float:
    """Every step is affine for Gaussian data: rows of y = 0, y = 1 and of noise alone give its three numbers."""
    attached, variance = sampler.on(model), 1.0
    state = attached.init(torch.zeros(3, 1, dtype=torch.float64))
    generator = pf.RowGenerator(0, 3)
    generator.normal = lambda *event, dtype=None: torch.tensor([[0.0], [0.0], [1.0]], dtype=dtype)
    for _ in range(attached.steps):
        state = replace(state, x=torch.tensor([[0.0], [1.0], [0.0]], dtype=torch.float64))
        state, _ = attached.step(state, generator)
        shift, moved, noise = state.x[:, 0].tolist()
        variance = (moved - shift) ** 2 * variance + (noise - shift) ** 2
    return variance if math.isfinite(variance) else math.inf
