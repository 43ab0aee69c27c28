"""What every report needs: rows, the scores of held-out ones, and how the training went."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.core.data import Batch
from pushforward.core.random import mix
from pushforward.core.registry import device_of
from pushforward.lab.plots import curves

from .numbers import duration
from .page import Report

History = Sequence[Mapping[str, Any]]
KINDS = {
    "exact": "exact",
    "lower_bound": "a lower bound of the true value",
    "estimate": "estimated",
    "none": "not known",
}


def some_rows(data: Any, most: int, seed: int) -> Tensor:
    """The numbers of at most `most` rows, in random order."""
    return torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:most]


def batch_of(model: nn.Module, data: Any, rows: Tensor) -> Batch:
    """These rows on the device of the model, with a condition only if the model takes one."""
    batch = data.take(rows)
    condition = batch.condition if getattr(model, "condition_shape", None) is not None else None
    return Batch(batch.x, condition).to(device_of(model))


def generator_for(model: nn.Module, seed: int) -> torch.Generator:
    """A generator on the device of the model."""
    return torch.Generator(device=device_of(model)).manual_seed(mix(seed))


def has_density(model: Any) -> bool:
    """Whether the model can say how likely a row is, exactly or not."""
    return model.log_prob_kind != "none" or hasattr(model, "log_prob_estimate")


def loss_unit(model: Any) -> str:
    """What the loss of the model is measured in."""
    if not has_density(model):
        return "loss"
    return "mean squared error" if hasattr(model, "log_prob_estimate") else "nats"


def log_prob_of(model: Any, batch: Batch, seed: int) -> Tensor:
    """log p of every row in nats, `(n,)`, on the CPU.

    Where it is estimated, one draw a row is enough: it is the mean over rows that is reported, and for that another
    row is worth more than another draw.
    """
    with torch.no_grad():
        if hasattr(model, "log_prob_estimate"):
            estimate = model.log_prob_estimate(
                batch.x, batch.condition, probes=1, dequantisations=1, generator=generator_for(model, seed)
            )
            return estimate.value.cpu()
        return model.log_prob(batch.x, batch.condition).cpu()


def find_log_z(model: Any, seed: int) -> str:
    """Where a model knows its density up to a constant only: estimate that constant, and say how well; "" for other models.

    Raises `UserError` if the estimate fails.
    """
    if getattr(model, "log_prob_kind", "") != "none" or not hasattr(model, "estimate_log_z"):
        return ""
    found = model.estimate_log_z(generator=generator_for(model, seed))
    return (f"log Z was estimated by annealed importance sampling: {found.value:.3f} ± {found.std_error:.3f} nats, between {found.lower:.3f} (on the way up) "
            f"and {found.upper:.3f} (on the way down). Its error is one for all rows, and not in that of the mean.")  # fmt: skip


def draw(model: Any, shape: int, condition: Tensor | None, seed: int, guide: Any = None) -> Tensor:
    """`shape` samples, or one for each condition, on the CPU."""
    given = () if condition is not None else shape
    more = {} if guide is None else {"guide": guide}
    return model.sample(given, condition, generator=generator_for(model, seed), **more).cpu()


def training_values(page: Report, model: nn.Module, history: History, minutes: float | None = None) -> None:
    """Cards: how long, how many steps, how many parameters."""
    seconds = 60 * minutes if minutes is not None else (history[-1].get("seconds") if history else None)
    if seconds is not None:
        page.value("training time", duration(seconds), note=f"{history[-1]['step']:,} steps" if history else None)
    page.value("parameters", sum(p.numel() for p in model.parameters()))


def training_section(page: Report, history: History, unit: str) -> None:
    """The loss curves."""
    if not history:
        return
    held = any(record.get("held_out_loss") is not None for record in history)
    also = " The circle marks the lowest held-out loss." if held else ""
    page.section("Training")
    page.figure(curves(history, unit=unit), f"Loss over the steps of training.{also}")
