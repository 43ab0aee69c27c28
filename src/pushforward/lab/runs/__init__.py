"""A run is a folder: start one, go on with it, sample from it, score data with it, report on it."""

from .config import Config
from .draw import draw
from .run import Run, open_run
from .score import Scores, score
from .start import resume, start

__all__ = ["Config", "Run", "Scores", "draw", "open_run", "resume", "score", "start"]
