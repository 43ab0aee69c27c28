"""The source tree as data: its modules, what each imports, and every class the package defines."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pushforward

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "pushforward"
FLOORS = ("core", "parts", "models", "lab", "app")


def files() -> list[Path]:
    """Every Python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """`pushforward.parts.nn.mlp` of its file; a package's `__init__.py` is the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> str:
    """The floor of a module: the part after `pushforward`, or nothing for the front door itself."""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path, *, at_import_time: bool = False) -> Iterator[str]:
    """Absolute names of all that a file imports from the package, `pushforward.a.b.name` for `from .b import name`.

    With `at_import_time`, leaves out what is imported inside functions or for the type checker only.
    """
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8")), at_import_time):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "pushforward")


def _nodes(tree: ast.AST, at_import_time: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if at_import_time and (deferred or typing_only):
            continue
        yield node
        yield from _nodes(node, at_import_time)


def modules() -> list[str]:
    """Import every module of the package; return their names."""
    found = [info.name for info in pkgutil.walk_packages(pushforward.__path__, "pushforward.")]
    for name in found:
        importlib.import_module(name)
    return found


def classes() -> list[type]:
    """Every class that the package defines at the top of a module."""
    found = {
        value
        for name in modules()
        for value in vars(importlib.import_module(name)).values()
        if inspect.isclass(value) and value.__module__ == name
    }
    return sorted(found, key=lambda c: (c.__module__, c.__qualname__))
