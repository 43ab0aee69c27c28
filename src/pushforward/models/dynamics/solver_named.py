"""Solvers by name, so that a model's solver can be chosen on the command line."""

from pushforward.core.errors import ConfigError
from pushforward.core.solver import Solver
from pushforward.parts import diffeq

NAMES = ("Dopri5", "Tsit5", "Bosh3", "Euler", "Midpoint", "Heun", "RK4")


def solver_named(solver: str | Solver) -> Solver:
    """A solver of ordinary equations; one that is given already stays as it is. Raises `ConfigError` for an unknown name.

    >>> solver_named("rk4").order
    4
    """
    if isinstance(solver, Solver):
        return solver
    for name in NAMES:
        if name.lower() == solver.lower():
            return getattr(diffeq, name)()
    raise ConfigError(f"expected a solver among {', '.join(NAMES)}, got {solver!r}; choose one of these")
