"""Learning rate over the steps: linear warm-up, then half a cosine down to zero."""

import math
from dataclasses import dataclass


@dataclass
class Plan:
    """How many steps the run takes. A budget in minutes is turned into steps once, after a short measurement, and the

    plan is kept with the run: so the learning rate is a function of the step alone and a resumed run repeats it.
    """

    total: int | None  # None until a budget in minutes has been measured
    planned_at: int = 0

    def measure(self, step: int, step_seconds: float, seconds_left: float) -> None:
        """Fix the total from the time a step took and the time that is left."""
        self.planned_at = step
        self.total = step + max(1, int(seconds_left / max(step_seconds, 1e-6)))


def rate(step: int, plan: Plan, warmup: int) -> float:
    """Factor on the peak learning rate at `step` (0-based): step/warmup, then (1 + cos(pi progress)) / 2.

    (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983.)
    """
    factor = 1.0 if warmup == 0 else min(1.0, (step + 1) / warmup)
    if plan.total is None:
        return factor
    progress = (step - plan.planned_at) / max(1, plan.total - plan.planned_at)
    return factor * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
