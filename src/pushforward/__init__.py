"""pushforward: generative models in one PyTorch package. Every one of them pushes simple noise forward to data.

    import pushforward as pf
    table = pf.data.load("wine.csv")
    flow = pf.flows.neural_spline(table)
    pf.fit(flow, table, minutes=2)
    flow.log_prob(x), flow.sample(1000), pf.save(flow, "wine.pf")

Names are imported when they are first used, so that importing the package, and the command line's help, cost nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .core.version import __version__

_MODULES = {
    "bijections": "parts.bijections",
    "data": "parts.data",
    "diffeq": "parts.diffeq",
    "distributions": "parts.distributions",
    "nn": "parts.nn",
    "numerics": "parts.numerics",
    "paths": "parts.paths",
    "autoregressive": "models.autoregressive",
    "diffusion": "models.diffusion",
    "dynamics": "models.dynamics",
    "energy": "models.energy",
    "flows": "models.flows",
    "inference": "models.inference",
    "latent": "models.latent",
    "processes": "models.processes",
    "metrics": "lab.metrics",
    "plots": "lab.plots",
    "recipes": "lab.recipes",
    "training": "lab.training",
}
_NAMES = {
    "Distribution": "core.distribution",
    "Bijection": "core.bijection",
    "Term": "core.term",
    "Solver": "core.solver",
    "Path": "core.path",
    "Kernel": "core.kernel",
    "Process": "core.process",
    "Context": "core.process",
    "Batch": "core.data",
    "Loss": "core.objective",
    "RowGenerator": "core.random",
    "UserError": "core.errors",
    "register": "core.registry",
    "Flow": "parts.distributions",
    "fit": "lab.training",
    "save": "lab.training",
    "load": "lab.training",
    "report": "lab.report",
}

if TYPE_CHECKING:
    from .core.bijection import Bijection
    from .core.data import Batch
    from .core.distribution import Distribution
    from .core.errors import UserError
    from .core.kernel import Kernel
    from .core.objective import Loss
    from .core.path import Path
    from .core.process import Context, Process
    from .core.random import RowGenerator
    from .core.registry import register
    from .core.solver import Solver
    from .core.term import Term
    from .lab import metrics, plots, recipes, training
    from .lab.report import report
    from .lab.training import fit, load, save
    from .models import autoregressive, diffusion, dynamics, energy, flows, inference, latent, processes
    from .parts import bijections, data, diffeq, distributions, nn, numerics, paths
    from .parts.distributions import Flow

__all__ = ["__version__", *_MODULES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    elif name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
