"""A run is a folder: start one, go on with it, sample from it, edit its data, score data with it, report on it."""

from .config import Config
from .draw import draw
from .edit import Edits, edit
from .run import Run, open_run
from .score import Scores, score
from .start import resume, start

__all__ = ["Config", "Edits", "Run", "Scores", "draw", "edit", "open_run", "resume", "score", "start"]
