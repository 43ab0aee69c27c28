"""How a model is written down: a tree of registered constructors and their arguments, as plain JSON.

Every final class is decorated with `@register`. The decorator remembers the arguments of each instance, so that
anything that can be built from registered parts can be saved and rebuilt, and nothing is executed on load but the
constructors named here. Functions that merely assemble parts (`pf.flows.realnvp`) need no entry.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .errors import ConfigError, SavedFileError

T = TypeVar("T", bound=type)
CONSTRUCTORS: dict[str, type] = {}


def register(cls: T) -> T:
    """Record `cls` under its name, and the arguments of every instance as `instance._arguments`."""
    name = cls.__name__
    if name in CONSTRUCTORS and CONSTRUCTORS[name].__module__ != cls.__module__:
        raise ConfigError(f"two classes are registered as {name}: {CONSTRUCTORS[name].__module__} and {cls.__module__}")
    initialise = cls.__init__
    # A class without a constructor of its own has that of nn.Module or object, which takes nothing but calls it *args.
    signature = inspect.signature(initialise if "__init__" in cls.__dict__ else lambda self: None)
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in signature.parameters.values()):
        raise ConfigError(
            f"expected a constructor without *args and **kwargs, got {name}{signature}; name its arguments"
        )

    @functools.wraps(initialise)
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        initialise(self, *args, **kwargs)
        # object.__setattr__: frozen dataclasses and nn.Module alike, and no module is registered twice.
        object.__setattr__(self, "_arguments", dict(list(bound.arguments.items())[1:]))

    cls.__init__ = remember  # type: ignore[misc]
    CONSTRUCTORS[name] = cls
    return cls


def describe(value: Any, tensors: dict[str, Tensor], where: str = "model") -> Any:
    """Write `value` as JSON; tensors among the arguments go to `tensors` under their place in the tree."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "_arguments") and CONSTRUCTORS.get(type(value).__name__) is type(value):
        arguments = {k: describe(v, tensors, f"{where}.{k}") for k, v in value._arguments.items()}
        return {"class": type(value).__name__, "arguments": arguments}
    if isinstance(value, list | tuple | nn.ModuleList):
        return [describe(v, tensors, f"{where}.{i}") for i, v in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"dict": {k: describe(v, tensors, f"{where}.{k}") for k, v in value.items()}}
    if isinstance(value, Tensor):
        tensors[where] = value.detach().cpu().contiguous().clone()
        return {"tensor": where}
    raise ConfigError(f"cannot save {where}: expected numbers, strings, tensors or registered parts, "
                      f"got {type(value).__module__}.{type(value).__qualname__}; decorate its class with @pushforward.register")  # fmt: skip


def build(description: Any, tensors: dict[str, Tensor]) -> Any:
    """Rebuild what `describe` wrote. Raises `SavedFileError` for anything that is not in the registry."""
    if isinstance(description, list):
        return [build(item, tensors) for item in description]
    if not isinstance(description, dict):
        return description
    if set(description) == {"tensor"}:
        if description["tensor"] not in tensors:
            raise SavedFileError(
                f"expected a tensor named {description['tensor']} in the file, found none; the file is damaged"
            )
        return tensors[description["tensor"]]
    if set(description) == {"dict"}:
        return {k: build(v, tensors) for k, v in description["dict"].items()}
    name = description.get("class")
    if set(description) != {"class", "arguments"} or not isinstance(name, str) or name not in CONSTRUCTORS:
        raise SavedFileError(f"expected a part known to this version of pushforward, got {name!r}; "
                             "update pushforward, or import the package that registers it")  # fmt: skip
    cls: Callable[..., Any] = CONSTRUCTORS[name]
    arguments = {k: build(v, tensors) for k, v in description["arguments"].items()}
    try:
        return cls(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SavedFileError(f"expected arguments that build {name}, got {sorted(arguments)}: {error}") from error


def device_of(module: nn.Module) -> torch.device:
    """The device of the first parameter or buffer; the CPU for a module that has neither."""
    first = next(module.parameters(), None)
    first = next(module.buffers(), None) if first is None else first
    return torch.device("cpu") if first is None else first.device


def dtype_of(module: nn.Module) -> torch.dtype:
    """The floating dtype of the first parameter or buffer that has one; PyTorch's default otherwise."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.get_default_dtype()
