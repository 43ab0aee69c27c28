"""A run is a folder: start one, go on with it, sample from it, edit its data, forecast, score data with it, report on it."""

from .config import Config
from .draw import draw
from .edit import Edits, edit
from .forecast import Forecast, forecast
from .guide import start_guide
from .predict import Curves, predict
from .run import Run, open_run
from .score import Scores, score
from .score_series import SeriesScores
from .start import resume, start

__all__ = [
    "Config",
    "Curves",
    "Edits",
    "Forecast",
    "Run",
    "Scores",
    "SeriesScores",
    "draw",
    "edit",
    "forecast",
    "open_run",
    "predict",
    "resume",
    "score",
    "start",
    "start_guide",
]
