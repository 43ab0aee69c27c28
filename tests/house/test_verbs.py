"""The verbs and the pins: what the pages tell people to type exists, and every dependency has one exact version."""

import re
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .source import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it where Python does not have it

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
VERBS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WANTED = [*PROJECT["dependencies"], *(name for extra in PROJECT["optional-dependencies"].values() for name in extra)]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/design.md", "docs/bench.md", ".ci/run", ".github/workflows/ci.yml"]
)
def test_every_verb_that_is_named_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`|run: )make ([a-z-]+)", text, flags=re.MULTILINE))
    assert named - {"studio"} <= VERBS


@pytest.mark.parametrize("environment", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_dependency_has_one_exact_version_that_fits(environment):
    pinned = {}
    for pin in PINS:
        if pin.marker is None or pin.marker.evaluate({"python_version": environment}):
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{pin} is no exact version"
            assert canonicalize_name(pin.name) not in pinned, f"{pin.name} is pinned twice for Python {environment}"
            pinned[canonicalize_name(pin.name)] = specifier.version
    for wanted in map(Requirement, WANTED):
        if wanted.marker is not None and not wanted.marker.evaluate({"python_version": environment}):
            continue
        version = pinned.get(canonicalize_name(wanted.name))
        assert version is not None, f"constraints.txt does not pin {wanted.name} for Python {environment}"
        assert wanted.specifier.contains(version), (
            f"constraints.txt has {wanted.name} {version}, pyproject.toml wants {wanted.specifier}"
        )
