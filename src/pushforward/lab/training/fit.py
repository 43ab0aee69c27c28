"""`fit`: the one training loop, for every model of the library. Read `_train`: it is all there."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pushforward.core.errors import ConfigError, UserError
from pushforward.core.objective import Objective
from pushforward.core.random import RowGenerator, mix
from pushforward.models.inference.variational import Draws, bound_objective
from pushforward.parts.bijections import ActNorm, start_from_data

from .bar import Bar
from .checkpoint import read_checkpoint, write_checkpoint
from .distributed import World
from .ema import Average
from .guard import Guard
from .history import History
from .rows import Sampler, as_data
from .save import save
from .schedule import Plan, rate
from .settings import Settings

Callback = Callable[[dict[str, Any]], None]


def fit(model: nn.Module, data: Any, *, objective: Objective | None = None, minutes: float | None = None,
        steps: int | None = None, epochs: float | None = None, seed: int = 0, device: str | torch.device | None = None,
        out: str | Path | None = None, resume: bool = False, callbacks: Sequence[Callback] = (),
        settings: Settings | None = None) -> History:  # fmt: skip
    """Train `model` on `data` in place; it ends with the best averaged weights, in evaluation mode.

    Args:
        model: anything with an `objective`, or for which one is given.
        data: a data set of `pf.data`, a tensor `(n, *event)`, or a pair (train, held_out) of such; or a log density to be matched
            (`pf.inference.Target`, a distribution, or a function of z), and then the loss is minus a lower bound on log Z.
        objective: what to minimise, (model, batch, generator) -> Loss; by default `model.objective`.
        minutes, steps, epochs: the budget; give one (two minutes when none is given). Minutes are turned into a number of steps
            after a short measurement.
        seed: of the split, the order of the rows and the noise; the same seed gives the same losses.
        device: such as "cpu" or "cuda:0"; by default the GPU where there is one. Under `torchrun` every process takes its own.
        out: a folder for `metrics.jsonl`, checkpoints and the saved model; nothing is written without it.
        resume: go on from the checkpoint in `out`, with the same losses as a run that was never stopped.
        callbacks: functions of each record.
        settings: see `Settings`.

    Returns the `History`. Ctrl-C ends the fit cleanly with `history.stopped == "interrupted"`.
    Raises `UserError` for impossible settings, a device that is not there, a full disk, or a loss that stays non-finite.

    >>> import pushforward as pf
    >>> flow = pf.flows.realnvp(features=2, layers=2)
    >>> history = pf.fit(flow, pf.data.load("two_moons"), steps=20, settings=pf.training.Settings(bar=False))
    >>> history.records[-1]["step"]
    20
    """
    if callable(data) and not hasattr(data, "take"):
        data, objective = Draws(), objective or bound_objective(data)  # type: ignore[arg-type]
    run = _Run(model, data, objective, seed, World.join(device), settings or Settings())
    run.budget(minutes, steps, epochs)
    if out is not None:
        run.open(Path(out), resume)
    elif resume:
        raise ConfigError("expected a folder to resume from, got none; pass out=")
    before = torch.get_rng_state()
    try:
        with _interruptible() as interrupted, run.bar or nullcontext():
            _train(run, (run.bar, *callbacks) if run.bar else tuple(callbacks), interrupted)
            run.finish()
    finally:
        torch.set_rng_state(before)
    return run.history


def _train(run: "_Run", callbacks: Sequence[Callback], interrupted: Callable[[], bool]) -> None:
    """The loop: rows, loss, gradient, clip, step, average; every `log_every` steps look up."""
    s, world, optimiser = run.settings, run.world, run.optimiser
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    objective = world.wrap(run.objective, run.has_unused_parameters())
    run.model.train()
    run.guard.keep(run.step)
    started = last = time.monotonic()
    first, stop = run.step, ""
    while not stop and (run.plan.total is None or run.step < run.plan.total):
        batch, generator = run.sampler.batch(run.step)
        _seed_dropout(mix(run.seed, 3, run.step, world.rank), world.device)
        with torch.autocast(world.device.type, torch.bfloat16, enabled=s.precision == "bfloat16"):
            loss = objective(batch, generator)
        for parameter in parameters:  # what zero_grad does, without its bookkeeping
            parameter.grad = None
        loss.backward()
        run.pending[0] += loss.detach()
        norm = nn.utils.clip_grad_norm_(parameters, s.clip or float("inf"), foreach=True)
        run.pending[1] += norm
        # The fused optimiser leaves the weights alone where this is 1, on the device itself: no wait for the answer.
        optimiser.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
        for group in optimiser.param_groups:
            group["lr"] = s.learning_rate * run.guard.rate * rate(run.step, run.plan, s.warmup)
        optimiser.step()
        run.average.update(run.step)
        run.step += 1

        looking = run.step % s.log_every == 0 or run.step == run.plan.total
        if world.any(interrupted()) if looking or world.size == 1 else False:
            stop = "interrupted"
        if not looking:
            if stop:
                run.checkpoint(force=True)
            continue
        now = time.monotonic()
        run.seconds += now - last
        pace = (now - started) / (run.step - first)
        last = now
        record = run.look(pace)
        if not stop and "message" not in record and (run.step % s.evaluate_every == 0 or run.step == run.plan.total):
            stop = run.evaluate(record)
        run.measure(pace, run.step - first)
        if not stop and run.out_of_time():
            stop = "budget"
        run.history.add(record)
        for callback in callbacks:
            callback(record)
        run.checkpoint(force=bool(stop) or run.step == run.plan.total)
    run.history.stopped = stop or "budget"


def _first_look(model: nn.Module, train: Any, rows: int, seed: int, world: World) -> None:
    """Start what starts from data (`ActNorm`). Every process looks at the same rows, and so finds the same numbers."""
    if any(isinstance(part, ActNorm) for part in model.modules()):
        chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:rows]
        batch = train.take(chosen).to(world.device)
        start_from_data(model, batch, RowGenerator(seed, len(chosen), device=world.device))


def _seed_dropout(seed: int, device: torch.device) -> None:
    """Seed PyTorch's own generator, of this device only: `torch.manual_seed` goes through all backends at every step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


class _Objective(nn.Module):
    """The loss as a module, so that DistributedDataParallel sees one forward pass."""

    def __init__(self, model: nn.Module, objective: Objective, world: World, batch_size: int):
        super().__init__()
        self.model, self.function = model, objective
        first, last = world.share(batch_size)
        self.weight = (last - first) * world.size / batch_size  # the mean over all rows, whatever the shares

    def forward(self, batch: Any, generator: RowGenerator) -> torch.Tensor:
        """Mean loss of this process's rows, weighted by their share."""
        return self.function(self.model, batch, generator).value * self.weight


class _Run:
    """Everything a fit carries from step to step."""

    def __init__(
        self, model: nn.Module, data: Any, objective: Objective | None, seed: int, world: World, settings: Settings
    ):
        if objective is None and not hasattr(model, "objective"):
            raise ConfigError(
                f"expected an objective for {type(model).__name__}, which has none of its own; pass objective="
            )
        self.model, self.world, self.settings, self.seed = model.to(world.device), world, settings, seed
        if isinstance(data, tuple):
            train, held_out = as_data(data[0]), as_data(data[1])
        else:
            train, held_out = as_data(data).split((1 - settings.held_out, settings.held_out), seed)
        self.about = train.describe() if hasattr(train, "describe") else {}  # type: ignore[attr-defined]
        self.rows = len(train)
        self.sampler = Sampler(_resident(train, world.device), settings.batch_size, seed, world)
        kept = torch.arange(min(len(held_out), settings.held_out_rows))
        self.held_out = held_out.take(kept).to(world.device)
        self.function: Objective = objective or model.objective  # type: ignore[assignment]
        _first_look(model, train, settings.batch_size, mix(seed, 4), world)
        self.objective = _Objective(model, self.function, world, self.sampler.batch_size)
        parameters = [p for p in model.parameters() if p.requires_grad]
        if not parameters:
            raise ConfigError(f"expected a model with parameters to train, but {type(model).__name__} has none")
        self.optimiser = torch.optim.AdamW(
            parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.average = Average(model, settings.ema_decay)
        self.guard = Guard([*self.average.live.values(), *self.average.averaged.values()], self.optimiser)
        self.best = {name: value.clone() for name, value in self.average.weights().items()}
        self.history = History()
        self.plan, self.minutes = Plan(None), 0.0
        self.step, self.seconds, self.waited = 0, 0.0, 0
        self.pending = torch.zeros(
            2, device=world.device
        )  # loss and gradient norm since the last look: read once, not every step
        self.out: Path | None = None
        self._checkpoint_time, self._saved_best = time.monotonic(), -1
        self.bar = (
            Bar("images" if len(getattr(model, "event_shape", ())) == 3 else "rows")
            if settings.bar and world.rank == 0
            else None
        )

    def budget(self, minutes: float | None, steps: int | None, epochs: float | None) -> None:
        """Turn the budget into a plan."""
        given = [value for value in (minutes, steps, epochs) if value is not None]
        if len(given) > 1 or any(value <= 0 for value in given):
            raise ConfigError(
                f"expected one positive budget, got minutes={minutes}, steps={steps}, epochs={epochs}; give one of the three"
            )
        if steps is not None:
            self.plan = Plan(steps)
        elif epochs is not None:
            self.plan = Plan(max(1, round(epochs * self.sampler.per_epoch)))
        else:
            self.minutes = minutes or 2.0

    def measure(self, pace: float, steps: int) -> None:
        """Once a twentieth of the minutes is spent, plan the number of steps."""
        if self.plan.total is None and self.seconds > self.minutes * 3 and steps >= 10:
            self.plan.measure(self.step, self.world.agree(pace), self.world.agree(self.minutes * 60 - self.seconds))

    def out_of_time(self) -> bool:
        """Half as long again as was asked for is enough, whatever the plan was."""
        return bool(self.minutes) and bool(self.world.agree(float(self.seconds > self.minutes * 90)))

    def look(self, pace: float) -> dict[str, Any]:
        """The record of the steps since the last look; rolls back when a loss was not finite."""
        loss, norm = self.world.mean(self.pending.clone()).tolist()
        self.pending.zero_()
        if not torch.isfinite(torch.tensor([loss, norm])).all():
            record = self.guard.roll_back(self.step)
            if told := self.tell():
                record["message"] += f"; {told}"
            return record
        steps = (self.step - 1) % self.settings.log_every + 1
        if self.step % (5 * self.settings.log_every) == 0:
            self.guard.keep(self.step)
        left = None if self.plan.total is None else round((self.plan.total - self.step) * pace, 1)
        return {"step": self.step, "loss": loss / steps, "gradient_norm": norm / steps, "total": self.plan.total, "seconds_left": left,
                "learning_rate": self.optimiser.param_groups[0]["lr"], "seconds": round(self.seconds, 3),
                "rows_per_second": round(self.sampler.batch_size / pace, 1)}  # fmt: skip

    def tell(self) -> str:
        """Tell a model that asks for it how often weights were put back; what it does about it, in words."""
        hook = getattr(self.model, "rolled_back", None)
        return hook(self.guard.rollbacks) if hook is not None and self.guard.rollbacks else ""

    def evaluate(self, record: dict[str, Any]) -> str:
        """Held-out loss of the averaged weights, with the same noise every time; keep the best; "early" when patience ends."""
        record["held_out_loss"] = loss = self.held_out_loss()
        if loss < self.history.best_held_out_loss:
            self.history.best_held_out_loss, self.history.best_step, self.waited = loss, self.step, 0
            for name, value in self.average.weights().items():
                self.best[name].copy_(value)
        else:
            self.waited += 1
        return "early" if self.settings.patience and self.waited >= self.settings.patience else ""

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Mean objective over the held-out rows."""
        total, count, size = 0.0, len(self.held_out), self.sampler.batch_size
        everything = torch.arange(count, device=self.world.device)
        self.model.eval()
        with self.average.swapped_in():
            for repeat in range(self.settings.held_out_repeats):
                generator = RowGenerator(mix(self.seed, 4, repeat), count, device=self.world.device)
                for a in range(0, count, size):
                    b = min(a + size, count)
                    loss = self.function(self.model, _rows_of(self.held_out, everything[a:b]), generator.slice(a, b))
                    total += float(loss.value) * (b - a)
        self.model.train()
        return total / (count * self.settings.held_out_repeats)

    def has_unused_parameters(self) -> bool:
        """Whether the loss leaves some parameter without a gradient, which DistributedDataParallel must know."""
        if self.world.size == 1:
            return False
        self.objective(*self.sampler.batch(0)).backward()
        unused = any(p.grad is None for p in self.model.parameters() if p.requires_grad)
        self.optimiser.zero_grad(set_to_none=True)
        return self.world.any(unused)

    def open(self, out: Path, resume: bool) -> None:
        """Begin or go on in a run folder."""
        self.out, metrics = out, out / "metrics.jsonl"
        there = (out / "checkpoints" / "last.safetensors").is_file()
        if not resume and (there or (out / "model.safetensors").exists()):
            raise UserError(
                f"expected a folder without a run, but {out} holds one; choose another folder, or resume it"
            )
        if self.world.rank == 0:
            self.history.file = metrics
        if resume and there:
            self._restore(out / "checkpoints" / "last.safetensors")
        self.history.rewind(self.step)

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for a resumed run to repeat the first."""
        shapes = sum(value.numel() * (i + 1) for i, value in enumerate(self.average.live.values()))
        return {"seed": self.seed, "rows": self.rows, "batch_size": self.sampler.batch_size, "weights": shapes,
                "learning_rate": self.settings.learning_rate, "log_every": self.settings.log_every}  # fmt: skip

    def checkpoint(self, force: bool = False) -> None:
        """Write the state now and then, and the best model when it changed. Only the first process writes."""
        due = time.monotonic() - self._checkpoint_time >= self.settings.checkpoint_seconds
        if self.out is None or self.world.rank != 0 or not (due or force):
            return
        groups = {
            "live": self.average.live,
            "average": self.average.averaged,
            "best": self.best,
            "sums": {"pending": self.pending},
        }
        header = {"fingerprint": self.fingerprint(), "step": self.step, "seconds": self.seconds, "waited": self.waited,
                  "plan": [self.plan.total, self.plan.planned_at], "minutes": self.minutes, "rate": self.guard.rate, "rollbacks": self.guard.rollbacks,
                  "best": [self.history.best_step, self.history.best_held_out_loss]}  # fmt: skip
        write_checkpoint(self.out / "checkpoints" / "last.safetensors", groups, self.optimiser, header)
        if self._saved_best != self.history.best_step:
            self._save_best()
        self._checkpoint_time = time.monotonic()

    def finish(self) -> None:
        """Leave the best weights in the model (the latest, if nothing was evaluated) and save it."""
        if self.history.best_step == 0:
            self.best = {name: value.clone() for name, value in self.average.weights().items()}
        self.average.put(self.best)
        self.model.eval()
        if self.out is not None and self.world.rank == 0:
            save(self.model, self.out, about=self.about)
        self.world.wait()

    def _save_best(self) -> None:
        own = {name: value.detach().clone() for name, value in self.average.live.items()}
        self.average.put(self.best)
        save(self.model, self.out or Path(), about=self.about)
        self.average.put(own)
        self._saved_best = self.history.best_step

    def _restore(self, path: Path) -> None:
        groups, header = read_checkpoint(path, self.optimiser, self.fingerprint())
        self.average.put(groups["live"])
        for name, value in groups.get("average", {}).items():
            self.average.averaged[name].copy_(value)
        for name, value in groups["best"].items():
            self.best[name].copy_(value)
        self.pending.copy_(groups["sums"]["pending"])
        self.step, self.seconds, self.waited = header["step"], header["seconds"], header["waited"]
        self.guard.rate, self.guard.rollbacks = header["rate"], header["rollbacks"]
        self.tell()
        self.history.best_step, self.history.best_held_out_loss = header["best"]
        if self.minutes and header["minutes"] == self.minutes:
            self.plan = Plan(*header["plan"])


def _rows_of(batch: Any, index: torch.Tensor) -> Any:
    """Rows of a batch, whatever fields it has."""
    changed = {name: value[index] for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return type(batch)(**{**vars(batch), **changed})


def _resident(data: Any, device: torch.device) -> Any:
    """The data on the device, where it fits in half of what is free there; else where it is, moved batch by batch."""
    if device.type == "cuda":
        tensors = [value for value in vars(data).values() if isinstance(value, torch.Tensor)]
        if sum(value.numel() * value.element_size() for value in tensors) > torch.cuda.mem_get_info(device)[0] // 2:
            return data
    return data.to(device)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C (or SIGTERM) is noted and the loop ends after its step; the second one interrupts at once."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted.is_set
        return

    def note(number: int, _frame: Any) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
