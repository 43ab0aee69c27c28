"""Training: one visible loop, the same for every model, on one process or many; saving and loading."""

from .distributed import World
from .fit import fit
from .history import History, read_history
from .save import load, load_with_about, save
from .settings import Settings

__all__ = ["History", "Settings", "World", "fit", "load", "load_with_about", "read_history", "save"]
