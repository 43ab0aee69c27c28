"""Peak memory of the gradient of a solve, from 100 to 1000 steps, for each of the four ways to compute it.

Each figure is a process of its own. It takes a gradient through two steps first, so that weights, gradients and
libraries are there; what the gradient of the long solve adds to the peak is that of its steps.
"""

import os
import resource
import subprocess
import sys

import torch

import pushforward as pf

from .harness import Report

RULES, STEPS = ("direct", "checkpointed", "adjoint", "reversible"), (100, 300, 1000)
ROWS, WIDTH, FLAT, ALLOWANCE = 256, 64, 1.2, 2**20


def run(rounds: int = 3) -> Report:
    """A table of MiB, the errors of the gradients, and whether those that should be are flat within 20 %."""
    report = Report("solve_memory", "Memory of the gradient of a solve", notes=(
        f"RK4 from t = 0 to 1, state of {ROWS} x {WIDTH} in float32, field: two layers of width {WIDTH}, loss on the last state; median of "
        f"{rounds} processes. On the CPU: growth of the largest resident set. On a GPU: growth of the most memory allocated.",
        "Flat: 1000 steps take at most 20 % more than 100, or less than one MiB more, the grain of the measurement.",
        "Errors: largest difference from the gradient by autograd, relative to its largest entry, float64, 4 rows, 100 steps. Reversible steps are "
        "exact for their own discretisation, which is another one.",
    ))  # fmt: skip
    found = {}
    for rule in RULES:
        for steps in STEPS:
            measured = sorted(_in_a_process(rule, steps) for _ in range(rounds))
            found[rule, steps] = measured[len(measured) // 2]
            report.figures.append((f"{rule}, {steps} steps", f"{found[rule, steps] / 2**20:.1f} MiB"))
    for rule in RULES:
        few, many = found[rule, STEPS[0]], found[rule, STEPS[-1]]
        report.figures.append((f"{rule}, {STEPS[-1]} steps against {STEPS[0]}", f"{many / max(few, 1):.2f} times"))
        if rule in ("adjoint", "reversible"):
            flat = many <= FLAT * few or many - few < ALLOWANCE
            report.figures.append((f"{rule}: flat", "yes" if flat else "no"))
    report.figures += [(f"{rule}: relative error of the gradient", f"{error:.1g}") for rule, error in errors().items()]
    return report


def errors() -> dict[str, float]:
    """How far the gradients of each rule are from those by autograd through the same number of steps."""
    found = {rule: gradients(rule, 100, rows=4, dtype=torch.float64) for rule in RULES}
    size = max(float(x.abs().max()) for x in found["direct"])
    return {
        rule: max(float((x - y).abs().max()) for x, y in zip(found[rule], found["direct"])) / size for rule in RULES[1:]
    }


def gradients(rule: str, steps: int, rows: int = ROWS, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Of the mean square of the last state, to the start and to the weights."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    layers = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, WIDTH)
    network = torch.nn.Sequential(*layers).to(device, dtype)
    y0 = torch.randn(rows, WIDTH, dtype=dtype, device=device).requires_grad_()
    times = torch.tensor([0.0, 1.0], dtype=dtype, device=device)
    found = pf.diffeq.solve(
        lambda t, y: network(y), y0, times, solver=pf.diffeq.RK4(), step_size=1 / steps, gradient=rule
    )
    return list(torch.autograd.grad(found.last_y.square().mean(), [y0, *network.parameters()]))


def _in_a_process(rule: str, steps: int) -> int:
    # glibc hands large blocks back as they are freed only if told where large begins: then the resident set is what is in use.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-m", "bench.solve_memory", rule, str(steps)], capture_output=True, text=True,
                          check=True, timeout=900, env=environment)  # fmt: skip
    return int(done.stdout.split()[-1])


def _peak() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _growth(rule: str, steps: int) -> int:
    """Bytes that the gradient through many steps adds to the peak of one through two."""
    gradients(rule, 2)
    before = _peak()
    gradients(rule, steps)
    return _peak() - before


if __name__ == "__main__":
    print(_growth(sys.argv[1], int(sys.argv[2])))
