"""Restricted Boltzmann machine on NLTCS, by persistent contrastive divergence (needs PUSHFORWARD_DATA).

Chains train it; the score is exact, since 16 visible bits have 65,536 states. Published models of this
split reach about -6.0 nats; this one -6.01 on the 3,236 test rows.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="nltcs_rbm",
    summary="restricted Boltzmann machine, 16 binary columns, persistent chains: exact likelihood",
    data="nltcs",
    model="rbm",
    minutes=1.5,
    paper="https://doi.org/10.1145/1390156.1390290",
    options={"hidden": 50, "chains": 512},
    settings={"learning_rate": 0.005, "evaluate_every": 500},
    expected=(Expected("held-out log-likelihood", -6.01, 0.1),),
)
