"""A sampler by its name, for command lines and configurations."""

from collections.abc import Callable

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Kernel

from .ancestral import Ancestral
from .annealed_langevin import AnnealedLangevin
from .churned_heun import ChurnedHeun
from .ddim import DDIM
from .dpm_solver import DPMSolver
from .euler_maruyama import ReverseEulerMaruyama
from .ode import ProbabilityFlow
from .predictor_corrector import PredictorCorrector
from .reverse_diffusion import ReverseDiffusion
from .reverse_runge_kutta import ReverseRungeKutta
from .uni_pc import UniPC

NAMED: dict[str, Callable[..., Kernel]] = {
    "Ancestral": Ancestral,
    "AnnealedLangevin": lambda steps=None: AnnealedLangevin(levels=steps),
    "ChurnedHeun": ChurnedHeun,
    "DDIM": DDIM,
    "DPMSolver": DPMSolver,
    "PredictorCorrector": lambda **given: PredictorCorrector(ReverseDiffusion(**given)),
    "ProbabilityFlow": ProbabilityFlow,
    "ReverseDiffusion": ReverseDiffusion,
    "ReverseEulerMaruyama": ReverseEulerMaruyama,
    "ReverseRungeKutta": ReverseRungeKutta,
    "UniPC": UniPC,
}


def named(name: str, steps: int | None = None) -> Kernel:
    """The sampler of this name, with its own number of steps or with `steps` (of the predictor; levels of `AnnealedLangevin`).

    Case and punctuation do not matter. Raises `ConfigError` for a name that is none.

    >>> named("dpm-solver", 15)
    DPMSolver(steps=15, order=2, noise=False, spacing='angle')
    """
    found = {_plain(known): build for known, build in NAMED.items()}.get(_plain(name))
    if found is None:
        raise ConfigError(f"expected a sampler among {', '.join(NAMED)}, got {name!r}; take one of these")
    return found() if steps is None else found(steps=steps)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
