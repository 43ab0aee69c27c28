"""Samples of many chains at once, and what they say about themselves.

Warm-up, sampling, and the table that ought to be read before the draws are used: ESS, R-hat, divergences. Gelman and others 2020,
Bayesian workflow, https://arxiv.org/abs/2011.01808
"""

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, UserError
from pushforward.core.kernel import Callback, Info, Kernel
from pushforward.core.random import RowGenerator

from .adaptation import Mass, Warmed
from .adaptation import warm_up as tune
from .density import features_of
from .diagnostics import ess_bulk, ess_tail, monte_carlo_error, split_r_hat
from .langevin import Langevin
from .stochastic_gradient_langevin import StochasticGradientLangevin

COLUMNS = ("mean", "sd", "5 %", "50 %", "95 %", "MCSE", "ESS bulk", "ESS tail", "R-hat")


@dataclass(frozen=True, eq=False)
class Chains:
    """`draws` `(chains, n, *event)`, with the acceptance and the divergences of every chain and the energies `(chains, n)`.

    `kernel` is the tuned one, `seconds` the time of the warm-up and of the sampling. `interrupted` says that Ctrl-C ended it.
    """

    draws: Tensor
    acceptance: Tensor
    divergences: Tensor
    energies: Tensor
    kernel: Kernel
    seconds: tuple[float, float] = (0.0, 0.0)
    interrupted: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def summary(self, names: Sequence[str] | None = None) -> "Summary":
        """A row for every number of the event: mean, quantiles, error of the mean, effective sample sizes, R-hat."""
        draws = self.draws.flatten(2) if self.draws.ndim > 2 else self.draws[..., None]
        event = self.draws.shape[2:]
        named = (
            list(names)
            if names is not None
            else [f"x[{', '.join(map(str, _place(i, event)))}]" for i in range(draws.shape[2])]
        )
        if len(named) != draws.shape[2]:
            raise ConfigError(f"expected {draws.shape[2]} names, one for each number of the event, got {len(named)}")
        flat = draws.flatten(0, 1).double()
        quantiles = torch.stack(
            [torch.quantile(column, torch.tensor([0.05, 0.5, 0.95]).to(column)) for column in flat.T], 1
        )
        values = torch.stack([flat.mean(0), flat.std(0), *quantiles, monte_carlo_error(draws), ess_bulk(draws), ess_tail(draws),
                              split_r_hat(draws)], 1)  # fmt: skip
        return Summary(
            named, values, float(self.acceptance.mean()), int(self.divergences.sum()), tuple(self.draws.shape[:2])
        )

    def to_arviz(self) -> Any:
        """The same as an `arviz.InferenceData`. Raises `ConfigError` where ArviZ is not installed."""
        try:
            import arviz  # type: ignore[import-not-found]
        except ImportError as error:
            raise ConfigError("expected the package arviz for to_arviz, found none; pip install arviz") from error
        posterior = {"x": self.draws.detach().cpu().numpy()}
        return arviz.from_dict(posterior=posterior, sample_stats={"energy": self.energies.cpu().numpy()})


@dataclass(frozen=True, eq=False)
class Summary:
    """`values` `(rows, 9)`, whose columns are `COLUMNS`; prints as a table."""

    names: Sequence[str]
    values: Tensor
    acceptance: float
    divergences: int
    size: tuple[int, ...]

    def column(self, name: str) -> Tensor:
        """One column, such as `"R-hat"`."""
        if name not in COLUMNS:
            raise ConfigError(f"expected a column of {', '.join(COLUMNS)}, got {name!r}")
        return self.values[:, COLUMNS.index(name)]

    def __str__(self) -> str:
        """The table, at most 40 rows of it."""
        width = max([len(n) for n in self.names] + [4])
        lines = [" " * width + "".join(f"{c:>10}" for c in COLUMNS)]
        for name, row in list(zip(self.names, self.values.tolist()))[:40]:
            shown = [f"{v:.4g}" for v in row[:6]] + [f"{v:.0f}" for v in row[6:8]] + [f"{row[8]:.3f}"]
            lines.append(f"{name:<{width}}" + "".join(f"{v:>10}" for v in shown))
        if len(self.names) > 40:
            lines.append(f"... and {len(self.names) - 40} more")
        lines.append(
            f"{self.size[0]} chains of {self.size[1]} draws; acceptance {self.acceptance:.2f}; {self.divergences} divergences"
        )
        return "\n".join(lines)


def sample_chains(kernel: Kernel, n: int, *, chains: int | None = None, start: Tensor | None = None, warm_up: int = 500,
                  thin: int = 1, mass: Mass = "diagonal", acceptance: float | None = None, generator: torch.Generator | None = None,
                  callback: Callback | None = None) -> Chains:  # fmt: skip
    """Draw `n` states of every chain, every `thin`-th step, after a warm-up that tunes the kernel.

    Args:
        kernel: MALA, HMC, NUTS, `ParallelTempering`, or a Langevin kernel, which is not tuned.
        n: draws of a chain.
        chains: how many; 4 by default, or as many as `start` has rows. Hundreds cost little more than four.
        start: `(chains, *event)`; by default uniform in [-2, 2], where the log density knows its shape.
        warm_up: steps that are tuned and thrown away; 0 takes the kernel as it is.
        thin, mass, acceptance: see above, and `warm_up`.
        generator: of all of it.
        callback: sees `(state, info)` after every step, for a bar of progress.

    Ctrl-C returns the draws so far. Warns when R-hat exceeds 1.05.

    Raises `UserError` where a start is not finite or the warm-up accepts nothing, `ConfigError` for impossible settings.

    >>> from pushforward.models.inference import HMC
    >>> target = lambda x: -x.square().sum(1) / 2
    >>> found = sample_chains(HMC(target, 0.5), 200, start=torch.zeros(4, 1), generator=torch.Generator().manual_seed(0))
    >>> found.draws.shape, bool(found.summary().column("R-hat").max() < 1.05)
    (torch.Size([4, 200, 1]), True)
    """
    if n < 1 or thin < 1 or warm_up < 0:
        raise ConfigError(
            f"expected at least 1 draw, thin of at least 1 and warm_up of at least 0, got {n}, {thin} and {warm_up}"
        )
    seed = int(torch.randint(1 << 62, (), generator=generator, device="cpu" if generator is None else generator.device))
    x = _start(kernel, chains, start, seed)
    rows = RowGenerator(seed, len(x), device=x.device)
    begun = time.perf_counter()
    if warm_up and not isinstance(kernel, Langevin | StochasticGradientLangevin):
        tuned = _tune(kernel, x, warm_up, mass, acceptance, seed, callback)
        kernel, x = tuned.kernel, tuned.x
    elif warm_up:
        x = kernel.run(x, warm_up, rows.fork(3), callback).x
    warmed = time.perf_counter()
    found = _walk(kernel, x, n, thin, rows.fork(4), callback)
    result = Chains(*found[:4], kernel, (warmed - begun, time.perf_counter() - warmed), found[4])
    if len(x) > 1 and result.draws.shape[1] >= 4:
        worst = float(split_r_hat(result.draws).max())
        if worst > 1.05:
            warnings.warn(f"R-hat is {worst:.2f}, above 1.05: the chains do not agree; draw more, or, where the target has parts that lie far "
                          "apart, use ParallelTempering", stacklevel=2)  # fmt: skip
    return result


def _walk(kernel: Kernel, x: Tensor, n: int, thin: int, rows: RowGenerator,
          callback: Callback | None) -> tuple[Tensor, Tensor, Tensor, Tensor, bool]:  # fmt: skip
    state = kernel.init(x)
    draws, energies = x.new_empty(len(x), n, *x.shape[1:]), torch.full((len(x), n), math.nan, device=x.device)
    accepted, divergences = torch.zeros(len(x), device=x.device), torch.zeros(len(x), device=x.device)
    done, steps, interrupted = 0, 0, False
    try:
        for at in range(n):
            info = Info()
            for _ in range(thin):
                state, info = kernel.step(state, rows)
                steps += 1
                accepted += info.values.get("acceptance", 1.0)
                divergences += info.values.get("divergent", 0)
                if callback is not None:
                    callback(state, info)
            draws[:, at] = state.x
            energies[:, at] = info.values.get("energy", math.nan)
            done = at + 1
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
    return draws[:, :done], accepted / max(steps, 1), divergences.long(), energies[:, :done], interrupted


def _tune(
    kernel: Kernel, x: Tensor, steps: int, mass: Mass, acceptance: float | None, seed: int, callback: Callback | None
) -> Warmed:
    generator = torch.Generator().manual_seed(seed)
    return tune(kernel, x, steps=steps, mass=mass, acceptance=acceptance, generator=generator, callback=callback)


def _start(kernel: Kernel, chains: int | None, start: Tensor | None, seed: int) -> Tensor:
    if start is not None:
        if start.ndim < 2 or not len(start) or (chains is not None and chains != len(start)):
            raise ConfigError(
                f"expected a start (chains, *event) of {chains or 'some'} chains, got shape {tuple(start.shape)}"
            )
        return start.detach()
    target = getattr(kernel, "log_density", None)
    chains = 4 if chains is None else chains
    if chains < 1:
        raise ConfigError(f"expected at least 1 chain, got {chains}")
    if isinstance(target, Distribution):
        first = next((t for t in (*target.parameters(), *target.buffers()) if t.is_floating_point()), torch.zeros(()))
        shape, like = tuple(target.event_shape), first
    elif target is not None and hasattr(target, "features"):
        shape, like = (features_of(target),), torch.zeros(())
    else:
        raise UserError("expected a start (chains, *event) for a plain function, got none; say where the chains begin")
    rows = RowGenerator(seed, chains, device=like.device).fork(5)
    return 4 * rows.uniform(*shape, dtype=like.dtype) - 2


def _place(index: int, event: Sequence[int]) -> list[int]:
    place = []
    for size in reversed(event):
        index, at = divmod(index, size)
        place.append(at)
    return place[::-1] or [0]
