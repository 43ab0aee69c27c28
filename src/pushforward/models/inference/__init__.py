"""Inference: samples of a density that is known up to a constant, by kernels that take chains from state to state."""

from .langevin import Langevin

__all__ = ["Langevin"]
