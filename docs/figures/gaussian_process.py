"""E2: flows of the Nile with bands, draws of a posterior, and a curve of many points by a few inducing ones."""

import numpy as np
import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import INK, MODEL, REAL

# Discharge of the Nile at Aswan, 1871 to 1970, in 10^8 cubic metres (Cobb, 1978, Biometrika 65).
NILE = """1120 1160 963 1210 1160 1160 813 1230 1370 1140 995 935 1110 994 1020 960 1180 799 958 1140 1100 1210 1150 1250 1260 1220 1030 1100
774 840 874 694 940 833 701 916 692 1020 1050 969 831 726 456 824 702 1120 1100 832 764 821 768 845 864 862 698 845 744 796 1040 759 781 865
845 944 984 897 822 1010 771 676 649 846 812 742 801 1040 860 874 848 890 744 749 838 1050 918 986 797 923 975 815 1020 906 901 1170 912 746
919 718 714 740"""


def draw() -> Figure:
    """Three regressions whose kernels were fitted, or known."""
    figure = canvas(height=2.7)
    _nile(figure.subplots(1, 3)[0])
    _draws(figure.axes[1])
    _sparse(figure.axes[2])
    return figure


def _nile(axes) -> None:
    year, volume = torch.arange(1871.0, 1971.0), torch.tensor([float(own) for own in NILE.split()])
    series = pf.data.Series.of(year, volume[None])
    process = pf.processes.gaussian_process(series, kernel="matern32", length_scale=20.0, restarts=2)
    grid = torch.linspace(1865, 1985, 200)
    context = pf.processes.as_functions(series).context()
    for of, opacity in (("y", 0.15), ("f", 0.3)):
        with torch.no_grad():
            _band(axes, grid, process.predict(context, grid[None, :, None], of=of), opacity)
    axes.plot(year.numpy(), volume.numpy(), "o", color=INK, markersize=2, markeredgewidth=0)
    dress(axes, title='the Nile: of="f" in "y"', x="year", y="volume")


def _draws(axes) -> None:
    process = pf.processes.GaussianProcess("rbf(0.6)", noise=0.05)
    context = pf.Context.of(torch.tensor([[[-1.2], [-0.5], [0.9]]]), torch.tensor([[[-0.8], [0.4], [0.7]]]))
    grid = torch.linspace(-2, 2, 150)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        prediction = process.predict(context, grid[None, :, None], of="f")
        _band(axes, grid, prediction, 0.2)
        axes.plot(grid.numpy(), prediction.sample((6,))[:, 0, :, 0].T.numpy(), color=MODEL, linewidth=0.7)
    axes.plot(context.x[0].numpy(), context.y[0].numpy(), "o", color=INK, markersize=4)
    dress(axes, title="draws given three points", x="x")


def _sparse(axes) -> None:
    data = pf.data.gp_draws("rbf(0.3)", 1, points=500, noise=0.3, seed=5)
    process = pf.processes.gaussian_process(data, inducing=12, restarts=1)
    exact = pf.processes.oracle_for(data)
    assert exact is not None
    grid = torch.linspace(-2, 2, 200)
    axes.plot(data.x[0].numpy(), data.y[0].numpy(), "o", color=INK, markersize=1.2, markeredgewidth=0, alpha=0.5)
    with torch.no_grad():
        prediction, truth = (own.predict(data.context(), grid[None, :, None], of="f") for own in (process, exact))
        _band(axes, grid, prediction, 0.3)
        axes.plot(grid.numpy(), truth.mean[0, :, 0].numpy(), color=REAL, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.plot(process.inducing[:, 0].numpy(), np.full(12, float(data.y.min()) - 0.2), "^", color=REAL, markersize=4)
    dress(axes, title="500 points by 12 inducing", x="x")


def _band(axes, grid: torch.Tensor, prediction: pf.processes.JointNormal, opacity: float) -> None:
    mean, deviation = prediction.mean[0, :, 0].numpy(), prediction.stddev[0, :, 0].numpy()
    axes.fill_between(grid.numpy(), mean - 2 * deviation, mean + 2 * deviation, color=MODEL, alpha=opacity, linewidth=0)
    axes.plot(grid.numpy(), mean, color=MODEL, linewidth=1.4)
