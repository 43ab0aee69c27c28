"""`Term`: one summand f(t, y) dX of a differential equation, where dX is dt, dX(t) or dW(t)."""

from abc import abstractmethod

from torch import Tensor


class Term:
    """One summand of dy = sum_i f_i(t, y) dX_i, so that ODE, CDE and SDE are solved by one loop.

    `t` is `(n,)`: every sample has a time of its own. `y` is `(n, *event)`.
    """

    @abstractmethod
    def vector_field(self, t: Tensor, y: Tensor) -> Tensor:
        """f(t, y)."""

    @abstractmethod
    def control(self, t0: Tensor, t1: Tensor) -> Tensor:
        """The increment X(t1) - X(t0), `(n, *control)`: t1 - t0 itself for an ODE."""

    @abstractmethod
    def product(self, f: Tensor, increment: Tensor) -> Tensor:
        """f dX, of the shape of y."""
