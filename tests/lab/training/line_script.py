"""Fit the small model in a process of its own: `python -m tests.lab.training.line_script OUT STEPS BATCH RESUME`."""

import sys

import torch

import pushforward as pf
from pushforward.lab.training import Settings
from tests.lab.training.line import NoisyLine, line_data


def main() -> None:
    """Fit and leave the run in OUT."""
    out, steps, batch, resume, dropout = (
        sys.argv[1],
        int(sys.argv[2]),
        int(sys.argv[3]),
        sys.argv[4] == "resume",
        float(sys.argv[5]),
    )
    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = Settings(
        batch_size=batch, learning_rate=1e-2, evaluate_every=20, log_every=5, checkpoint_seconds=0, warmup=10, bar=False
    )
    pf.fit(
        NoisyLine(dropout=dropout),
        line_data(),
        steps=steps,
        seed=3,
        device="cpu",
        out=out,
        resume=resume,
        settings=settings,
    )


if __name__ == "__main__":
    main()
