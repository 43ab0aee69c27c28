"""The contents of the book, read off the tree: a new system, room or benchmark is a new page and nothing else.

Systems are the files of `docs/systems`, grouped by their letter. The API has one page for each sub-package, and the
bench page ends with the tables in `bench/results`.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

import pushforward

ROOT = Path(__file__).resolve().parents[2]
DOCS, PACKAGE = ROOT / "docs", ROOT / "src" / "pushforward"
GROUPS = {
    "A": "Densities and inference", "B": "Normalizing flows", "C": "Component by component", "D": "Continuous time",
    "E": "Stochastic processes", "F": "Score matching", "G": "Diffusion", "H": "What people do with them",
}  # fmt: skip
GUIDE = ("first_steps", "data", "command_line", "saving", "check", "metrics", "reports", "test_bench")
FLOORS = ("core", "parts", "models", "lab")


def on_config(config):
    """Lay out the navigation."""
    config["nav"] = [
        {"Home": "index.md"},
        {"Guide": [f"{name}.md" for name in GUIDE if (DOCS / f"{name}.md").exists()]},
        {"Systems": ["systems.md", *({f"{letter}. {GROUPS[letter]}": pages} for letter, pages in _systems().items())]},
        {"Gallery": ["gallery.md", "process_gallery.md"]},
        {"Design": "design.md"},
        {"Bench": "bench.md"},
        {"API": ["api/index.md", *({floor: [page for page, _ in rooms]} for floor, rooms in _rooms().items())]},
        {"Contributing": ["contributing.md", "changelog.md"]},
    ]
    return config


def on_files(files, config):
    """Add the pages that are made from the tree."""
    index = ["# API", "", "One page for each room of the house; imports only go down, from `lab` to `core`.", ""]
    for floor, rooms in _rooms().items():
        index += [f"## {floor}", ""]
        for page, modules in rooms:
            room = modules[0].removesuffix(".__init__")
            # The room itself says what it is; its names are shown where they are defined.
            front = f"::: {room}\n    options: {{ members: false, show_root_heading: false }}\n"
            body = [f"# {_short(room)}", "", front, *(f"::: {name}\n" for name in modules[1:])]
            files.append(File.generated(config, page, content="\n".join(body)))
            index.append(f"- [`{_short(room)}`]({posixpath.relpath(page, 'api')})")
        index.append("")
    files.append(File.generated(config, "api/index.md", content="\n".join(index)))
    for name in ("CONTRIBUTING", "CHANGELOG"):
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        files.append(File.generated(config, f"{name.lower()}.md", content=re.sub(r"\]\(docs/", "](", text)))
    return files


def on_page_markdown(markdown, page, **_):
    """End the bench page with the tables."""
    if page.file.src_uri != "bench.md":
        return markdown
    tables = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "bench" / "results").glob("*.md"))]
    return "\n\n".join([markdown, *(re.sub(r"^#", "##", table, flags=re.MULTILINE) for table in tables)])


def _systems():
    found = {}
    for path in sorted((DOCS / "systems").glob("*.md"), key=_order):
        found.setdefault(path.stem[0], []).append(f"systems/{path.name}")
    return {letter: found[letter] for letter in GROUPS if letter in found}


def _order(path):
    letter, number = re.match(r"([A-H])(\d*)", path.stem).groups()
    return letter, int(number or 0), path.stem


def _rooms():
    rooms = {"core": [("api/core.md", _modules(PACKAGE / "core"))]}
    for floor in FLOORS[1:]:
        folders = sorted(path for path in (PACKAGE / floor).iterdir() if (path / "__init__.py").exists())
        rooms[floor] = [(f"api/{floor}/{folder.name}.md", _modules(folder)) for folder in folders]
    return rooms


def _modules(folder):
    """The room itself, then every module in it that is not private."""
    paths = [folder / "__init__.py", *sorted(p for p in folder.rglob("*.py") if p.name != "__init__.py")]
    names = [".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for p in paths]
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


def _short(room):
    """`pf.flows` where the front door has that name, else `lab.runs`."""
    parts = room.split(".")
    return f"pf.{parts[-1]}" if parts[-1] in pushforward._MODULES else ".".join(parts[1:])
