"""Docstrings are plain text with examples; the book reads them as Markdown. This griffe extension bridges the two.

Examples (`>>>` and what they print) become code blocks, and `w[i][p]` is an index, not a link.
"""

import re

import griffe

# The prompt's lines and what follows them up to an empty line, with their indentation.
_EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*\n?(?:(?P=indent)\S.*\n?)*", re.MULTILINE)


class PlainText(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Fence the examples and escape double indices outside of them."""
    pieces, end = [], 0
    for match in _EXAMPLE.finditer(text):
        indent = match["indent"]
        pieces += [_escape(text[end : match.start()]), f"\n{indent}```pycon\n{match[0].rstrip()}\n{indent}```\n"]
        end = match.end()
    return "".join([*pieces, _escape(text[end:])])


def _escape(text: str) -> str:
    return re.sub(r"\]\[(?![^`]*`)", r"]\\[", text)
