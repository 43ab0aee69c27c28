"""`tests/cases.py` holds an instance of every final class, every entry builds, and stands in the right section."""

from collections.abc import Iterator

import pytest
import torch

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.kernel import Kernel
from pushforward.core.path import Path
from pushforward.core.process import Process
from pushforward.core.registry import CONSTRUCTORS
from pushforward.core.solver import Solver
from pushforward.core.term import Term
from tests.cases import CASES

from . import source

SECTIONS = {"bijections": Bijection, "distributions": Distribution, "solvers": Solver, "terms": Term,
            "paths": Path, "kernels": Kernel, "processes": Process}  # fmt: skip
INTERFACES = tuple(SECTIONS.values())
ENTRIES = [(section, name) for section, entries in CASES.items() for name in entries]


def _build(section: str, name: str) -> object:
    torch.manual_seed(0)
    return CASES[section][name]()


def _parts(value: object) -> Iterator[object]:
    """`value` and all that it was constructed from or consists of."""
    yield value
    for part in value.children() if isinstance(value, torch.nn.Module) else ():
        yield from _parts(part)
    for argument in getattr(value, "_arguments", {}).values():
        for part in argument if isinstance(argument, list | tuple) else (argument,):
            if type(part).__module__.startswith("pushforward."):
                yield from _parts(part)


@pytest.fixture(scope="module")
def built() -> dict[tuple[str, str], object]:
    return {entry: _build(*entry) for entry in ENTRIES}


@pytest.mark.parametrize(("section", "name"), ENTRIES, ids=[f"{section}-{name}" for section, name in ENTRIES])
def test_every_entry_builds_and_stands_in_its_section(section, name, built):
    instance = built[section, name]
    expected = SECTIONS.get(section, torch.nn.Module)
    assert isinstance(instance, expected)


def test_every_final_class_has_a_case_of_its_own(built):
    present = {type(instance) for instance in built.values()}
    missing = [c for c in source.classes() if issubclass(c, INTERFACES) and c not in INTERFACES and c not in present]
    assert not missing, "no entry in tests/cases.py for " + ", ".join(
        f"{c.__module__}.{c.__qualname__}" for c in missing
    )


def test_everything_that_can_be_saved_is_in_some_case(built):
    source.modules()
    reached = {type(part) for instance in built.values() for part in _parts(instance)}
    missing = [c for c in CONSTRUCTORS.values() if c.__module__.startswith("pushforward.") and c not in reached]
    assert not missing, "in no entry of tests/cases.py: " + ", ".join(
        f"{c.__module__}.{c.__qualname__}" for c in missing
    )


def test_every_distribution_bijection_and_process_can_be_saved():
    source.modules()
    saved = set(CONSTRUCTORS.values())
    finals = [c for c in source.classes() if issubclass(c, Distribution | Bijection | Process) and c not in INTERFACES]
    assert not [c.__qualname__ for c in finals if c not in saved]
