"""Neural spline flow on NLTCS, 16 yes-or-no questions about disability (needs PUSHFORWARD_DATA).

Answers are dequantised, so the score is a lower bound of the log probability. Good models of whole numbers reach about
-6.0 nats (Germain et al. 2015, https://arxiv.org/abs/1502.03509, and others on the same split).
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="nltcs",
    summary="neural spline flow, 16 binary columns, dequantised: a bound",
    data="nltcs",
    model="neural_spline",
    minutes=3.0,
    paper="https://arxiv.org/abs/1906.04032",
    expected=(Expected("held-out log-likelihood", -6.11, 0.25),),
)
