"""MADE on NLTCS, disabilities of 16 kinds (needs PUSHFORWARD_DATA).

Four orders over one set of weights, and their mixture at the end; exact, on the 3,236 test rows of the set: -6.01 nats. Good
models of the same split reach about -6.0. The method is that of Germain et al. 2015.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="nltcs_made",
    summary="masked autoregressive network, 16 binary columns: exact likelihood",
    data="nltcs",
    model="made",
    minutes=0.5,
    paper="https://arxiv.org/abs/1502.03509",
    options={"orders": 4, "hidden": [128, 128], "dropout": 0.1},
    settings={"batch_size": 200, "learning_rate": 0.002},
    expected=(Expected("held-out log-likelihood", -6.01, 0.06),),
)
