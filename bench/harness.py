"""Time us and our peers in one process, fairly: results compared first, then interleaved repeats in random order.

A single timing on a shared machine is worth little: it jumps by a factor of three or more. So every round runs each
party once, in an order of its own; the figure is the ratio of medians, with a bootstrap interval over the rounds
(they are resampled whole, so what disturbed a round disturbs all parties of it) and the extremes of the paired ratios.
"""

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ._profile import profile, table

RESULTS = Path(__file__).parent / "results"
OURS = "pushforward"


class Disagreement(AssertionError):
    """Two parties do not compute the same thing, so their times cannot be compared."""


@dataclass(frozen=True)
class Agreement:
    """A number on which we and `peer` must agree before either is timed: `difference` at most `tolerance`."""

    peer: str
    what: str
    difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the two agree; NaN never does."""
        return abs(self.difference) <= self.tolerance


@dataclass(frozen=True)
class Comparison:
    """Seconds of every round for every party, and what was checked before."""

    name: str
    seconds: Mapping[str, Sequence[float]]
    agreements: Sequence[Agreement] = ()
    profile: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # shares of a call: see `_profile`

    @property
    def peers(self) -> list[str]:
        """Everyone but us."""
        return [who for who in self.seconds if who != OURS]

    def median(self, who: str) -> float:
        """Median seconds of a call."""
        return statistics.median(self.seconds[who])

    def ratio(self, peer: str) -> float:
        """Ratio of medians, the peer's time over ours: above 1 where we are faster."""
        return self.median(peer) / self.median(OURS)

    def extremes(self, peer: str) -> tuple[float, float]:
        """Smallest and largest ratio within a round."""
        paired = [theirs / ours for theirs, ours in zip(self.seconds[peer], self.seconds[OURS])]
        return min(paired), max(paired)

    def interval(self, peer: str, draws: int = 2000) -> tuple[float, float]:
        """95 % interval of the ratio of medians, from rounds drawn with replacement."""
        rng, rounds = random.Random(0), range(len(self.seconds[OURS]))
        ratios = []
        for _ in range(draws):
            drawn = rng.choices(rounds, k=len(rounds))
            theirs = statistics.median(self.seconds[peer][i] for i in drawn)
            ratios.append(theirs / statistics.median(self.seconds[OURS][i] for i in drawn))
        ratios.sort()
        return ratios[round(0.025 * draws)], ratios[round(0.975 * draws) - 1]


def compare(name: str, ours: Callable[[], object], peers: Mapping[str, Callable[[], object]], *,
            check: Callable[[], Sequence[Agreement]], repeats: int = 30, warmup: int = 3, seed: int = 0,
            synchronise: Callable[[], object] | None = None, profiled: bool = True) -> Comparison:  # fmt: skip
    """Check that the parties agree, warm them up, then time them in interleaved rounds.

    Args:
        name: of the task, such as "training step".
        ours, peers: calls without arguments that do the same work.
        check: says what was compared with each peer, and how closely it agrees; at least one thing for each.
        repeats, warmup: rounds that count, and rounds before them that do not.
        seed: of the order within the rounds.
        synchronise: waits for the device, where work is queued (`torch.cuda.synchronize`).
        profiled: whether to say where the time of a call goes, from a few more calls after the rounds.

    Raises `Disagreement`, and times nothing, when a check fails or a peer was not checked.
    """
    agreements = tuple(check())
    if failed := [a for a in agreements if not a.holds]:
        raise Disagreement(
            f"{name}: "
            + "; ".join(
                f"{a.peer}, {a.what}: differs by {a.difference:.3g}, more than {a.tolerance:.3g}" for a in failed
            )
        )
    if unchecked := set(peers) - {a.peer for a in agreements}:
        raise Disagreement(f"{name}: expected a check of every peer, found none of {', '.join(sorted(unchecked))}")
    parties = {OURS: ours, **peers}
    wait, rng = synchronise or (lambda: None), random.Random(seed)
    seconds: dict[str, list[float]] = {who: [] for who in parties}
    for number in range(warmup + repeats):
        for who in rng.sample(list(parties), len(parties)):
            wait()
            start = time.perf_counter()
            parties[who]()
            wait()
            if number >= warmup:
                seconds[who].append(time.perf_counter() - start)
    return Comparison(name, seconds, agreements, profile(parties) if profiled else {})


def machine(packages: Sequence[str] = ()) -> str:
    """One line that says where the figures were taken."""
    import torch

    parts = [f"{_cpu()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    if hasattr(os, "getloadavg"):
        parts.append(f"load average {os.getloadavg()[0]:.1f}")
    parts += [f"torch {torch.__version__}", f"Python {platform.python_version()}"]
    parts += [f"{name} {_version(name)}" for name in packages]
    return "; ".join([*parts, date.today().isoformat()])


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@dataclass
class Report:
    """What one benchmark found, as it goes to `results/NAME.json` and `results/NAME.md`."""

    name: str
    title: str
    packages: Sequence[str] = ()
    notes: Sequence[str] = ()
    comparisons: list[Comparison] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)  # other numbers worth a line: (what, value)

    def markdown(self) -> str:
        """The table people read."""
        lines = [
            f"# {self.title}",
            "",
            f"`make bench BENCHES={self.name}`",
            "",
            f"Machine: {machine(self.packages)}.",
            "",
        ]
        shown: Sequence[Agreement] = ()
        for comparison in self.comparisons:
            rounds = len(comparison.seconds[OURS])
            lines += [f"## {comparison.name}", "", f"Medians of {rounds} interleaved rounds. Times as fast = their time / ours.", "",
                      "| | milliseconds | times as fast | 95 % interval | extremes of the rounds |", "|---|---:|---:|---:|---:|",
                      f"| **{OURS}** | **{1e3 * comparison.median(OURS):.2f}** | 1 | | |"]  # fmt: skip
            for peer in comparison.peers:
                low, high = comparison.interval(peer)
                least, most = comparison.extremes(peer)
                lines.append(
                    f"| {peer} | {1e3 * comparison.median(peer):.2f} | **{comparison.ratio(peer):.2f}** | {low:.2f} to {high:.2f} | {least:.2f} to {most:.2f} |"
                )
            if comparison.profile:
                lines += ["", *table(comparison.profile)[:-1]]
            if comparison.agreements != shown:
                lines += ["", "Checked before timing:", ""]
                lines += [
                    f"- {a.peer}, {a.what}: difference {a.difference:.2g}, allowed {a.tolerance:.2g}"
                    for a in comparison.agreements
                ]
                shown = comparison.agreements
            lines.append("")
        if self.figures:
            lines += ["| | |", "|---|---:|", *(f"| {what} | {value} |" for what, value in self.figures), ""]
        if self.notes:
            lines += ["## What to know", "", *(f"- {note}" for note in self.notes), ""]
        return "\n".join(lines)

    def as_json(self) -> dict:
        """Everything, every round included."""
        return {
            "name": self.name, "title": self.title, "machine": machine(self.packages), "notes": list(self.notes),
            "figures": dict(self.figures),
            "comparisons": [
                {"name": c.name, "seconds": {who: [round(s, 7) for s in all_] for who, all_ in c.seconds.items()},
                 "median_seconds": {who: c.median(who) for who in c.seconds},
                 "profile": {who: {group: round(share, 4) for group, share in c.profile[who].items()} for who in c.profile},
                 "times_as_fast": {peer: {"ratio": c.ratio(peer), "interval": c.interval(peer), "extremes": c.extremes(peer)} for peer in c.peers},
                 "agreements": [vars(a) for a in c.agreements]}
                for c in self.comparisons
            ],
        }  # fmt: skip

    def write(self, folder: Path = RESULTS) -> Path:
        """Write both files; return the path of the table."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.json").write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        table = folder / f"{self.name}.md"
        table.write_text(self.markdown(), encoding="utf-8")
        return table
