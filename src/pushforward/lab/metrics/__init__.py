"""How good is a model? Functions on tensors; each says what a perfect model would score."""

from .c2st import c2st
from .calibration import Calibration, calibration
from .classifier_accuracy import Judge, classifier_accuracy, train_judge
from .crps import crps, crps_from_samples
from .estimate import Estimate
from .frechet import frechet, frechet_gaussian
from .likelihood import bits_per_dim, nll
from .marginals import marginal_cdf, marginal_crps, marginal_log_prob, marginal_quantiles
from .mmd import Discrepancy, mmd
from .modes import ModeCoverage, mode_coverage
from .nearest_neighbours import Neighbours, nearest_neighbours
from .noise_levels import NoiseLevels, loss_by_noise
from .precision_recall import PrecisionRecall, precision_recall
from .sampling_curve import SamplingCurve, sampling_curve
from .wasserstein import wasserstein, wasserstein_floor
