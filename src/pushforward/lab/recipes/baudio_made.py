"""MADE on Audio, to which of 100 musicians someone listened (needs PUSHFORWARD_DATA).

Four orders over one set of weights, and their mixture at the end; exact, on the 3,000 test rows of the set: -39.5 nats.
Published models of the same split reach -40.0 to -39.8. The method is that of Germain et al. 2015.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="baudio_made",
    summary="masked autoregressive network, 100 binary columns: exact likelihood",
    data="baudio",
    model="made",
    minutes=2.0,
    paper="https://arxiv.org/abs/1502.03509",
    options={"orders": 4, "hidden": [512, 512], "dropout": 0.3},
    settings={"batch_size": 200, "learning_rate": 0.002},
    expected=(Expected("held-out log-likelihood", -39.5, 0.35),),
)
