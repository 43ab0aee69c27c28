"""How a text file of numbers is laid out: delimiter, decimal mark, encoding, header. Judged from its first rows."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pushforward.core.errors import DataError

from .faults import MISSING

_ROWS = 100
_DELIMITERS = (",", ";", "\t", "|", " ")


@dataclass(frozen=True)
class Layout:
    """`names` come from the header, None without one; the first row of data begins after `skip` lines.

    The delimiter " " stands for any run of blanks.
    """

    delimiter: str
    decimal: str
    encoding: str
    names: tuple[str, ...] | None
    skip: int
    width: int

    def rows(self, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        """Rows of cells with the number of the line each ends on; blank lines left out."""
        return split_lines(lines, self.delimiter)


def split_lines(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Lines as rows of cells, with line numbers from 1."""
    if delimiter == " ":
        yield from ((number, row) for number, line in enumerate(lines, 1) if (row := line.split()))
        return
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t")
    for row in reader:
        if len(row) > 1 or (row and row[0].strip()):
            yield reader.line_num, row


def sniff(path: Path, header: bool | None = None) -> Layout:
    """Judge the layout of a file. `header` says whether there is one, where the judgement goes wrong."""
    with path.open("rb") as file:
        head, whole = _head(file.read(1 << 18), file)
    if not head.strip():
        raise DataError(f"expected a table in {path.name}, got an empty file; check that it was written to the end")
    encoding, text = _decode(path, head, whole)
    lines = list(io.StringIO(text, newline=""))
    comments = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            break
        comments.append(line)
    body = lines[len(comments) :]
    if not body:
        raise DataError(
            f"expected rows of numbers in {path.name}, got only comments; check that it was written to the end"
        )
    delimiter, decimal, sample = _delimiter(body, path.name)
    named = _has_header([row for _, row in sample], decimal) if header is None else header
    width = (
        Counter(len(row) for _, row in sample[named:]).most_common(1)[0][0]
        if len(sample) > named
        else len(sample[0][1])
    )
    names = [name.strip() for name in sample[0][1]] if named else None
    skip = len(comments) + (sample[0][0] if named else 0)
    if names is None and header is None:
        names = _from_comment(comments, delimiter, width)
    if len(sample) == named:
        raise DataError(f"expected rows of numbers in {path.name}, got a header and nothing below it; add rows, "
                        "or say header=False if this is a row")  # fmt: skip
    if names is not None and len(names) != width:
        line = sample[0][0] + len(comments)
        raise DataError(f"expected {width} names in the header of {path.name}, as many as its rows have cells, got {len(names)} "
                        f"in line {line}; correct that line")  # fmt: skip
    return Layout(delimiter, decimal, encoding, None if names is None else tuple(names), skip, width)


def _head(head: bytes, file: BinaryIO) -> tuple[bytes, bool]:
    # A very wide table needs more to show two rows.
    while head.count(b"\n") + head.count(b"\r") < 4 and (more := file.read(1 << 22)):
        head += more
    whole = not file.read(1)
    return head, whole


def _decode(path: Path, head: bytes, whole: bool) -> tuple[str, str]:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        control = sum(head.count(bytes([code])) for code in (*range(9), *range(14, 32)))
        if control:
            raise DataError(f"expected a text file of numbers, got binary data in {path.name}; "
                            "give it the suffix of its format, or export it as csv")  # fmt: skip
        encoding = "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, whole)
    except UnicodeDecodeError:
        encoding, text = "latin-1", head.decode("latin-1")
    if not whole:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    return encoding, text


def _delimiter(lines: Sequence[str], where: str) -> tuple[str, str, list[tuple[int, list[str]]]]:
    """The delimiter, and decimal mark, that make the rows of one length and the cells numbers."""
    best, failed = None, False
    for delimiter in _DELIMITERS:
        rows = []
        try:
            for numbered in split_lines(iter(lines), delimiter):
                rows.append(numbered)
                if len(rows) == _ROWS:
                    break
        except csv.Error:
            failed = True
            continue
        width, count = Counter(len(row) for _, row in rows).most_common(1)[0] if rows else (0, 0)
        cells = [cell for _, row in rows for cell in row]
        for decimal in ".," if delimiter in ";\t" and _decimal_commas(cells) else ".":
            numbers = sum(_is_number(cell, decimal) for cell in cells) / max(len(cells), 1)
            score = (width > 1, count / max(len(rows), 1) + numbers, width)
            if best is None or score > best[0]:
                best = (score, delimiter, decimal, rows)
    if best is None or not best[3] or (failed and not best[0][0]):
        raise DataError(f"expected rows of cells in {where}, got lines that no delimiter divides; check for quotes that are "
                        "never closed")  # fmt: skip
    return best[1:]


def _decimal_commas(cells: Sequence[str]) -> bool:
    """Are the commas decimal marks, and not between thousands (1,234), which would be another number?"""
    numbers = [cell.strip() for cell in cells if "," in cell and _is_number(cell, ",")]
    points = any("." in cell and _is_number(cell, ".") for cell in cells)
    return not points and not all(re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", number) for number in numbers)


def _has_header(rows: Sequence[Sequence[str]], decimal: str) -> bool:
    """Is the first row words above columns of numbers, or at least words that never come again?"""
    first, rest = rows[0], rows[1:]
    words = [j for j, cell in enumerate(first) if not _is_number(cell, decimal) and cell.strip().lower() not in MISSING]
    if not rest:
        return len(words) == len(first)
    above = [j for j in words if _mostly_numbers([row[j] for row in rest if j < len(row)], decimal)]
    if above:
        return 2 * len(words) >= len(first)
    return len(words) == len(first) and not any(first[j] == row[j] for j in words for row in rest if j < len(row))


def _mostly_numbers(cells: Sequence[str], decimal: str) -> bool:
    told = [cell for cell in cells if cell.strip().lower() not in MISSING]
    return bool(told) and 2 * sum(_is_number(cell, decimal) for cell in told) > len(told)


def _is_number(cell: str, decimal: str) -> bool:
    if "_" in cell or (decimal == "," and "." in cell):
        return False
    try:
        float(cell.replace(decimal, "."))
    except ValueError:
        return False
    return True


def _from_comment(comments: Sequence[str], delimiter: str, width: int) -> list[str] | None:
    """Names in the last comment above the data, as numpy's savetxt writes them."""
    if not comments or width < 2 or not comments[-1].startswith("#"):
        return None
    rows = [row for _, row in split_lines(iter([comments[-1].lstrip("#")]), delimiter)]
    cells = [cell.strip() for cell in rows[0]] if rows else []
    return cells if len(cells) == width and not any(_is_number(cell, ".") for cell in cells) else None
