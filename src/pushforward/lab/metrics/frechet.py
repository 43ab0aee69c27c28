r"""Frechet distance between two Gaussians: the number behind FID, for whatever features are given.

    d^2 = |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^{1/2})

Dowson and Landau 1982, https://doi.org/10.1016/0047-259X(82)90077-X; Heusel et al. 2017, https://arxiv.org/abs/1706.08500.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from pushforward.core.errors import UserError

from .rows import two_sets


def frechet_gaussian(mean_x: Float[Tensor, " d"], covariance_x: Float[Tensor, "d d"], mean_y: Float[Tensor, " d"],
                     covariance_y: Float[Tensor, "d d"]) -> float:  # fmt: skip
    """Squared Frechet distance of two Gaussians, which is also their squared 2-Wasserstein distance.

    >>> one = torch.eye(1)
    >>> frechet_gaussian(torch.zeros(1), one, torch.tensor([3.0]), 4 * one)
    10.0
    """
    s1, s2 = covariance_x.double(), covariance_y.double()
    # tr (S1 S2)^{1/2} = tr (R S2 R)^{1/2} with R = S1^{1/2}: symmetric, so real eigenvalues even when S1 is singular.
    values, vectors = torch.linalg.eigh(s1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    cross = torch.linalg.eigvalsh(root @ s2 @ root).clamp(min=0).sqrt().sum()
    gap = (mean_x.double() - mean_y.double()).square().sum()
    return max(float(gap + s1.trace() + s2.trace() - 2 * cross), 0.0)


def frechet(features_x: Num[Tensor, "n d"], features_y: Num[Tensor, "m d"]) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets of features.

    It is biased upwards for few rows, so compare only numbers made with equal counts, and print the value of two
    real sets beside it. Raises `UserError` for fewer than two rows.
    """
    a, b = two_sets(features_x, features_y, ("features_x", "features_y"))
    if min(len(a), len(b)) < 2:
        raise UserError(f"expected at least two rows in each set, got {len(a)} and {len(b)}; pass more")
    width = a.shape[1]
    return frechet_gaussian(a.mean(0), a.mT.cov().reshape(width, width), b.mean(0), b.mT.cov().reshape(width, width))
