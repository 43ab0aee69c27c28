"""Every plot is a figure that can be drawn, says what its axes are, and leaves pyplot alone."""

import io
import math
import subprocess
import sys

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from pushforward import Context, plots
from pushforward.core.errors import ShapeError

HISTORY = [{"step": i, "loss": 3 + 10 / i, "held_out_loss": 3.1 + 10 / i if i % 5 == 0 else None} for i in range(1, 60)]
LINE = torch.linspace(-1, 1, 30)


def pictures(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


FIGURES = {
    "density": lambda: plots.density(lambda x: -x.square().sum(1), generated=torch.randn(50, 2), real=torch.randn(50, 2)),
    "density alone": lambda: plots.density(lambda x: -x.square().sum(1), title="p"),
    "samples": lambda: plots.samples(torch.randn(60, 3), torch.randn(40, 3), names=list("abc")),
    "posterior pairs": lambda: plots.pairs({"mu": torch.randn(60), "theta": torch.randn(60, 2)}, reference=torch.randn(40, 3)),
    "posterior pairs alone": lambda: plots.pairs(torch.randn(60, 3), names=["z[2]", "z[0]"]),
    "trace": lambda: plots.trace(torch.randn(5, 40, 2)),
    "samples of one column": lambda: plots.samples(torch.randn(60, 1), torch.randn(40, 1)),
    "samples of codes": lambda: plots.samples(torch.randint(0, 3, (60, 2)), torch.randint(0, 4, (60, 2))),
    "image grid": lambda: plots.image_grid(pictures(23, 3, 8, 6)),
    "image grid by class": lambda: plots.image_grid(pictures(23, 1, 8, 8), labels=torch.arange(23) % 3, names=("a", "b", "c")),
    "film strip": lambda: plots.film_strip(torch.randn(7, 2, 1, 8, 8), title="film"),
    "trajectories": lambda: plots.trajectories(torch.randn(9, 20, 2), real=torch.randn(50, 2)),
    "fields": lambda: plots.fields(lambda x: -x, points=torch.randn(50, 2).double()),
    "bands": lambda: plots.bands(LINE.expand(4, 30), LINE.expand(4, 30), torch.ones(4, 30), truth=torch.zeros(4, 30),
                                 draws=torch.randn(2, 4, 30), context=Context.of(torch.randn(4, 5, 1), torch.randn(4, 5, 1))),
    "bands of one": lambda: plots.bands(LINE[None], LINE[None], torch.ones(1, 30)),
    "curves": lambda: plots.curves(HISTORY, log_x=True),
    "curves of nothing": lambda: plots.curves([]),
    "curves that blew up": lambda: plots.curves([{"step": 1, "loss": math.nan}, {"step": 2, "loss": 1.0}], log_y=True),
    "neighbours": lambda: plots.neighbours(pictures(6, 3, 8, 8), pictures(6, 3, 3, 8, 8), distances=torch.rand(6, 3)),
}  # fmt: skip


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_figures_draw_by_day_and_by_night(draw):
    figure = draw()
    assert isinstance(figure, Figure)
    day, night = io.BytesIO(), io.BytesIO()
    figure.savefig(day, dpi=40)
    with plots.at_night(figure):
        figure.savefig(night, dpi=40)
    assert day.getvalue() != night.getvalue()


def test_the_day_comes_back_after_the_night():
    def inks(figure):
        artists = [a for a in figure.findobj() if isinstance(a, Text | Line2D | Patch)]
        return [a.get_facecolor() if isinstance(a, Patch) else a.get_color() for a in artists]

    figure = FIGURES["curves"]()
    figure.axes[0].text(0, 0, "from elsewhere", color="black")
    figure.draw_without_rendering()
    before = inks(figure)
    with plots.at_night(figure):
        during = inks(figure)
    assert inks(figure) == before
    assert len(set(map(str, before)) & set(map(str, during))) <= 2  # what has no ink: clear paper


def test_axes_are_named():
    for name in ("density", "trajectories", "fields", "bands of one", "curves"):
        axes = FIGURES[name]().axes[0]
        assert axes.get_xlabel(), name
        assert axes.get_ylabel(), name


def test_the_curves_mark_the_lowest_held_out_loss_and_ignore_the_wild_start():
    axes = plots.curves(
        [{"step": i, "loss": 1e6 if i == 0 else 2 + 1 / i, "held_out_loss": abs(i - 70) + 2} for i in range(100)]
    ).axes[0]
    assert [t.get_text() for t in axes.texts] == ["2"]
    assert axes.get_ylim()[1] < 1000


def test_the_mosaic_puts_images_in_their_places():
    images = torch.arange(6.0).reshape(2, 3, 1, 1, 1)
    board = plots.mosaic(images, 0, 5, gap=1)
    assert board.shape == (3, 5, 4)
    assert board[::2, ::2, 0].mul(5).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert board[1].abs().sum() == 0  # the gaps are clear
    with pytest.raises(ShapeError, match="1 or 3 channels"):
        plots.mosaic(torch.zeros(1, 1, 2, 4, 4))


def test_the_grid_has_a_row_for_each_class_by_name():
    axes = FIGURES["image grid by class"]().axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b", "c"]


def test_at_most_six_columns_are_paired_and_names_are_kept_short():
    figure = plots.samples(torch.randn(30, 8), torch.randn(30, 8), names=["a very long name indeed"] * 8)
    assert len(figure.axes) == 36
    assert figure.axes[30].get_xlabel() == "a very long n…"


def test_importing_pushforward_or_its_metrics_imports_no_plotting_and_plots_no_pyplot():
    code = (
        "import sys, pushforward; assert not {'matplotlib', 'sklearn', 'scipy', 'torch'} & set(sys.modules); "
        "pushforward.metrics; assert not {'matplotlib', 'sklearn'} & set(sys.modules); "
        "pushforward.plots; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
