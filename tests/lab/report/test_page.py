import os
import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from pushforward import UserError
from pushforward.lab.report import Report
from pushforward.lab.report.markdown import blocks, inline
from pushforward.lab.report.numbers import duration, number

VOID = {"meta", "img", "source", "br"}


class Balance(HTMLParser):
    """Every tag that opens is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "srcset", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page():
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, 1])
    report = Report("A <b> & c", subtitle="rows & *columns*", expected={"nats": (1.0, 2.0)})
    report.value("nats", 1.5, 0.01, note="<script>").value("old", 2.5, expected=(0.0, 1.0)).value("seen", 3, expected=4)
    report.section("Part <1>").text("**bold**\n\n- one\n- two").figure(figure, 'A "quoted" caption. More.')
    return report.table([["<a>", (1.234, 0.02), 12345]], ["name", "value", "count"], "a table")


def test_the_page_is_whole_and_stands_alone(page):
    checker = Balance()
    checker.feed(page.html())
    assert checker.open == []
    assert checker.links
    assert all(link.startswith("data:image/png;base64,") for link in checker.links)
    assert "<script" not in page.html()
    assert "@import" not in page.html()
    assert "url(" not in page.html()


def test_text_is_escaped(page):
    text = re.sub(r"data:image[^\"]*", "", page.html())
    for piece in (
        "A &lt;b&gt; &amp; c",
        "&lt;script&gt;",
        "Part &lt;1&gt;",
        "&lt;a&gt;",
        "A &quot;quoted&quot; caption",
        "<em>columns</em>",
    ):
        assert piece in text


def test_values_are_kept_and_judged(page):
    assert page.values == {"nats": 1.5, "old": 2.5, "seen": 3}
    html = page.html()
    assert html.count("✓ as expected") == 1
    assert html.count("✗ not as expected") == 1
    assert "expected 4" in html


def test_pictures_come_for_light_and_for_dark_pages(page):
    html = page.html()
    assert html.count("data:image/png") == 2
    assert '<source srcset="data:image/png' in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_writing_is_all_or_nothing(page, tmp_path, monkeypatch):
    path = page.write(tmp_path / "runs" / "report.html")
    assert path.read_text(encoding="utf-8") == page.html()
    assert os.listdir(path.parent) == ["report.html"]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="room on the disk"):
        Report("new").write(path)
    assert os.listdir(path.parent) == ["report.html"]
    assert path.read_text(encoding="utf-8") == page.html()


def test_markdown_is_small_and_safe():
    assert inline("[x](https://a.org/?b&c)") == '<a href="https://a.org/?b&amp;c">x</a>'
    assert inline("[x](javascript:alert)") == "[x](javascript:alert)"
    assert inline("`**not bold**` and `") == "<code>**not bold**</code> and `"
    assert inline("5 * 3 * 2") == "5 * 3 * 2"
    assert blocks("a\nb\n\n- c\n- *d*") == "<p>a b</p>\n<ul><li>c</li><li><em>d</em></li></ul>"


@pytest.mark.parametrize(
    ("value", "std_error", "shown"),
    [
        (-2.31415, 0.0123, ("−2.314", "0.012")),
        (1234567, None, ("1,234,567", "")),
        (98.76, 12.0, ("99", "12")),
        (0.5, float("inf"), ("0.5", "")),
        (0.5, 0.0, ("0.5", "")),
        (float("nan"), None, ("nan", "")),
        (float("inf"), 1.0, ("inf", "")),
        ("71 s", None, ("71 s", "")),
    ],
)
def test_numbers_are_shown_to_the_second_digit_of_their_error(value, std_error, shown):
    assert number(value, std_error) == shown


def test_durations_choose_their_unit():
    assert [duration(s) for s in (0.5, 99, 100, 3599, 3600, 7260)] == [
        "0.5 s",
        "99 s",
        "1.7 min",
        "60.0 min",
        "1 h 0 min",
        "2 h 1 min",
    ]
