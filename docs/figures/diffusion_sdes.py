"""G2: three paths from data to noise, with sample paths of the reverse SDE on the exact densities."""

from itertools import pairwise

import torch
from _exact import two_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import MODEL

STEPS, DRAWN = 400, 7


def reverse_paths(exact) -> tuple[torch.Tensor, torch.Tensor]:
    """Times and x `(times, drawn)` by Euler-Maruyama, from t = 0.98 to t_min."""
    path, generator = exact.path, torch.Generator().manual_seed(3)
    (drift,) = pf.paths.reverse_terms(path, exact.score, "sde")
    ends = torch.tensor([0.98, path.t_min])
    even_angles = pf.paths.time_of_angle(path, torch.linspace(*pf.paths.angle(path, ends).tolist(), STEPS)).float()
    times = torch.cat([even_angles, torch.linspace(*ends.tolist(), STEPS)[1:-1]]).sort(descending=True).values
    x = torch.randn(DRAWN, 1, generator=generator) * torch.hypot(path.alpha(times[0]), path.sigma(times[0]))
    kept = [x]
    for t0, t1 in pairwise(times):
        t, dt = torch.full((DRAWN,), float(t0)), float(t1 - t0)
        g_squared = path.drift_and_diffusion(t)[1][:, None]
        x = x + drift.vector_field(t, x) * dt + (g_squared * -dt).sqrt() * torch.randn(DRAWN, 1, generator=generator)
        kept.append(x)
    return times, torch.stack(kept)[..., 0]


def draw() -> Figure:
    """Densities p_t as an image for each path, and a few reverse paths over them."""
    figure = canvas(height=2.9)
    panels = figure.subplots(1, 3)
    for axes, path, name in zip(
        panels, (pf.paths.VP(), pf.paths.VE(0.02, 5.0), pf.paths.Linear()), ("VP", "VE", "linear")
    ):
        exact = two_bumps(path)
        reach = 3.0 if name != "VE" else 12.0
        t = torch.linspace(path.t_min, path.t_max, 160)
        x = torch.linspace(-reach, reach, 240)
        grid = torch.cartesian_prod(x, t)
        density = exact.log_prob(grid[:, :1], grid[:, 1]).exp().reshape(len(x), len(t))
        shade = (density / density.amax(0)).sqrt()  # each time on a scale of its own, or the noise would be invisible
        dress(axes, title=name, x="t", y="x" if name == "VP" else "", grid=False)
        axes.imshow(shade.numpy(), origin="lower", aspect="auto", cmap="Blues", extent=(0, 1, -reach, reach), vmax=1.3)
        times, paths = reverse_paths(exact)
        axes.set_ylim(-reach, reach)
        axes.plot(times.numpy(), paths.numpy(), color=MODEL, linewidth=0.7, alpha=0.9)
    return figure
