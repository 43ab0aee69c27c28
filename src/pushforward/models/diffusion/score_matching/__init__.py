"""Learning the score grad log p of data: four losses with the same minimum, and a model of a score alone.

Explicit: the score is known. Implicit: it is not, and the trace of a Jacobian stands in. Sliced: along random directions, without
that trace. Denoising: of the blurred data. Each is a function of a score and a batch that gives one number a row.
"""

from .denoising import denoising_score_matching
from .energy import score_of
from .implicit import explicit_score_matching, implicit_score_matching
from .langevin import ScoreLangevin
from .network import ScoreMatching, ScoreNetwork
from .sliced import sliced_score_matching, sliced_score_matching_vr

__all__ = [
    "ScoreLangevin",
    "ScoreMatching",
    "ScoreNetwork",
    "denoising_score_matching",
    "explicit_score_matching",
    "implicit_score_matching",
    "score_of",
    "sliced_score_matching",
    "sliced_score_matching_vr",
]
