"""Neural spline flow on Audio, which of 100 pieces of music a listener has heard (needs PUSHFORWARD_DATA).

Answers are dequantised, so the score is a lower bound of the log probability: -39.9 nats in three minutes, on the 3,000 test rows
of the set. Published models of whole numbers reach -40.0 to -39.8 on the same split.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="baudio",
    summary="neural spline flow, 100 binary columns, dequantised: a bound",
    data="baudio",
    model="neural_spline",
    minutes=3.0,
    paper="https://arxiv.org/abs/1906.04032",
    expected=(Expected("held-out log-likelihood", -39.95, 0.6),),
)
