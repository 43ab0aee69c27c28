"""Where a training step of the digits U-Net goes: the library's own overhead should be under 3 % of it.

`pf.fit` runs as it always does; clocks hang on hooks that PyTorch offers. The parts of a step:

  forward     the objective: noise, time, x_t, the network, the mean; what the network itself takes is told apart
  backward    from the end of the forward pass to the gradient of the last parameter
  optimiser   `optimiser.step()`
  the rest    fetching rows, clipping, averaging weights, logging, callbacks, the loop itself: the overhead

A held-out evaluation is work that was asked for, and not overhead; steps with one are left out, and its time is told.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import pushforward as pf

from .harness import Report

TARGET = 0.03


class _Clocks:
    """Notes when each part of a step begins and ends."""

    def __init__(self, model: torch.nn.Module, network: torch.nn.Module, objective: Callable):
        self.objective = objective
        self.steps: list[dict[str, float]] = []
        self.evaluating: set[int] = set()
        self.evaluation = 0.0
        self._handles = [
            network.register_forward_pre_hook(lambda *_: self._note("network start")),
            network.register_forward_hook(lambda *_: self._note("network end")),
            register_optimizer_step_pre_hook(lambda *_: self._note("optimiser start")),
            register_optimizer_step_post_hook(lambda *_: self._note("optimiser end")),
            *(p.register_post_accumulate_grad_hook(lambda _: self._note("backward end")) for p in model.parameters()),
        ]

    def __call__(self, model, batch, generator):
        """The objective, with its beginning and end noted."""
        if not torch.is_grad_enabled():
            start = time.perf_counter()
            loss = self.objective(model, batch, generator)
            self.evaluating.add(len(self.steps))
            self.evaluation += time.perf_counter() - start
            return loss
        self.steps.append({"start": time.perf_counter()})
        loss = self.objective(model, batch, generator)
        self._note("forward end")
        return loss

    def _note(self, what: str) -> None:
        if what.startswith("network") and not torch.is_grad_enabled():
            return  # an evaluation
        self.steps[-1][what] = time.perf_counter()

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def shares(self, skip: int) -> dict[str, list[float]]:
        """Seconds of each part for every step after the first `skip` that had no evaluation."""
        parts: dict[str, list[float]] = {name: [] for name in ("step", "network", "forward", "backward", "optimiser")}
        for number, (one, following) in enumerate(zip(self.steps, self.steps[1:])):
            if number < skip or number + 1 in self.evaluating:
                continue
            parts["step"].append(following["start"] - one["start"])
            parts["network"].append(one["network end"] - one["network start"])
            parts["forward"].append(one["forward end"] - one["start"])
            parts["backward"].append(one["backward end"] - one["forward end"])
            parts["optimiser"].append(one["optimiser end"] - one["optimiser start"])
        return parts


def run(rounds: int = 300) -> Report:
    """Fit `rounds` steps of the digits recipe and say where the time went."""
    from pushforward.lab.recipes.digits import RECIPE
    from pushforward.lab.training import Settings

    digits = pf.data.load("digits")
    torch.manual_seed(0)
    model = pf.diffusion.v_diffusion(digits)
    settings = Settings(**RECIPE.settings | {"bar": False})
    clocks = _Clocks(model, model.network, model.objective)
    try:
        pf.fit(model, digits, objective=clocks, steps=rounds, settings=settings)
    finally:
        clocks.remove()
    parts = clocks.shares(skip=min(20, rounds // 4))
    total = sum(parts["step"])
    rest = total - sum(sum(parts[name]) for name in ("forward", "backward", "optimiser"))
    around = sum(parts["forward"]) - sum(parts["network"])
    # The median step has no interruption by whatever else runs on the machine.
    middle = [
        s - f - b - o for s, f, b, o in zip(*(parts[name] for name in ("step", "forward", "backward", "optimiser")))
    ]
    parameters = sum(p.numel() for p in model.parameters())
    typical = statistics.median(parts["step"])
    report = Report("overhead", "Where a training step goes: the digits U-Net", notes=[
        f"Digits recipe as it is: {parameters:,} parameters, batch {settings.batch_size}, float32; {len(parts['step'])} steps without an evaluation.",
        f"Target: the rest under {TARGET:.0%} of a step. Around the network, inside the objective: noise (a stream for each row), times, x_t, the mean.",
        "The rest is fetching rows, clipping, averaging the weights, logging, callbacks and the loop itself.",
        f"Held-out evaluations took {clocks.evaluation:.2f} s beside {total:.2f} s of steps; they are left out above.",
    ])  # fmt: skip
    report.figures = [
        ("median step, ms", f"{1e3 * typical:.2f}"),
        *(
            (f"{name}, share of the time", f"{sum(parts[name]) / total:.2%}")
            for name in ("forward", "backward", "optimiser")
        ),
        ("of the forward pass, around the network", f"{around / total:.2%}"),
        ("**the rest: overhead, share of the time**", f"**{rest / total:.2%}**"),
        ("the rest, median of a step, share of the median step", f"{statistics.median(middle) / typical:.2%}"),
        ("under the target", "yes" if rest / total < TARGET else "NO"),
    ]
    return report
