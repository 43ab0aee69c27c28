"""Fits in processes of their own: killed and resumed, and two processes for one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = "tests.lab.training.line_script"


def launch(*command: str) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    try:
        _, errors = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0, errors.decode()[-3000:]


def losses(run: Path) -> dict[int, tuple[float, float | None]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len({r["step"] for r in records}) == len(records), "a step was logged twice"
    return {r["step"]: (r["loss"], r.get("held_out_loss")) for r in records}


def test_killed_at_any_moment_and_resumed_gives_the_same_losses(tmp_path):
    arguments = ("20000", "64", "fresh", "0.1")
    victim = launch(SCRIPT, str(tmp_path / "killed"), *arguments)
    metrics = tmp_path / "killed" / "metrics.jsonl"
    give_up = time.monotonic() + 120
    try:
        while not metrics.exists() or metrics.read_text().count("\n") < 25:
            assert victim.poll() is None, (victim.stderr.read().decode() if victim.stderr else "")[-3000:]
            assert time.monotonic() < give_up
            time.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
    finally:
        victim.kill()
        victim.communicate(timeout=30)
    seen = len(metrics.read_text().splitlines()) * 5
    with open(metrics, "a") as file:
        file.write('{"step": 99999, "lo')  # a line cut off by the crash
    # The resumed run is shorter: the learning rate depends on the total, so the whole one has that total too.
    total = str(20000)
    stopper = launch(SCRIPT, str(tmp_path / "killed"), total, "64", "resume", "0.1")
    wanted = seen // 5 + 40
    give_up = time.monotonic() + 120
    try:
        while metrics.read_text().count("\n") < wanted:
            assert stopper.poll() is None, (stopper.stderr.read().decode() if stopper.stderr else "")[-3000:]
            assert time.monotonic() < give_up
            time.sleep(0.01)
        stopper.send_signal(signal.SIGINT)
        _, errors = stopper.communicate(timeout=60)
        assert stopper.returncode == 0, errors.decode()[-3000:]
    finally:
        stopper.kill()
        stopper.wait(timeout=30)
    resumed = losses(tmp_path / "killed")
    reference = launch(SCRIPT, str(tmp_path / "whole"), *arguments)
    whole = tmp_path / "whole" / "metrics.jsonl"
    give_up = time.monotonic() + 120
    try:
        while not whole.exists() or whole.read_text().count("\n") < len(resumed) + 1:
            assert reference.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.01)
        reference.send_signal(signal.SIGINT)
        reference.communicate(timeout=60)
    finally:
        reference.kill()
        reference.wait(timeout=30)
    expected = losses(tmp_path / "whole")
    assert max(resumed) > seen, "the resumed run went on beyond the kill"
    assert resumed == {step: expected[step] for step in resumed}


@pytest.mark.parametrize("batch", [64, 51])
def test_two_processes_give_the_losses_of_one(tmp_path, batch):
    arguments = ("40", str(batch), "fresh", "0.0")  # dropout masks belong to a process, so none here
    finish(launch(SCRIPT, str(tmp_path / "one"), *arguments))
    finish(
        launch(
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            "-m",
            SCRIPT,
            str(tmp_path / "two"),
            *arguments,
        )
    )
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert one.keys() == two.keys()
    for step, (loss, held_out) in one.items():
        assert two[step][0] == pytest.approx(loss, rel=1e-5)
        assert (held_out is None) == (two[step][1] is None)
        if held_out is not None:
            assert two[step][1] == pytest.approx(held_out, rel=1e-5)
