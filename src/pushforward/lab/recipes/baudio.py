"""Neural spline flow on Audio, which of 100 pieces of music a listener has heard (needs PUSHFORWARD_DATA).

Answers are dequantised, so the score is a lower bound of the log probability: -41.3 nats in three minutes, of a tenth of the
training rows kept aside. Models of whole numbers reach -40.0 to -39.8 on the test rows of the set (Germain et al. 2015,
https://arxiv.org/abs/1502.03509, and others): the bound is one to two nats short of them.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="baudio",
    summary="neural spline flow, 100 binary columns, dequantised: a bound",
    data="baudio",
    model="neural_spline",
    minutes=3.0,
    paper="https://arxiv.org/abs/1906.04032",
    expected=(Expected("held-out log-likelihood", -41.3, 1.2),),
)
