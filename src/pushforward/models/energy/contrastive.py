r"""Fitting a Boltzmann machine: the gradient of log p is a mean over the data minus a mean over the model.

d log p(v) / d theta = d log f(v) / d theta - E_p d log f / d theta, where p = f / Z. The second mean is exact by enumeration, or over
chains: begun at the data and run for k steps (contrastive divergence), or carried on from step to step (persistent). Pseudo-likelihood
puts p(v_i | rest), which has no Z, in the place of p(v).

Hinton 2002, https://doi.org/10.1162/089976602760128018; Tieleman 2008, https://doi.org/10.1145/1390156.1390290;
Besag 1975, https://doi.org/10.2307/2987782
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator, mix

Kind = Literal["exact", "cd", "pcd", "pseudo"]


@dataclass(frozen=True)
class BoltzmannTraining:
    """(model, batch, generator) -> `Loss` for a Boltzmann machine, restricted or not.

    `kind`: "exact" likelihood by enumeration, "cd" (contrastive divergence of `steps` Gibbs steps), "pcd" (the same, from the chains
    that the model carries along), or "pseudo" (likelihood of each bit given the others). The value for "cd" and "pcd" is a difference of
    free energies, whose gradient counts and which itself says nothing; so rows that are held out (evaluation mode) are scored by
    the exact likelihood where it can be had, and by pseudo-likelihood elsewhere. Raises `ConfigError` for impossible settings.

    >>> BoltzmannTraining("cd", steps=5)
    BoltzmannTraining(kind='cd', steps=5)
    """

    kind: str = "pcd"
    steps: int = 1

    def __post_init__(self):
        if self.kind not in get_args(Kind) or self.steps < 1:
            raise ConfigError(
                f"expected a training among {', '.join(get_args(Kind))} and at least 1 step, got {self.kind!r} and {self.steps}"
            )

    def __call__(self, model: Any, batch: Any, generator: RowGenerator) -> Loss:
        v = model.to_model(batch.x)
        kind = self.kind
        if model.training:
            model.partition.forget()
        elif kind != "pseudo":
            kind = "exact" if model.enumerable else "pseudo"
        if kind == "exact":
            return Loss(model.exact_log_z() - model.log_f(v).mean())
        if kind == "pseudo":
            return Loss(-model.log_pseudo(v, generator).mean())
        if kind == "cd":
            fantasies = model.kernel.run(v, self.steps, generator.fork(2)).x
        else:
            # Chains are none of the batch's rows: each has a stream of its own, the same on every process.
            chains = RowGenerator(mix(generator.seed, 5), len(model.chains), device=generator.device)
            fantasies = model.kernel.run(model.chains.to(v.dtype), self.steps, chains).x
            model.chains.copy_(fantasies)
        data, other = model.log_f(v).mean(), model.log_f(fantasies).mean()
        return Loss(other - data, {"log f of data": data.detach(), "log f of chains": other.detach()})


def require_enumerable(kind: str, enumerable: bool, most: str) -> None:
    """Raise `ConfigError` when the exact likelihood is asked of a machine that is too large."""
    if kind == "exact" and not enumerable:
        raise ConfigError(
            f"expected at most {most} for training='exact', which visits all states, got more; take 'pcd'"
        )


def places_to_flip(d: int, generator: RowGenerator, most: int = 64) -> torch.Tensor:
    """Places of a row whose conditional is taken, `(n, k)`: all of them, or `most` at random (with repetition)."""
    if d <= most:
        return torch.arange(d, device=generator.device).expand(generator.rows, d)
    return generator.fork(3).integers(d, most)
