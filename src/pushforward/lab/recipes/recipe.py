"""`Recipe`: one runnable model, with its data, its settings, its paper, and the figure to expect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Expected:
    """A figure that the recipe reaches on 2 CPU cores, with its two-sided tolerance; `name` is that of the report's value."""

    name: str
    value: float
    tolerance: float

    def holds(self, measured: float) -> bool:
        """Whether a measured figure is within the tolerance."""
        return abs(measured - self.value) <= self.tolerance


@dataclass(frozen=True)
class Recipe:
    """Everything `pushforward fit NAME` needs; any field of the model or of the settings can be changed with `--set`."""

    name: str
    summary: str
    data: str  # a named set
    model: str  # a name of the catalogue
    minutes: float
    paper: str
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the training loop
    data_options: Mapping[str, Any] = field(default_factory=dict)
    expected: tuple[Expected, ...] = ()
    guidance: float = 1.0  # weight of the classifier-free guidance that the report draws with; 1 is none
