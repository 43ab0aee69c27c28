"""Samplers beside diffusers' schedulers: error at equal evaluations with the exact score, and what a step costs beside its network.

`make bench BENCHES=samplers`

The process is DDPM's (linear betas, 1,000 steps) for both, the noise they begin with is the same, and so is the network: the exact noise of
a mixture, in 2 and in 64 dimensions, or a small network with random weights.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from diffusers.utils import import_utils
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion import Diffusion
from pushforward.parts.paths import DiscreteVP

from .harness import OURS, Agreement, Report, compare

import_utils._torchvision_available = False  # a torchvision of another torch cannot be imported
from diffusers import (  # noqa: E402
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

samplers = pf.diffusion.samplers
SPACINGS = ("leading", "linspace", "trailing")  # of diffusers; the best of them counts
PATH, ROWS, STEPS = DiscreteVP(), 256, 1000
BETAS = {"num_train_timesteps": STEPS, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
KINDS: dict[str, tuple[Callable[[int], Any], Callable[[str], Any]]] = {
    "DDIM": (samplers.DDIM, lambda spacing: DDIMScheduler(**BETAS, clip_sample=False, timestep_spacing=spacing)),
    "DPM-Solver++ 2M": (
        samplers.DPMSolver,
        lambda spacing: DPMSolverMultistepScheduler(**BETAS, timestep_spacing=spacing),
    ),
    "Heun": (
        lambda k: samplers.ProbabilityFlow(max(1, k // 2)),
        lambda spacing: HeunDiscreteScheduler(**BETAS, timestep_spacing=spacing),
    ),
    "UniPC": (samplers.UniPC, lambda spacing: UniPCMultistepScheduler(**BETAS, timestep_spacing=spacing)),
}
NOTES = (
    "Error: median over 256 rows of the distance to where the exact probability flow takes the same noise (solved to 1e-9), per dimension. The network is exact, "
    "so what is wrong is the sampler's doing. Ours has its default spacing of steps, diffusers' the best of its three in each line.",
    "Heun: ours is `ProbabilityFlow` in k // 2 steps of two evaluations; diffusers' takes 2 n - 1 evaluations for n steps, at most k.",
    "diffusers' loop is the one of its documentation: scale_model_input, the network, scheduler.step(...).prev_sample, without gradients. Ours is model.sample, "
    "which gives each row a stream of random numbers of its own, for DDPM.",
    "`network alone` calls the network as often and does nothing else. Overhead is the time above it.",
)  # fmt: skip


def run(rounds: int = 5) -> Report:
    """Errors, then overheads."""
    report = Report("samplers", "Samplers", packages=("diffusers",), notes=NOTES)
    for name, mixture in (("2-d ring", pf.diffusion.exact.ring()), ("64-d", pf.diffusion.exact.random64d())):
        report.figures += errors(name, mixture.standardised())
    network = Tiny()
    model = Diffusion(network, PATH, 2, "noise").eval()
    for title, sampler, scheduler in (
        (
            "DDIM",
            samplers.DDIM(STEPS, spacing="time"),
            DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True),
        ),
        ("DDPM", samplers.Ancestral(STEPS, spacing="time"), DDPMScheduler(**BETAS, clip_sample=False)),
    ):
        report.comparisons.append(_overhead(title, model, sampler, scheduler, rounds))
        found = report.comparisons[-1]
        alone = found.median("network alone")
        ours, theirs = found.median(OURS) - alone, found.median("diffusers") - alone
        report.figures.append((f"{title}: overhead of a step in microseconds, ours and theirs", f"{1e6 * ours / STEPS:.1f} and {1e6 * theirs / STEPS:.1f}"))  # fmt: skip
        report.figures.append((f"{title}: overhead, diffusers' over ours", f"{theirs / ours:.1f}"))
    report.comparisons.append(_images(max(3, rounds)))
    found = report.comparisons[-1]
    share = 1 - found.median("network alone") / found.median(OURS)
    report.figures.append(
        ("digits U-Net, 20 steps of DDIM: share of the time beside the network", f"{100 * share:.1f} %")
    )
    return report


class Tiny(nn.Module):
    """A layer of 16 units: almost no time in the network."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 2))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        return self.net(torch.cat([y, t[:, None]], 1))


def errors(name: str, mixture) -> list[tuple[str, str]]:
    """Ours and theirs for every sampler and every number of evaluations."""
    model = pf.diffusion.exact.exact_model(mixture, PATH, "noise", standardise=False)
    d = mixture.event_shape[0]
    noise = torch.randn(ROWS if d < 64 else 64, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth, lines = model.decode(noise, tolerance=1e-9), []
    for kind, (ours, theirs) in KINDS.items():
        for evaluations in (5, 10, 20, 50):
            attached = ours(evaluations).on(model)
            with torch.inference_mode():
                mine = attached.run(noise, attached.steps, RowGenerator(0, len(noise))).x
                others = [scheduled(theirs(spacing), mixture, noise, evaluations) for spacing in SPACINGS]
            distances = [float((x - truth).square().mean(1).sqrt().median()) for x in (mine, *others)]
            lines.append((f"{name}: {kind}, {evaluations} evaluations, errors, ours and theirs", f"{distances[0]:.2g} and {min(distances[1:]):.2g}"))  # fmt: skip
    return lines


def scheduled(scheduler, mixture, noise: Tensor, evaluations: int) -> Tensor:
    """diffusers' loop with the exact noise at the level that the scheduler itself says it is at."""
    heun = isinstance(scheduler, HeunDiscreteScheduler)
    scheduler.set_timesteps((evaluations + 1) // 2 if heun else evaluations)
    x = noise * math.hypot(1, float(scheduler.sigmas[0])) if heun else noise
    for i, t in enumerate(scheduler.timesteps):
        y = scheduler.scale_model_input(x, t)
        s = float(scheduler.sigmas[i]) if heun else float((1 / scheduler.alphas_cumprod[int(t)].double() - 1).sqrt())
        alpha, sigma = (
            torch.full((len(y), 1), v, dtype=torch.float64) for v in (1 / math.hypot(1, s), s / math.hypot(1, s))
        )
        x = scheduler.step(_noise(mixture, y.double(), alpha, sigma), t, x).prev_sample
    return x


def _noise(mixture, y: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """E[noise | y] on a path that has these alpha and sigma: the cosine path at the time of this angle."""
    t = torch.atan2(sigma, alpha)[:, 0] * 2 / math.pi
    return mixture.predicted(y, t, pf.paths.Cosine(), "noise")


def _overhead(title: str, model: Diffusion, sampler: Any, scheduler: Any, rounds: int):
    scheduler.set_timesteps(STEPS)
    times = [torch.full((ROWS,), (int(t) + 1) / STEPS) for t in scheduler.timesteps]
    generator = torch.Generator().manual_seed(0)

    @torch.inference_mode()
    def theirs() -> Tensor:
        x = torch.randn(ROWS, 2, generator=generator)
        for t, own in zip(scheduler.timesteps, times):
            x = scheduler.step(model.network(scheduler.scale_model_input(x, t), own, None), t, x).prev_sample
        return x

    @torch.inference_mode()
    def alone() -> Tensor:
        x = torch.zeros(ROWS, 2)
        for own in times:
            model.network(x, own, None)
        return x

    def check() -> list[Agreement]:
        # Without noise both are one map; for DDPM the mean of a step is that of the same tables, so DDIM is what is compared.
        plain = DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True)
        plain.set_timesteps(STEPS)
        start = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(1))
        x = start
        with torch.inference_mode():
            for t, own in zip(plain.timesteps, times):
                x = plain.step(model.network(x, own, None), t, x).prev_sample
            mine = samplers.DDIM(STEPS, spacing="time").on(model).run(start, STEPS, RowGenerator(0, ROWS)).x
        apart = float((mine - x).abs().max() / x.abs().max())
        return [Agreement("diffusers", "DDIM from the same noise, relative difference", apart, 2e-3),
                Agreement("network alone", "difference in calls of the network", len(times) - sampler.steps, 0)]  # fmt: skip

    return compare(f"{title}, {STEPS} steps of {ROWS} rows, tiny network", lambda: model.sample(ROWS, sampler=sampler, generator=generator),
                   {"diffusers": theirs, "network alone": alone}, check=check, repeats=rounds, warmup=1, profiled=False)  # fmt: skip


def _images(rounds: int):
    model, rows, steps = pf.diffusion.ddpm(event_shape=(1, 28, 28), levels=256, width=32).eval(), 16, 20
    x, t = torch.randn(rows, 1, 28, 28), torch.full((rows,), 0.5)

    @torch.inference_mode()
    def alone() -> None:
        for _ in range(steps):
            model(x, t, None)

    calls = [
        Agreement("network alone", "difference in calls of the network", samplers.DDIM(steps).evaluations - steps, 0)
    ]
    return compare(f"DDIM, {steps} steps of {rows} digits, U-Net", lambda: model.sample(rows, sampler=samplers.DDIM(steps)), {"network alone": alone},
                   check=lambda: calls, repeats=rounds, warmup=1, profiled=False)  # fmt: skip
