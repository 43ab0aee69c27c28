"""Neural ODE processes beside a neural process of about the same size: error and likelihood on functions that were held out.

`python examples/neural_ode_process_comparison.py 1` trains each model for one minute on each of five seeds. Norcliffe et al. (2021,
https://arxiv.org/abs/2103.12413, table 1) report a mean squared error x 100 on sines of 5.93 for the neural process, 2.09 for the
neural ODE process and 2.75 for that of second order. Contexts have 5 random points and targets are the others.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import torch

import pushforward as pf
from pushforward.lab.metrics import Estimate
from pushforward.lab.report.process_model import split_context

SIZES: dict[str, Any] = {"latent": 10, "control": 5, "hidden": 48, "representation": 48, "layers": 2, "steps": 10}
MODELS: dict[str, Callable] = {
    "neural process": lambda data, seed: pf.processes.neural_process(
        data, hidden=60, latents=25, layers=2, min_scale=0.05, seed=seed
    ),
    "neural ODE process": lambda data, seed: pf.processes.neural_ode_process(data, **SIZES, seed=seed),
    "of second order": lambda data, seed: pf.processes.neural_ode_process(data, order=2, **SIZES, seed=seed),
}
FAMILIES: dict[str, Callable] = {
    "sines": lambda seed: pf.data.sines(700, points=40, seed=seed),
    "Lotka-Volterra": lambda seed: pf.data.lotka_volterra(700, points=40, seed=seed),
}


def train(model: Any, data: pf.data.FunctionSet, minutes: float, seed: int) -> int:
    """Adam for some time; the number of steps that it took."""
    adam, start, step = torch.optim.Adam(model.parameters(), lr=3e-3), time.monotonic(), 0
    while time.monotonic() - start < 60 * minutes:
        generator = pf.RowGenerator(1000 * seed + step, 32)
        adam.zero_grad()
        batch = data.take(generator.fork(0).integers(len(data)))
        model.objective(model, batch, generator.fork(1)).value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        adam.step()
        step += 1
    return step


@torch.no_grad()
def evaluate(model: Any, test: pf.data.FunctionSet) -> tuple[float, float]:
    """Mean squared error x 100 and joint log-likelihood per target point, given five points."""
    context, target = split_context(test.take(torch.arange(len(test))), 5, 0)
    prediction = model.predict(context, target.x)
    error = (prediction.mean - target.y).square().mean()
    return 100 * float(error), float(prediction.log_prob(target.y).mean()) / target.y.shape[1]


def main(minutes: float, seeds: int, families: list[str]) -> None:
    """One table a family: means and standard errors over the seeds."""
    for family in families:
        print(f"{family}: mean and standard error over {seeds} seeds of {minutes:g} minutes each")
        for name, build in MODELS.items():
            found, steps = [], []
            for seed in range(seeds):
                data = FAMILIES[family](seed)
                parts = data.split((5 / 7, 2 / 7), seed)
                model = build(parts[0], seed)
                steps.append(train(model, parts[0], minutes, seed))
                found.append(evaluate(model, parts[1]))
            size = sum(weight.numel() for weight in model.parameters())
            error, likelihood = (Estimate.of(torch.tensor(column)) for column in zip(*found))
            print(f"  {name:20s} {size:6,} weights, {sum(steps) // seeds:5,} steps: error x 100 {error.value:6.2f} +- {error.std_error:.2f}, "
                  f"log-likelihood {likelihood.value:6.3f} +- {likelihood.std_error:.3f} nats a point", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 1.0,
        int(sys.argv[2]) if len(sys.argv) > 2 else 5,
        sys.argv[3:] or list(FAMILIES),
    )
