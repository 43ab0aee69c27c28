"""What happened in a fit, as records: kept in memory, and in `metrics.jsonl` where there is a run folder."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pushforward.core.files import as_user_error

from .files import write_text


@dataclass
class History:
    """Records of the logged steps, and how the fit ended.

    Every record has `step`, `loss` (mean since the record before), `learning_rate`, `seconds` and `rows_per_second`;
    some have `held_out_loss`; a rolled-back step has `rolled_back`.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    best_step: int = 0
    best_held_out_loss: float = float("inf")
    stopped: str = ""  # "budget", "early", "interrupted"
    file: Path | None = None

    def add(self, record: dict[str, Any]) -> None:
        """Append a record, to the file too."""
        self.records.append(record)
        if self.file is not None:
            try:
                with open(self.file, "a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
            except OSError as error:
                raise as_user_error(error, self.file) from error

    def rewind(self, step: int) -> None:
        """Forget everything after `step`: a resumed run writes it again."""
        kept = read_history(self.file).records if self.file is not None and self.file.exists() else self.records
        self.records = [record for record in kept if record["step"] <= step]
        if self.file is not None:
            write_text(self.file, "".join(json.dumps(record) + "\n" for record in self.records))

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of the records that have `name`."""
        rows = [record for record in self.records if name in record]
        return [record["step"] for record in rows], [record[name] for record in rows]


def read_history(path: Path) -> History:
    """Read `metrics.jsonl`; a last line that was cut off by a crash is dropped."""
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        if not line.endswith("}"):
            break
        records.append(json.loads(line))
    return History(records=records, file=path)
