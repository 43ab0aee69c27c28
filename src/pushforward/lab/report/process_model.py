"""The report of a process: predictions of held-out functions, and their likelihood by the size of the context."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal

from pushforward.core.errors import UserError
from pushforward.core.process import Context
from pushforward.core.registry import device_of
from pushforward.lab.metrics import Estimate, crps
from pushforward.lab.plots import bands
from pushforward.models.processes import JointNormal, joint_log_prob, oracle_for

from .common import History, some_rows, training_section, training_values
from .page import Report

NINETY = 1.6448536269514722  # the 95 % quantile of a standard normal: 90 % lie within
LIKELIHOOD = """
Every test function shows the model a few of its points, chosen at random, and the model predicts the others. The
log-likelihood is in nats a point, averaged over points within a function and then over functions; higher is better.
CRPS is the error of the whole prediction in units of y, lower is better. *Within 90 %* is the share of points that the
central 90 % interval holds: a calibrated model scores 90.
"""


def report_process(model: Any, test: Any, history: History, *, seed: int = 0, title: str = "",
                   minutes: float | None = None, contexts: Sequence[int] = (0, 1, 3, 5, 10, 20, 50),
                   reference: Any = None, most_functions: int = 1000,
                   expected: Mapping[str, tuple[float, float]] | None = None) -> Report:  # fmt: skip
    """Predict held-out functions from contexts of several sizes.

    `reference` is a process to compare with; functions of `gp_draws` are compared with the Gaussian process that they were drawn from
    unless another is given, jointly if the model predicts jointly. The gap to it is what there is left to learn.
    `expected` maps names of headline figures ("log-likelihood a point, 10 given") to ranges. Raises `UserError` when
    the functions have too few points for every context size.
    """
    page = Report(
        title or f"{type(model).__name__} of functions", subtitle=f"{len(test):,} test functions", expected=expected
    )
    batch = test.take(some_rows(test, most_functions, seed)).to(device_of(model))
    sizes = [m for m in contexts if int((batch.mask.sum(1) > m).sum()) > 0]
    if not sizes:
        raise UserError(f"expected functions of more than {min(contexts)} points, got at most {int(batch.mask.sum(1).max())}; "
                        "give smaller contexts")  # fmt: skip
    if reference is None and getattr(test, "process", None) is not None:
        reference = oracle_for(test)
    reference = None if reference is None else reference.to(device_of(model))
    rows = []
    for size in sizes:
        score = _score(model, *split_context(batch, size, seed))
        if size == max(m for m in sizes if m <= 10):
            page.value(f"log-likelihood a point, {size} given", score[0].value, score[0].std_error, note="nats; higher is better")  # fmt: skip
            page.value("within the 90 % band (%)", 100 * score[2].value, 100 * score[2].std_error, note=f"{size} given")
        row = [
            f"{size} given",
            *((s.value, s.std_error) for s in score[:2]),
            (100 * score[2].value, 100 * score[2].std_error),
        ]
        if reference is not None:
            other = _score(reference, *split_context(batch, size, seed), like=model)[0]
            row += [(other.value, other.std_error), other.value - score[0].value]
        rows.append(row)
    training_values(page, model, history, minutes)

    if model.x_dim == 1:
        _bands_section(page, model, batch, sizes, seed)
    page.section("Likelihood by the size of the context").text(LIKELIHOOD)
    columns = ["", "nats a point", "CRPS", "within 90 % (%)", "reference, nats a point", "gap"]
    page.table(rows, columns[: len(rows[0])], f"Mean over {len(batch):,} test functions.")
    training_section(page, history, "nats a point")
    return page


def split_context(batch: Any, size: int, seed: int) -> tuple[Context, Context]:
    """`size` random points of every function that has more, and its other points, padded.

    The contexts of one seed are nested: the larger hold the smaller.
    """
    kept = batch.mask.sum(1) > size
    x, y, mask, order = batch.x[kept], batch.y[kept], batch.mask[kept], _rank(batch.mask, seed)[kept].argsort(1)
    rows = torch.arange(len(x), device=x.device)[:, None]

    def pick(columns: Tensor) -> Context:
        real = mask[rows, columns]
        return Context(*(torch.where(real[..., None], v[rows, columns], 0.0) for v in (x, y)), mask=real)

    return pick(order[:, :size]), pick(order[:, size : int(mask.sum(1).max())])


def _rank(mask: Tensor, seed: int) -> Tensor:
    """Each function's real points in random order, 0, 1, ..., before its padding."""
    key = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)).to(mask.device)
    return key.masked_fill(~mask, 2.0).argsort(1).argsort(1)


@torch.no_grad()
def _score(model: Any, context: Context, target: Context, like: Any = None) -> tuple[Estimate, Estimate, Estimate]:
    """Log-likelihood, CRPS and coverage of the 90 % interval: means a point, with standard errors over functions.

    Targets are taken one by one where those of the model `like` are.
    """
    prediction = model.predict(context, target.x)
    if like is not None and isinstance(like.predict(context, target.x), Independent):
        prediction = Independent(Normal(prediction.mean, prediction.stddev), 2)
    share = target.mask / target.mask.sum(1, keepdim=True)
    likelihood = _log_prob(prediction, target)
    error = (crps(prediction.mean, prediction.stddev, target.y).mean(-1) * share).sum(1)
    held = (target.y - prediction.mean).abs() <= NINETY * prediction.stddev
    inside = (held.double().mean(-1) * share).sum(1)
    return Estimate.of(likelihood), Estimate.of(error), Estimate.of(inside)


def _log_prob(prediction: Distribution, target: Context) -> Tensor:
    """log p of the targets, divided by their number, `(n,)`: jointly where the model has a joint."""
    count = target.mask.sum(1)
    if isinstance(prediction, Independent):
        each = prediction.base_dist.log_prob(target.y)
        each = each.reshape(*each.shape[:2], -1).sum(-1)
        return torch.where(target.mask, each, 0.0).sum(1) / count
    if isinstance(prediction, JointNormal):
        return prediction.log_prob_where(target.y, target.mask) / count
    if isinstance(prediction, MixtureSameFamily):
        return joint_log_prob(prediction, target.y, target.mask) / count
    if not target.mask.all():
        raise UserError("expected functions with as many points each, since this model predicts them jointly, got "
                        "functions of different length; pass those of one length")  # fmt: skip
    return prediction.log_prob(target.y) / count


@torch.no_grad()
def _bands_section(page: Report, model: Any, batch: Any, sizes: Sequence[int], seed: int) -> None:
    """Six functions, the sizes of their contexts in turn; the first number of y where there are several."""
    n = min(6, len(batch))
    chosen = [sizes[i * len(sizes) // n] for i in range(n)]
    x, y, mask, rank = batch.x[:n], batch.y[:n], batch.mask[:n], _rank(batch.mask, seed)[:n]
    shown = rank < torch.tensor(chosen, device=rank.device)[:, None]
    at = x[mask][:, 0]
    grid = torch.linspace(float(at.min()), float(at.max()), 150, device=x.device, dtype=x.dtype).expand(n, 150)
    means, stds, draws = [], [], []
    for i, size in enumerate(chosen):  # one by one: contexts of different size need no padding
        points = rank[i].argsort()[: min(size, int(mask[i].sum()))]
        prediction = model.predict(Context.of(x[i : i + 1, points], y[i : i + 1, points]), grid[i : i + 1, :, None])
        means.append(prediction.mean[..., 0])
        stds.append(prediction.stddev[..., 0])
        if not isinstance(prediction, Independent):
            with torch.random.fork_rng(devices=[grid.device] if grid.is_cuda else []):
                torch.manual_seed(seed + i)
                draws.append(prediction.sample(torch.Size([3]))[..., 0])
    figure = bands(
        grid, torch.cat(means), torch.cat(stds), draws=torch.cat(draws, 1) if draws else None,
        context=Context(x, y, mask & shown), unseen=Context(x, y, mask & ~shown),
        titles=[f"{size} point{'s' * (size > 1)} given" for size in chosen],
    )  # fmt: skip
    page.section("Predictions")
    page.figure(
        figure,
        "Mean and bands of one and two standard deviations, given the black points. Blue ones were hidden."
        + (" Thin lines are whole functions, drawn from the joint prediction." if draws else ""),
    )
