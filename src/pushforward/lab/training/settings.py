"""How to train, apart from what: every knob of `fit` that has a good default."""

from dataclasses import dataclass, fields
from typing import Literal

from pushforward.core.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """Settings of the training loop. Counts are optimiser steps unless they say otherwise."""

    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup: int = 100
    ema_decay: float = 0.999  # 0 turns averaging off
    clip: float = 1.0  # largest norm of the gradient; 0 turns clipping off
    held_out: float = 0.1  # share of the rows kept for early stopping, when none are given
    evaluate_every: int = 100
    held_out_rows: int = 4096  # most rows used in one evaluation
    held_out_repeats: int = 1  # draws of the noise per held-out row: more for a noisy objective
    patience: int = 20  # evaluations without improvement before stopping; 0 never stops early
    log_every: int = 10
    checkpoint_seconds: float = 10.0
    precision: Literal["float32", "bfloat16"] = "float32"
    bar: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "evaluate_every", "log_every", "held_out_rows", "held_out_repeats"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("weight_decay", "warmup", "clip", "patience", "checkpoint_seconds"):
            _require(getattr(self, name) >= 0, name, "0 or more", getattr(self, name))
        _require(self.learning_rate > 0, "learning_rate", "above 0", self.learning_rate)
        _require(0 <= self.ema_decay < 1, "ema_decay", "in [0, 1)", self.ema_decay)
        _require(0 < self.held_out < 1, "held_out", "in (0, 1)", self.held_out)
        _require(self.precision in ("float32", "bfloat16"), "precision", "float32 or bfloat16", self.precision)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(f.name for f in fields(cls))


def _require(fine: bool, name: str, expected: str, value: object) -> None:
    if not fine:
        raise ConfigError(f"expected {name} {expected}, got {value}")
