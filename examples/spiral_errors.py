"""How near does a latent ODE come to spirals seen with noise? `python examples/spiral_errors.py RUN`, after `pushforward fit bidirectional_spirals`.

Of 100 spirals that it was not trained on, 30, 50 or 100 noisy points are given, and the mean it predicts is compared with the spiral without
noise, in the spirals' own units: over the whole time at once, and beyond the first two thirds where only points of these are given.
Chen et al. (2018, https://arxiv.org/abs/1806.07366, table 2) report RMSE 0.1642, 0.1502 and 0.1346 beyond the training range, on draws of
their own. A third of a minute on two CPU cores.
"""

import sys

import torch

from pushforward.core.process import Context
from pushforward.lab.runs import open_run
from pushforward.parts.data.series_toys import bidirectional_spirals

SPIRALS, GRID, SEED = 100, 500, 1
KNOWN = 2 / 3  # of the time, for a forecast


def main(folder: str) -> None:
    """Print both errors for each number of points."""
    model = open_run(folder).model
    truth = bidirectional_spirals(SPIRALS, points=GRID, grid=GRID, noise=0.0, seed=SEED)
    for points in (30, 50, 100):
        series = bidirectional_spirals(SPIRALS, points=points, grid=GRID, seed=SEED)
        whole = series.take(torch.arange(SPIRALS)).context()
        early = Context(whole.x, whole.y, whole.mask & (whole.x < KNOWN))
        later = truth.t[0] > KNOWN
        errors = [_error(model, whole, truth.t, truth.x), _error(model, early, truth.t[:, later], truth.x[:, later])]
        (within, e0), (beyond, e1) = errors
        print(
            f"{points:3d} points   RMSE {within:.4f} +- {e0:.4f} in between   {beyond:.4f} +- {e1:.4f} in the last third, unseen"
        )


@torch.no_grad()
def _error(model, context: Context, t: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    """RMSE of the predicted mean, and its standard error over the spirals."""
    square = (model.predict(context, t[..., None]).mean - truth).square().mean((1, 2))
    root = float(square.mean().sqrt())
    return root, float(square.std()) / len(square) ** 0.5 / (2 * root)


if __name__ == "__main__":
    main(sys.argv[1])
