"""A number with its standard error: the mean of rows that are independent of one another."""

import math
from dataclasses import dataclass

from jaxtyping import Num
from torch import Tensor

from pushforward.core.errors import UserError


@dataclass(frozen=True)
class Estimate:
    """`value` and its standard error, in the same unit.

    >>> import torch
    >>> print(Estimate.of(torch.tensor([1.0, 2.0, 3.0])))
    2.00 ± 0.58
    """

    value: float
    std_error: float

    @classmethod
    def of(cls, rows: Num[Tensor, " n"]) -> "Estimate":
        """Mean of the rows and s / sqrt(n); one row, or an infinite one, has a standard error of inf.

        Raises `UserError` when there are no rows, or one of them is NaN.
        """
        values = rows.detach().double().cpu()
        if len(values) == 0 or values.isnan().any():
            bad = int(values.isnan().sum())
            raise UserError(
                f"expected at least one row and no NaN, got {len(values)} rows with {bad} NaN; check their source"
            )
        exact = len(values) > 1 and bool(values.isfinite().all())
        return cls(float(values.mean()), float(values.std()) / math.sqrt(len(values)) if exact else math.inf)

    def __str__(self) -> str:
        """The value to the second significant digit of its standard error."""
        if not math.isfinite(self.std_error) or self.std_error <= 0:
            return f"{self.value:.4g}"
        digits = max(0, 1 - math.floor(math.log10(self.std_error)))
        return f"{self.value:.{digits}f} ± {self.std_error:.{digits}f}"
