"""What the book says is there is there: the table of systems, code paths, links, figures."""

import re

import pytest

from .source import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("systems/*.md"), *ROOT.glob("*.md")])
SIZES = {"A": 10, "B": 16, "C": 3, "D": 8, "E": 6, "F": 5, "G": 10}
IDS = [f"{letter}{number}" for letter, size in SIZES.items() for number in range(1, size + 1)]
GENERATED = {"contributing.md", "changelog.md", "api/index.md"}  # made while the book is built


def _rows() -> dict[str, list[str]]:
    rows = {}
    for line in (DOCS / "systems.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(r"[A-H]\d+", cells[0]):
            assert cells[0] not in rows, f"{cells[0]} stands twice in docs/systems.md"
            rows[cells[0]] = cells
    return rows


def _without_code_blocks(text: str) -> str:
    return re.sub(r"^ *(`{3,}).*?^ *\1 *$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_every_system_has_a_row():
    assert list(_rows()) == IDS


@pytest.mark.parametrize("id_", IDS)
def test_a_row_that_works_is_complete(id_):
    _, name, state, page, files, figures, laws = _rows()[id_]
    assert state in ("planned", "in part", "works"), f"{id_} {name}: unknown state {state!r}"
    if state == "planned":
        assert not any((page, files, figures, laws)), f"{id_} is planned and has files; say what works"
        return
    target = re.search(r"\((systems/.+?\.md)\)", page)
    assert target is not None, f"{id_}: expected a link to its page, got {page!r}"
    assert (DOCS / target[1]).is_file(), f"{id_}: no page {target[1]}"
    for cell, start in ((files, "src/pushforward/"), (figures, "docs/figures/"), (laws, "tests/")):
        paths = re.findall(r"`(.+?)`", cell)
        assert paths, f"{id_}: expected a path under {start}, got {cell!r}"
        for path in paths:
            assert path.startswith(start), f"{id_}: {path} does not stand under {start}"
            assert (ROOT / path).is_file(), f"{id_}: no file {path}"
    text = (DOCS / target[1]).read_text(encoding="utf-8")
    assert "$$" in text, f"{target[1]} has no equation"
    assert "src/pushforward/" in text, f"{target[1]} names no source file"
    assert "../assets/" in text, f"{target[1]} shows no figure"
    for word in ("law", "trap"):
        assert word in text.lower(), f"{target[1]} does not speak of the {word}"


def test_every_page_of_a_system_is_listed():
    listed = set(re.findall(r"\(systems/(.+?\.md)\)", (DOCS / "systems.md").read_text(encoding="utf-8")))
    assert {path.name for path in DOCS.glob("systems/*.md")} == listed


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_of_a_page(page):
    text = _without_code_blocks(page.read_text(encoding="utf-8"))
    faults = [f"no file {path}" for path in re.findall(r"`((?:src|tests|bench|examples|docs)/[\w/.-]+\.\w+)(?:::\w+)?`", text)
              if not (ROOT / path).exists() and "/assets/" not in path and not re.search("NAME|ID-", path)]  # fmt: skip
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", text):
        there = (page.parent / target).resolve()
        if there.parent == DOCS / "assets":
            faults += [] if (DOCS / "figures" / f"{there.stem}.py").is_file() else [f"no code for the figure {target}"]
        elif target not in GENERATED and not there.exists():
            faults.append(f"no {target}")
    assert not faults, f"{page.name}: " + "; ".join(faults)


@pytest.mark.parametrize(
    "code", sorted(p for p in (DOCS / "figures").glob("*.py") if not p.stem.startswith("_")), ids=lambda path: path.stem
)
def test_every_figure_is_shown_somewhere(code):
    assert any(f"assets/{code.stem}.png" in page.read_text(encoding="utf-8") for page in PAGES)
