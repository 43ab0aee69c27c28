"""The training loop: budgets, the guard against NaN, early stopping, resuming, interruption, and its sentences."""

import errno
import itertools
import os
import signal
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, SavedFileError, UserError
from pushforward.core.objective import Loss, negative_log_likelihood
from pushforward.lab.training import Settings
from pushforward.lab.training.rows import Sampler, TensorRows
from pushforward.lab.training.schedule import Plan, rate
from tests.lab.training.line import NoisyLine, line_data

QUIET = Settings(bar=False, batch_size=64, learning_rate=1e-2, evaluate_every=20, log_every=5, warmup=10)


def fitted(**options):
    torch.manual_seed(0)
    model = NoisyLine()
    return model, pf.fit(model, line_data(), device="cpu", **({"settings": QUIET} | options))


def test_reaches_the_moments_of_the_data():
    model, history = fitted(steps=600, settings=Settings(bar=False, batch_size=100, learning_rate=2e-2, patience=0))
    x = line_data()
    truth = torch.distributions.Normal(x.mean(0), x.std(0)).entropy().sum()
    assert not model.training
    assert history.best_held_out_loss == pytest.approx(float(truth), abs=0.25)
    assert model.sample(4000).mean(0) == pytest.approx(x.mean(0), abs=0.3)


def test_the_same_seed_gives_the_same_losses_and_another_does_not():
    one, two, three = (fitted(steps=30, seed=seed)[1].column("loss") for seed in (0, 0, 1))
    assert one == two
    assert one != three


def test_leaves_the_callers_randomness_alone():
    torch.manual_seed(5)
    model, expected = NoisyLine(), torch.rand(3)
    torch.manual_seed(5)
    model = NoisyLine()
    pf.fit(model, line_data(), steps=10, settings=QUIET, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_interrupted_in_the_middle_and_resumed_repeats_the_losses(tmp_path):
    _, whole = fitted(steps=60, out=tmp_path / "whole")
    count = [0]

    def stopping(model, batch, generator):
        count[0] += model.training
        if count[0] == 33:  # not a step that is logged
            signal.raise_signal(signal.SIGINT)
        return negative_log_likelihood(model, batch, generator)

    _, first = fitted(steps=60, out=tmp_path / "cut", objective=stopping)
    assert first.stopped == "interrupted"
    assert first.records[-1]["step"] == 30
    assert (tmp_path / "cut" / "model.safetensors").exists()
    model, second = fitted(steps=60, out=tmp_path / "cut", resume=True)
    for name in ("loss", "held_out_loss", "learning_rate"):
        assert second.column(name) == whole.column(name)
    loaded = pf.load(tmp_path / "cut")
    assert torch.equal(loaded.log_prob(line_data()), model.log_prob(line_data()))


def test_signal_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    fitted(steps=5)
    assert signal.getsignal(signal.SIGINT) is before


def test_runs_in_a_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(fitted(steps=5)[1].stopped))
    thread.start()
    thread.join(timeout=60)
    assert results == ["budget"]


def test_rolls_back_from_a_loss_that_is_not_finite_and_says_so():
    seen = [0]

    def poisoned(model, batch, generator):
        loss = negative_log_likelihood(model, batch, generator).value
        if model.training:
            seen[0] += 1
            if seen[0] in (23, 24):
                loss = loss * float("nan")
        return Loss(loss)

    with pytest.warns(
        UserWarning, match=r"not finite before step 25: back to the weights of step 0, learning rate halved"
    ):
        model, history = fitted(steps=200, objective=poisoned)
    assert [r["step"] for r in history.records if "rolled_back_to" in r] == [25]
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert history.records[-1]["loss"] < history.records[0]["loss"]
    plain = fitted(steps=200)[1]
    assert history.records[-2]["learning_rate"] == pytest.approx(plain.records[-2]["learning_rate"] / 2)


def test_gives_up_on_a_loss_that_stays_not_finite():
    def hopeless(model, batch, generator):
        return Loss(negative_log_likelihood(model, batch, generator).value * float("inf"))

    with (
        pytest.warns(UserWarning, match="not finite"),
        pytest.raises(UserError, match="expected a finite loss, got NaN or infinity 11 times"),
    ):
        fitted(steps=200, objective=hopeless)


def test_stops_early_and_keeps_the_best_weights():
    held_out = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)) * 0.1  # nothing like the training rows
    torch.manual_seed(0)
    model = NoisyLine(dropout=0.0)
    settings = Settings(
        bar=False, batch_size=64, learning_rate=3e-2, evaluate_every=5, log_every=5, patience=3, ema_decay=0, warmup=0
    )
    history = pf.fit(model, (line_data(), held_out), steps=5000, settings=settings, device="cpu")
    assert history.stopped == "early"
    best = min(history.column("held_out_loss")[1])
    assert history.best_held_out_loss == best
    assert -model.log_prob(held_out).mean().item() == pytest.approx(best, rel=1e-5)


def test_minutes_are_planned_as_steps(monkeypatch):
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) * 0.1)  # a tenth of a second between two looks at it
    monkeypatch.setattr(sys.modules["pushforward.lab.training.fit"], "time", clock)
    _, history = fitted(minutes=0.1)
    last = history.records[-1]
    assert history.stopped == "budget"
    assert last["step"] == last["total"] == history.records[-2]["total"]
    assert last["learning_rate"] < 1e-5, "the schedule came to its end"
    assert last["seconds"] == pytest.approx(6, abs=2)


def test_epochs():
    _, history = fitted(epochs=2)
    assert history.records[-1]["step"] == 2 * (360 // 64)


def test_a_full_disk_during_a_checkpoint_loses_nothing(tmp_path, monkeypatch):
    fitted(steps=20, out=tmp_path / "run")
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    genuine = os.fsync

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="expected room on the disk"):
        fitted(steps=40, out=tmp_path / "run", resume=True)
    monkeypatch.setattr(os, "fsync", genuine)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    assert not list(tmp_path.rglob("*.part"))
    fitted(steps=40, out=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": 3, "minutes": 1.0}, "expected one positive budget"),
        ({"steps": 0}, "expected one positive budget"),
        ({"steps": 3, "resume": True}, "expected a folder to resume from"),
        ({"steps": 3, "device": "cuda:99"}, "expected a device among cpu"),
        ({"steps": 3, "device": "abacus"}, "expected a device among cpu"),
    ],
)
def test_impossible_options(options, sentence):
    model = NoisyLine()
    with pytest.raises(ConfigError, match=sentence):
        pf.fit(model, line_data(), settings=QUIET, **options)


def test_impossible_settings_and_models():
    with pytest.raises(ConfigError, match="expected learning_rate above 0, got -1"):
        Settings(learning_rate=-1)
    with pytest.raises(ConfigError, match="expected an objective for Linear"):
        pf.fit(torch.nn.Linear(2, 2), line_data(), steps=1, settings=QUIET)


def test_a_run_is_not_overwritten_and_not_resumed_by_another(tmp_path):
    fitted(steps=10, out=tmp_path)
    with pytest.raises(UserError, match="expected a folder without a run"):
        fitted(steps=10, out=tmp_path)
    with pytest.raises(SavedFileError, match="expected a checkpoint with the same seed"):
        fitted(steps=20, out=tmp_path, resume=True, seed=1)


def test_an_epoch_sees_every_row_once():
    from pushforward.lab.training.distributed import World

    rows = TensorRows(torch.arange(12.0)[:, None])
    sampler = Sampler(rows, 4, 0, World(0, 1, torch.device("cpu")))
    first = torch.cat([sampler.batch(step)[0].x for step in range(3)])
    second = torch.cat([sampler.batch(step)[0].x for step in range(3, 6)])
    assert sorted(first.flatten().tolist()) == list(range(12)) == sorted(second.flatten().tolist())
    assert not torch.equal(first, second)


def test_shares_of_two_processes_make_the_batch_of_one():
    from pushforward.lab.training.distributed import World

    rows = TensorRows(torch.arange(40.0)[:, None])
    whole, generator = Sampler(rows, 9, 0, World(0, 1, torch.device("cpu"))).batch(2)
    parts = [Sampler(rows, 9, 0, World(rank, 2, torch.device("cpu"))).batch(2) for rank in (0, 1)]
    assert torch.equal(torch.cat([batch.x for batch, _ in parts]), whole.x)
    assert torch.equal(torch.cat([g.normal(3) for _, g in parts]), generator.normal(3))


def test_schedule_warms_up_and_comes_down():
    plan = Plan(100)
    assert rate(0, plan, 10) == pytest.approx(0.1)
    assert rate(50, plan, 10) == pytest.approx(0.5)
    assert rate(100, plan, 10) == pytest.approx(0.0, abs=1e-12)
