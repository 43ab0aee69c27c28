"""The live line of a fit: step, loss, held-out loss, rows a second, time left."""

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


class Bar:
    """Shows the records of a fit on stderr: a bar in a terminal, a line every ten seconds elsewhere."""

    def __init__(self, unit: str = "rows"):
        self.console = Console(stderr=True)
        self.unit, self.held_out, self.last_line = unit, "", 0.0
        columns = ("{task.description}", BarColumn(bar_width=24), "{task.fields[text]}")
        self.progress = Progress(
            *(TextColumn(c) if isinstance(c, str) else c for c in columns), console=self.console, transient=False
        )
        self.task = self.progress.add_task("fit", total=None, text="")
        self.live = sys.stderr.isatty()

    def __enter__(self) -> "Bar":
        if self.live:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.progress.stop()

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        self.console.print(message, highlight=False)

    def __call__(self, record: dict[str, Any]) -> None:
        if "message" in record:
            self.say(record["message"])
            return
        if "held_out_loss" in record:
            self.held_out = f"  held-out {record['held_out_loss']:.4f}"
        total, left = record.get("total"), record.get("seconds_left")
        text = f"step {record['step']:,}" + (f"/{total:,}" if total else "")
        text += f"  loss {record['loss']:.4f}{self.held_out}  {record['rows_per_second']:,.0f} {self.unit}/s"
        text += f"  {_clock(left)} left" if left is not None else ""
        self.progress.update(self.task, completed=record["step"], total=total, text=text)
        now = time.monotonic()
        if not self.live and now - self.last_line > 10:
            self.last_line = now
            self.say(text)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
