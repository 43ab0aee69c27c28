"""MADE on Plants, in which of 69 states a plant grows (needs PUSHFORWARD_DATA).

Four orders over one set of weights, and their mixture at the end; exact, on the 3,482 test rows of the set: -12.39 nats. Published
models of the same split reach -13.4 to -12.5. The method is that of Germain et al. 2015. No plant of
the training or the test rows grows in the first state; it is left out, which costs and gains nothing.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="plants_made",
    summary="masked autoregressive network, 68 binary columns: exact likelihood",
    data="plants",
    model="made",
    minutes=2.0,
    paper="https://arxiv.org/abs/1502.03509",
    options={"orders": 4, "hidden": [512, 512], "dropout": 0.2},
    settings={"batch_size": 200, "learning_rate": 0.002},
    data_options={"drop": ("x0",)},
    expected=(Expected("held-out log-likelihood", -12.39, 0.25),),
)
