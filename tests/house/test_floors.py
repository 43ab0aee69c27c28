"""Imports only go down, files stay small and say what they are, and a class is an interface or final."""

import ast
import enum

from . import source

INTERFACES = ("distribution", "bijection", "term", "solver", "path", "kernel", "process")
AT_THE_DOOR = {"__version__", "register"}  # what a module inside may take from the front door


def test_the_floors_are_the_five_that_are_drawn():
    rooms = {path.name for path in source.PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(source.FLOORS)


def test_imports_only_go_down():
    faults = []
    for path in source.files():
        module = source.module_name(path)
        here = source.floor_of(module)
        if not here:
            continue  # the front door names everything, and imports it when it is used
        for name in source.imports(path):
            there = source.floor_of(name)
            below = there in source.FLOORS and source.FLOORS.index(there) <= source.FLOORS.index(here)
            at_the_door = there not in source.FLOORS and (here == "app" or there in AT_THE_DOOR)
            if not (below or at_the_door):
                faults.append(f"{module} imports {name}")
    assert not faults, "name the module below that defines it, or move the room: " + "; ".join(faults)


def test_no_rooms_of_one_floor_import_each_other_in_a_circle():
    edges: dict[str, set[str]] = {}
    for path in source.files():
        here = ".".join(source.module_name(path).split(".")[:3])
        if here.count(".") < 2 or source.floor_of(here) == "core":
            continue
        for name in source.imports(path, at_import_time=True):
            there = ".".join(name.split(".")[:3])
            if there != here and source.floor_of(there) == source.floor_of(here):
                edges.setdefault(here, set()).add(there)
    done: set[str] = set()

    def visit(room: str, trail: tuple[str, ...]) -> None:
        assert room not in trail, " imports ".join((*trail[trail.index(room) :], room))
        if room not in done:
            for other in sorted(edges.get(room, ())):
                visit(other, (*trail, room))
            done.add(room)

    for room in sorted(edges):
        visit(room, ())


def test_a_file_holds_one_concept_and_says_which():
    faults = []
    for path in source.files():
        text = path.read_text(encoding="utf-8")
        lines, interface = len(text.splitlines()), path.parent.name == "core" and path.stem in INTERFACES
        most = 120 if interface else 400
        if lines > most:
            faults.append(f"{path.name} has {lines} lines, more than {most}")
        if not ast.get_docstring(ast.parse(text)):
            faults.append(f"{path.relative_to(source.PACKAGE)} has no docstring")
    assert not faults, "; ".join(faults)


def test_a_class_is_an_interface_or_it_is_never_subclassed():
    interfaces = {f"pushforward.core.{name}" for name in INTERFACES}
    faults = []
    for cls in source.classes():
        for base in cls.__bases__:
            open_by_design = (
                base.__module__ in interfaces
                or issubclass(base, Exception | enum.Enum)
                or getattr(base, "_is_protocol", False)
            )
            if base.__module__.startswith("pushforward.") and not open_by_design:
                faults.append(f"{cls.__qualname__} subclasses {base.__qualname__}")
    assert not faults, "wrap the final class instead: " + "; ".join(faults)
