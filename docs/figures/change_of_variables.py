"""A1: a uniform density stretched, and a Gaussian through a monotone spline."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import MODEL, REAL


def draw() -> Figure:
    """Curves are exp(log_prob), bars are draws."""
    stretched = pf.distributions.Flow(
        pf.distributions.Uniform(torch.zeros(1), torch.ones(1)),
        pf.bijections.Affine(torch.ones(1), torch.tensor([2.0])),
    )
    spline = pf.bijections.RationalQuadraticTransformer(bins=6, bound=3.0)
    coupling = pf.bijections.Coupling([False], spline, pf.nn.MLP(0, spline.size))
    constants = 0.6 * torch.randn(spline.size, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        for parameter in coupling.parameters():
            parameter.copy_(constants)
    bent = pf.distributions.Flow(pf.distributions.Gaussian.standard(1), coupling)
    figure = canvas(height=2.6)
    cases = ((stretched, "x = 2 z + 1, z uniform", 0.5, 3.5), (bent, "x = spline(z), z Gaussian", -4.0, 4.0))
    for axes, (model, title, low, high) in zip(figure.subplots(1, 2), cases):
        grid = torch.linspace(low, high, 801)[:, None]
        x = model.sample(40_000, generator=torch.Generator().manual_seed(0))
        dress(axes, title=title, x="x", y="density")
        axes.hist(x[:, 0].numpy(), bins=80, range=(low, high), density=True, color=REAL, alpha=0.35, label="draws")
        density = model.log_prob(grid).exp().detach().numpy()
        axes.plot(grid[:, 0].numpy(), density, color=MODEL, linewidth=1.4, label="exp(log_prob)")
        axes.set_ylim(top=1.35 * density.max())
        legend(axes, "upper right")
    return figure
