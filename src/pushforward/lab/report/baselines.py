"""Densities that need no training, to be beaten: a full Gaussian, and columns taken one at a time."""

import torch
from torch import Tensor

from pushforward.core.errors import UserError


def gaussian(train: Tensor, test: Tensor, given: int = 0) -> Tensor:
    """log N(x; mean, covariance) of the test rows `(n, d)` in nats, `(n,)`, fitted to the training rows.

    With no more than two rows a column the covariance is shrunk (Ledoit and Wolf 2004,
    https://doi.org/10.1016/S0047-259X(03)00096-4).
    The last `given` columns are a condition: the density is that of the others given them.
    """
    joint = _gaussian(train, test)
    return joint - _gaussian(train[:, -given:], test[:, -given:]) if given else joint


def independent_columns(train: Tensor, test: Tensor, most_rows: int = 2000) -> Tensor:
    """Sum over columns of the log of a kernel density estimate (Scott's rule), in nats, `(n,)`.

    At most `most_rows` training rows carry a kernel. Far from all of them the estimate is kept above the smallest
    double. Raises `UserError` for a column that never changes.
    """
    from scipy.stats import gaussian_kde

    total = torch.zeros(len(test), dtype=torch.float64)
    for column in range(train.shape[1]):
        known = train[:most_rows, column].double()
        if float(known.std()) == 0:
            raise UserError(
                f"expected every column to vary, got only {float(known[0])} in column {column}; leave it out"
            )
        total += torch.as_tensor(gaussian_kde(known.numpy()).logpdf(test[:, column].double().numpy())).clamp(min=-745)
    return total


def _gaussian(train: Tensor, test: Tensor) -> Tensor:
    x = train.double()
    mean, std = x.mean(0), x.std(0, correction=0).clamp(min=1e-12)
    normal = torch.distributions.MultivariateNormal(torch.zeros_like(mean), _correlation((x - mean) / std))
    return normal.log_prob((test.double() - mean) / std) - std.log().sum()


def _correlation(z: Tensor) -> Tensor:
    from sklearn.covariance import ledoit_wolf

    n, d = z.shape
    if n <= 2 * d:
        return torch.as_tensor(ledoit_wolf(z.numpy(), assume_centered=True)[0])
    # A billionth of each variance keeps columns that repeat one another from having no density at all.
    return z.mT @ z / n + 1e-9 * torch.eye(d, dtype=z.dtype)
