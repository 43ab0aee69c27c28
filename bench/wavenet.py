"""Drawing sound from a WaveNet: queues, which remember each layer's states, against the loops that compute them anew.

The default model, whose receptive field is 1,023 samples, softmax over 256 mu-law levels, one clip and 16. One loop scores all samples so far
for each new one, as a loop around `predictions` would; the other, kinder one computes the receptive field and nothing beyond it. Checked
first: the queues draw exactly what the loop draws from the same seed, in float64, and their parameters agree with it in float32.
"""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

import pushforward as pf

from .harness import OURS, Agreement, Report, compare

CLIP, SHORT = 8000, 24  # samples of a clip that queues draw, and that both draw to be compared
STEPS = {1: 4, 16: 1}  # samples that the loop is timed on, by how many clips are drawn at once
FAST = 32  # times as many by queues, or the clock would have nothing to measure
LOOP, WHOLE = "the loop over the receptive field", "the loop over all samples so far"
NOTES = (
    "float32, layers of 32 units with dilations 1, 2, ..., 256, twice: 18 layers. Both draw with the same uniform numbers.",
    f"One loop evaluates the network on all samples so far, and is timed where there are {CLIP // 2:,} of them, the mean over a clip of {CLIP:,}; the other "
    f"evaluates one receptive field, and nothing beyond it. They are timed on {STEPS[1]} samples ({STEPS[16]} of 16 clips), and the queues on {FAST} times as "
    f"many; the tables are of these, and the figures below are per sample. What {CLIP:,} samples take is measured for the queues, and for a loop it is its "
    "time per sample times their number.",
)  # fmt: skip


def run(rounds: int = 10) -> Report:
    """Samples drawn one after the other, of one clip and of 16 at once."""
    report = Report("wavenet", "WaveNet, drawing", notes=list(NOTES))
    model = _model()
    prefix = model.sample(16, length=model.receptive_field, generator=_seed())
    checks = [_same_draws(model), *_same_parameters(model, prefix)]
    for clips, steps in STEPS.items():
        known, fast = prefix[:clips], FAST * steps
        draw = _Drawing(model, known, fast)
        name = f"{clips} clip{'s' * (clips > 1)}: {fast} samples by queues, {steps} by the loop"
        comparison = compare(name, draw.by_queues, {LOOP: partial(draw.by_loop, steps), WHOLE: partial(draw.by_whole, steps)},
                             check=lambda: checks, repeats=rounds, warmup=1)  # fmt: skip
        report.comparisons.append(comparison)
        ours = comparison.median(OURS) / fast
        start = time.perf_counter()
        model.sample(clips, length=CLIP, generator=_seed())
        whole = time.perf_counter() - start
        report.figures += [(f"{clips} at once: milliseconds a sample, queues", f"{1e3 * ours:.3f}"),
                           (f"{clips} at once: seconds of {CLIP:,} samples by queues, measured", f"{whole:.2f}")]  # fmt: skip
        for loop in (LOOP, WHOLE):
            theirs = comparison.median(loop) / steps
            report.figures += [(f"{clips} at once: milliseconds a sample, {loop}", f"{1e3 * theirs:.2f}"),
                               (f"{clips} at once: times as fast as {loop}, a sample", f"{theirs / ours:.0f}"),
                               (f"{clips} at once: times as fast as {loop}, {CLIP:,} samples", f"{CLIP * theirs / whole:.0f}")]  # fmt: skip
    return report


class _Drawing:
    """Samples after a full receptive field, by both ways, with the same uniform numbers."""

    def __init__(self, model: pf.autoregressive.WaveNet, prefix: Tensor, samples: int):
        self.model, self.first, self.samples = model, model.receptive_field, samples
        self.levels = torch.zeros(len(prefix), self.first + samples)
        self.levels[:, : self.first] = model.levels.encode(prefix)
        self.u = torch.rand(len(prefix), samples, 1, dtype=torch.float64, generator=_seed())
        self.queue = model._queue(self.levels, None, self.first)  # it only goes on, and never has to begin again
        self.loop = model._again(self.levels, None)
        self.half = self.levels[:, : self.first].repeat(1, -(-CLIP // 2 // self.first))[:, : CLIP // 2]

    def by_queues(self) -> None:
        self._draw(self.queue, self.samples)

    def by_loop(self, samples: int) -> None:
        self._draw(self.loop, samples)

    def by_whole(self, samples: int) -> None:
        self._draw(lambda t: self.model.predictions(self.half)[:, -1], samples)

    @torch.no_grad()
    def _draw(self, step: Callable[[int], Tensor], samples: int) -> None:
        for t in range(samples):
            parameters = step(self.first + t)
            self.levels[:, self.first + t] = self.model.output.sample(parameters, self.u[:, t])


def _model() -> pf.autoregressive.WaveNet:
    model = pf.autoregressive.wavenet(length=CLIP).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)  # draws of first weights hardly depend on their past
    return model


def _seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _same_draws(model: pf.autoregressive.WaveNet) -> Agreement:
    twin = _model().double()
    twin.load_state_dict(model.state_dict())
    fast, slow = (twin.sample(2, length=SHORT, generator=_seed(), cached=own) for own in (True, False))
    return Agreement(LOOP, f"{2 * SHORT} draws from one seed, float64", float((fast - slow).abs().max()), 0.0)


def _same_parameters(model: pf.autoregressive.WaveNet, prefix: Tensor) -> list[Agreement]:
    levels, at = model.levels.encode(prefix), model.receptive_field
    with torch.no_grad():
        ours = model._queue(levels, None, at)(at)
        loops = {LOOP: model._again(levels, None)(at), WHOLE: model.predictions(functional.pad(levels, (0, 1)))[:, -1]}
    return [Agreement(name, "logits after a full receptive field, float32", float((ours - theirs).abs().max()), 1e-4)
            for name, theirs in loops.items()]  # fmt: skip
