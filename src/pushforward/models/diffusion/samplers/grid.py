"""Where on its path a sampler stops, from the most noise to the least: four ways to space the steps.

"angle": even in theta, tan(theta) = sigma / alpha = s. "time": even in t. "log_snr": even in lambda = -log s, as the
exponential integrators want it (Lu et al. 2022, https://arxiv.org/abs/2206.00927). "karras": even in s^(1/7), from at most 80
(Karras et al. 2022, https://arxiv.org/abs/2206.00364, eq. 5).
"""

import functools
import math
from typing import Literal, get_args

import torch

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.parts.paths.angle import angle, time_of_angle
from pushforward.parts.paths.discrete_vp import DiscreteVP

Spacing = Literal["angle", "time", "log_snr", "karras"]

RHO = 7.0  # of "karras"
MOST = {
    "log_snr": 1e3,
    "karras": 80.0,
}  # s beyond is left out: there y is noise, but for its thousandth or eightieth part


@functools.lru_cache(maxsize=256)
def grid(path: Path, steps: int, spacing: Spacing) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`steps + 1` angles and their times, from t_max to t_min.

    Even angles make a sampler independent of how its path is timed, and treat all paths alike: theta runs at
    constant speed from noise to data, where the flow of standardised data bends evenly.

    >>> from pushforward.parts.paths.cosine import Cosine
    >>> angles, times = grid(Cosine(), 2, "angle")
    >>> [round(t, 3) for t in times]
    [0.999, 0.5, 0.001]
    """
    if steps < 1:
        raise ConfigError(f"expected at least one step, got steps={steps}")
    if spacing == "time" and isinstance(path, DiscreteVP):  # some of its own steps, and then clean data
        if steps > path.steps:
            raise ConfigError(f"expected at most the {path.steps} steps of {path}, got steps={steps}; take fewer")
        t = torch.linspace(path.steps, 0, steps + 1, dtype=torch.float64).round() / path.steps
        theta = angle(path, t)
    elif spacing == "time":
        t = torch.linspace(path.t_max, path.t_min, steps + 1, dtype=torch.float64)
        theta = angle(path, t)
    elif spacing == "angle":
        most, least = angle(path, torch.tensor([path.t_max, path.t_min], dtype=torch.float64)).tolist()
        theta = torch.linspace(most, least, steps + 1, dtype=torch.float64)
        t = time_of_angle(path, theta)
    elif spacing in MOST:
        most, least = angle(path, torch.tensor([path.t_max, path.t_min], dtype=torch.float64)).tolist()
        first, last = min(math.tan(min(most, math.atan(MOST[spacing]))), MOST[spacing]), math.tan(least)
        share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        if spacing == "log_snr":
            s = (math.log(first) + share * math.log(last / first)).exp()
        else:
            s = (first ** (1 / RHO) + share * (last ** (1 / RHO) - first ** (1 / RHO))) ** RHO
        theta = s.atan()
        t = time_of_angle(path, theta)
    else:
        raise ConfigError(f"expected a spacing among {', '.join(get_args(Spacing))}, got {spacing!r}")
    return tuple(theta.tolist()), tuple(t.tolist())
