"""Peak memory of a training step of Glow, from 8 to 64 steps a level, with activations kept and with activations rebuilt.

Each figure is a process of its own. It takes one step on a single image first, so that weights, gradients and the
optimiser's state are there; what the next step, on a batch, adds to the peak is the activations'.
"""

import os
import resource
import subprocess
import sys

import torch

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator

from .harness import Report

DEPTHS, BATCH, WIDTH, FLAT = (8, 16, 32, 64), 64, 32, 1.2


def run(rounds: int = 1) -> Report:
    """A table of MiB, and whether the reversible ones are flat within 20 %."""
    report = Report("memory", "Memory of reversible training", notes=(
        f"Glow, 3 x 32 x 32, 3 levels, networks of {WIDTH} channels, batch {BATCH}; median of {rounds} processes. Weights, gradients and Adam's "
        "state come on top; they grow with depth in any case. What still grows in the reversible column is one more copy of the gradients of "
        "a level's weights, which are handed over when the level is done.",
        "On the CPU: growth of the largest resident set. On a GPU: growth of the most memory allocated.",
    ))  # fmt: skip
    found = {}
    for memory in ("ordinary", "reversible"):
        for depth in DEPTHS:
            measured = sorted(_in_a_process(depth, memory) for _ in range(rounds))
            found[memory, depth] = measured[len(measured) // 2]
            report.figures.append((f"{memory}, {depth} steps a level", f"{found[memory, depth] / 2**20:.0f} MiB"))
    for memory in ("ordinary", "reversible"):
        ratio = found[memory, DEPTHS[-1]] / found[memory, DEPTHS[0]]
        report.figures.append((f"{memory}, {DEPTHS[-1]} steps against {DEPTHS[0]}", f"{ratio:.2f} times"))
    met = found["reversible", DEPTHS[-1]] <= FLAT * found["reversible", DEPTHS[0]]
    report.figures.append(("reversible memory flat within 20 %", "yes" if met else "no"))
    return report


def _in_a_process(depth: int, memory: str) -> int:
    # glibc hands large blocks back as they are freed only if told where large begins: then the resident set is what is in use.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-m", "bench.memory", str(depth), memory], capture_output=True, text=True,
                          check=True, timeout=900, env=environment)  # fmt: skip
    return int(done.stdout.split()[-1])


def _growth(depth: int, memory: str) -> int:
    """Bytes that a step on a batch adds to the peak of one on a single image."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = pf.flows.glow(event_shape=(3, 32, 32), scales=3, steps=depth, width=WIDTH, memory=memory).to(device)
    optimiser = torch.optim.Adam(model.parameters(), 1e-4)

    def step(rows: int) -> int:
        x = torch.randint(256, (rows, 3, 32, 32), device=device).float()
        model.objective(model, Batch(x), RowGenerator(0, rows, device=device)).value.backward()
        optimiser.step()
        return (
            torch.cuda.max_memory_allocated()
            if device == "cuda"
            else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        )

    before = step(1)
    return step(BATCH) - before


if __name__ == "__main__":
    print(_growth(int(sys.argv[1]), sys.argv[2]))
