"""The mixture given a linear measurement: the right answer to an inverse problem, in closed form.

For y = A x + s e with e ~ N(0, I), component k of the posterior is N(m_k + K_k (y - A m_k), (I - K_k A) C_k), with the gain
K_k = C_k A^T (A C_k A^T + s^2 I)^-1, and its weight is proportional to w_k N(y; A m_k, A C_k A^T + s^2 I).
Bishop 2006, Pattern Recognition and Machine Learning, section 2.3.3.
"""

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError

from .mixture import GaussianMixture


def posterior(mixture: GaussianMixture, matrix: Tensor, measured: Tensor, noise: float) -> GaussianMixture:
    """p(x | y) for one measurement y = matrix x + noise e, as another mixture with the same labels.

    Args:
        matrix: `(m, d)`.
        measured: y, `(m,)`.
        noise: standard deviation of the measurement, positive.

    Raises `ShapeError` for shapes that disagree, `ConfigError` for noise that is not positive.

    >>> from pushforward.models.diffusion.exact import two_gaussians
    >>> seen = posterior(two_gaussians(), torch.tensor([[1.0, 0.0]]), torch.tensor([2.0]), 0.1)
    >>> round(seen.weights[1].item(), 3)  # the bump around x = 2
    1.0
    """
    a, y = matrix.double(), measured.double()
    if a.ndim != 2 or a.shape[1:] != mixture.event_shape or y.shape != a.shape[:1]:
        raise ShapeError(f"expected a matrix (m, {mixture.event_shape[0]}) and a measurement (m,), got "
                         f"{tuple(a.shape)} and {tuple(y.shape)}")  # fmt: skip
    if not noise > 0:
        raise ConfigError(f"expected positive noise, got {noise}; an exact measurement leaves no density")
    covariances, means = mixture.covariances.double(), mixture.means.double()
    c = covariances if mixture.full else torch.diag_embed(covariances)
    eye = torch.eye(len(y), dtype=torch.float64, device=y.device)
    spread = a @ c @ a.mT + noise**2 * eye
    factor = torch.linalg.cholesky(spread)
    gain = torch.cholesky_solve(a @ c, factor).mT
    gap = y - means @ a.mT
    rest = torch.eye(a.shape[1], dtype=torch.float64, device=y.device) - gain @ a
    # Joseph's form of (I - K A) C: it stays symmetric and positive when the noise is small.
    new = rest @ c @ rest.mT + noise**2 * gain @ gain.mT
    whitened = torch.linalg.solve_triangular(factor, gap[:, :, None], upper=False)[:, :, 0]
    log_weights = mixture.weights.double().log() - whitened.square().sum(1) / 2
    log_weights = log_weights - factor.diagonal(dim1=1, dim2=2).log().sum(1)
    # A component that the measurement rules out keeps the least weight there is: log 0 is no weight.
    weights = log_weights.softmax(0).clamp(min=torch.finfo(torch.float32).tiny)
    dtype, labels = mixture.means.dtype, None if mixture.classes is None else mixture.labels
    new_means = means + (gain @ gap[:, :, None])[:, :, 0]
    return GaussianMixture(weights.to(dtype), new_means.to(dtype), ((new + new.mT) / 2).to(dtype), labels)
