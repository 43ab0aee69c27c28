"""`Report`: one self-contained html page, built from the top down. No scripts, no links to files, light and dark."""

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pushforward.core.files import replacing
from pushforward.lab.plots.style import at_night
from pushforward.lab.training.files import write_text

from .markdown import blocks, inline
from .numbers import number

DPI = 180  # twice what a page of 800 pixels shows
Cell = str | int | float | tuple[float, float]


class Report:
    """A page of headline figures, text, tables and plots. Every method returns the report, so that calls chain.

    `expected` maps names of headline figures to the ranges they should fall in.

    >>> page = Report("Wine").value("held-out nats", -9.123, 0.04).section("Samples").text("They look **right**.")
    >>> "−9.123" in page.html()
    True
    """

    def __init__(self, title: str, *, subtitle: str = "", expected: Mapping[str, tuple[float, float]] | None = None):
        self.title, self.subtitle, self.expected = title, subtitle, expected or {}
        self.values: dict[str, float | int | str] = {}
        self.files: dict[str, bytes] = {}  # written beside the page, by their names
        self._blocks: list[str] = []
        self._cards: list[str] = []

    def section(self, title: str) -> "Report":
        """Begin a section."""
        return self._add(f"<h2>{inline(title)}</h2>")

    def text(self, text: str) -> "Report":
        """Paragraphs, `- ` lists, **bold**, *italics*, `code` and [links](https://example.org)."""
        return self._add(blocks(text))

    def value(self, name: str, value: float | int | str, std_error: float | None = None, *, note: str | None = None,
              expected: float | tuple[float, float] | None = None) -> "Report":  # fmt: skip
        """A headline figure on a card; consecutive ones share a row.

        `expected` is the figure to compare with, or the range it should fall in, and then the card says whether it
        does; a range given for this name when the report was made is used otherwise. `values` remembers what was shown.
        """
        self.values[name] = value
        expected = self.expected.get(name) if expected is None else expected
        shown, error = number(value, std_error)
        error = f" <small>± {error}</small>" if error else ""
        lines = [f'<div class="name">{inline(name)}</div>', f'<div class="number">{html.escape(shown)}{error}</div>']
        if isinstance(expected, tuple):
            low, high = expected
            met = not isinstance(value, str) and low <= value <= high
            verdict = (
                '<span class="met">✓ as expected</span>' if met else '<span class="missed">✗ not as expected</span>'
            )
            lines.append(f'<div class="note">{verdict}: {number(low)[0]} to {number(high)[0]}</div>')
        elif expected is not None:
            lines.append(f'<div class="note">expected {number(expected)[0]}</div>')
        if note:
            lines.append(f'<div class="note">{inline(note)}</div>')
        self._cards.append(f'<div class="card">{"".join(lines)}</div>')
        return self

    def figure(self, figure: Figure, caption: str = "") -> "Report":
        """A plot, drawn twice: for light and for dark pages. The caption may hold inline markup."""
        width = round(figure.get_figwidth() * 100)
        day = _png(figure)
        with at_night(figure):
            night = _png(figure)
        alternative = html.escape(caption.split(". ")[0], quote=True)
        picture = (
            f'<picture><source srcset="{night}" media="screen and (prefers-color-scheme: dark)">'
            f'<img src="{day}" width="{width}" alt="{alternative}"></picture>'
        )
        return self._add(f"<figure>{picture}{_caption('figcaption', caption)}</figure>")

    def table(self, rows: Sequence[Sequence[Cell]], columns: Sequence[str], caption: str = "") -> "Report":
        """A table; a pair of numbers in a cell is a value with its standard error."""
        head = "".join(f"<th>{inline(column)}</th>" for column in columns)
        body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        inner = f"{_caption('caption', caption)}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        return self._add(f'<div class="scroll"><table>{inner}</table></div>')

    def sound(self, wav: bytes, name: str) -> "Report":
        """A clip to listen to, which the page holds and `write` also writes as the file `name` beside it."""
        self.files[name] = wav
        source = "data:audio/wav;base64," + base64.b64encode(wav).decode("ascii")
        player = f'<audio controls preload="none" src="{source}"></audio>'
        return self._add(f"<figure>{player}{_caption('figcaption', name)}</figure>")

    def html(self) -> str:
        """The whole page."""
        from pushforward import __version__

        self._flush()
        style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
        subtitle = f'<p class="subtitle">{inline(self.subtitle)}</p>' if self.subtitle else ""
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
            f"<h1>{html.escape(self.title)}</h1>\n{subtitle}\n" + "\n".join(self._blocks) + "\n"
            f"<footer>Made by pushforward {__version__}</footer>\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page and its `files`, each whole or not at all: beside it first, then renamed. Returns the path."""
        for name, content in self.files.items():
            with replacing(Path(path).parent / name) as beside:
                beside.write_bytes(content)
        write_text(Path(path), self.html())
        return Path(path)

    def _add(self, block: str) -> "Report":
        self._flush()
        self._blocks.append(block)
        return self

    def _flush(self) -> None:
        if self._cards:
            self._blocks.append(f'<div class="cards">{"".join(self._cards)}</div>')
            self._cards = []


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _caption(tag: str, caption: str) -> str:
    return f"<{tag}>{inline(caption)}</{tag}>" if caption else ""


def _cell(cell: Cell) -> str:
    shown, error = number(*cell) if isinstance(cell, tuple) else number(cell)
    return inline(shown) + (f" ± {error}" if error else "")
