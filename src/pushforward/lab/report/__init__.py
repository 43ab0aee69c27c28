"""Reports: one html page that says how good a model is, with pictures and honest figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from pushforward.core.process import Process
from pushforward.lab.metrics.sampling_curve import NFE
from pushforward.parts.data import Audio, Images, Series

from .audio_model import report_audio
from .common import History
from .density_model import report_density
from .image_model import report_images
from .page import Report
from .predictor import report_predictor
from .process_model import report_process
from .series_model import report_series


def report(model: Any, train: Any, test: Any, history: History, *, seed: int = 0, title: str = "",
           expected: Mapping[str, tuple[float, float]] | None = None, nfe: Sequence[int] = NFE,
           guidance: float = 1.0) -> Report:  # fmt: skip
    """The report that suits the model and its data: images, sound, functions, series, or rows of a table.

    `history` are the records of the fit; `test` is data that no decision was made by. `expected` maps names of headline
    figures to the ranges they should fall in. For diffusion models, `nfe` are the numbers of
    steps whose samples are compared, and `guidance` is the weight of classifier-free guidance that images are drawn with, 1 for none.
    Call `.write("report.html")` on what comes back; `.values` holds the
    headline figures.
    """
    if isinstance(test, Audio):
        return report_audio(model, train, test, history, seed=seed, title=title, expected=expected)
    if isinstance(test, Series):
        of_series = report_series if isinstance(model, Process) else report_predictor
        return of_series(model, train, test, history, seed=seed, title=title, expected=expected)
    if isinstance(model, Process):
        return report_process(model, test, history, seed=seed, title=title, expected=expected)
    if not hasattr(model, "sample") and hasattr(model, "predict"):
        return report_predictor(model, train, test, history, seed=seed, title=title, expected=expected)
    if isinstance(test, Images):
        return report_images(
            model, train, test, history, seed=seed, title=title, expected=expected, nfe=nfe, guidance=guidance
        )
    return report_density(model, train, test, history, seed=seed, title=title, expected=expected, nfe=nfe)
