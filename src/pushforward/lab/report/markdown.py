"""A little markdown: paragraphs, lists, bold, italics, code and links. Everything else is text, escaped."""

import html
import re

_INLINE = (
    (re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*(?=\S)(.+?)(?<=\S)\*"), r"<em>\1</em>"),
    (re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)"), r'<a href="\2">\1</a>'),
)


def inline(text: str) -> str:
    """Bold, italics, code and links of one piece of text, as html.

    >>> inline("**a** < `b*c*`")
    '<strong>a</strong> &lt; <code>b*c*</code>'
    """
    pieces = html.escape(text).split("`")
    if len(pieces) % 2 == 0:  # an odd back-tick is only a back-tick
        pieces[-2:] = ["`".join(pieces[-2:])]
    for i, piece in enumerate(pieces):
        if i % 2:
            pieces[i] = f"<code>{piece}</code>"
            continue
        for pattern, replacement in _INLINE:
            piece = pattern.sub(replacement, piece)
        pieces[i] = piece
    return "".join(pieces)


def blocks(text: str) -> str:
    """Paragraphs, separated by empty lines, and lists, whose lines begin with "- "."""
    out = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        if lines and all(line.startswith("- ") for line in lines):
            out.append("<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in lines) + "</ul>")
        elif lines:
            out.append(f"<p>{inline(' '.join(lines))}</p>")
    return "\n".join(out)
