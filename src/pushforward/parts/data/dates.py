"""Times as people write them: numbers, months, days, or instants with a clock, as numbers that a model can use."""

import datetime
import math
import re
from collections.abc import Sequence

from pushforward.core.errors import DataError

_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})")
_DAY = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")


def as_times(cells: Sequence[str], lines: Sequence[int], column: str, where: str) -> tuple[list[float], str]:
    """The cells of a column of times as numbers, and their unit.

    Numbers stay as they are (unit ""). Months and days become decimal years ("years"): 2020-07 is 2020.5, and a day the share
    of its year that is gone. Instants with a clock become days since midnight before the earliest ("days since 2020-01-31").
    Raises `DataError` that names the line of a cell that is none of these.

    >>> as_times(["2020-01", "2020-07"], [2, 3], "date", "x.csv")
    ([2020.0, 2020.5], 'years')
    """
    cells = [cell.strip() for cell in cells]
    if (numbers := _all(_number, cells)) is not None:
        return numbers, ""
    if (months := _all(_month, cells)) is not None:
        return months, "years"
    if (days := _all(_day, cells)) is not None:
        return [day.year + (day - day.replace(month=1, day=1)).days / _length(day.year) for day in days], "years"
    if (instants := _all(_instant, cells)) is not None:
        start = min(instants).replace(hour=0, minute=0, second=0, microsecond=0)
        return [(instant - start) / datetime.timedelta(days=1) for instant in instants], f"days since {start.date()}"
    best = max((_number, _month, _day, _instant), key=lambda read: sum(read(cell) is not None for cell in cells))
    bad = next(i for i, cell in enumerate(cells) if best(cell) is None)
    thing = "no time" if not cells[bad] else repr(cells[bad][:40])
    raise DataError(f"expected a time in every row of column {column!r} of {where}, all of one kind (numbers, 2020-01, 2020-01-31 or "
                    f"2020-01-31 18:30), got {thing} in line {lines[bad]}; correct or delete that line")  # fmt: skip


def _all(read, cells):
    found = []
    for cell in cells:
        value = read(cell)
        if value is None:
            return None
        found.append(value)
    return found


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def _month(cell: str) -> float | None:
    found = _MONTH.fullmatch(cell)
    if not found or not 1 <= int(found[2]) <= 12:
        return None
    return int(found[1]) + (int(found[2]) - 1) / 12


def _day(cell: str) -> datetime.date | None:
    found = _DAY.fullmatch(cell)
    try:
        return datetime.date(*map(int, found.groups())) if found else None
    except ValueError:  # the 30th of February
        return None


def _instant(cell: str) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(cell.replace("/", "-").replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.astimezone(datetime.timezone.utc).replace(tzinfo=None) if found.tzinfo else found


def _length(year: int) -> int:
    return (datetime.date(year + 1, 1, 1) - datetime.date(year, 1, 1)).days
