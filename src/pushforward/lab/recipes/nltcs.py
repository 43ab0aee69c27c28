"""Neural spline flow on NLTCS, 16 yes-or-no questions about disability (needs PUSHFORWARD_DATA).

Answers are dequantised, so the score is a lower bound of the log probability: -6.06 nats on the 3,236 test rows of the set.
Published models of whole numbers reach about -6.0 on the same split.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="nltcs",
    summary="neural spline flow, 16 binary columns, dequantised: a bound",
    data="nltcs",
    model="neural_spline",
    minutes=3.0,
    paper="https://arxiv.org/abs/1906.04032",
    expected=(Expected("held-out log-likelihood", -6.06, 0.15),),
)
