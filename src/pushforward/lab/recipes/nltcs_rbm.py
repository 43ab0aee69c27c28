"""Restricted Boltzmann machine on NLTCS, by persistent contrastive divergence (needs PUSHFORWARD_DATA).

Chains train it; the score is exact, since 16 visible bits have 65,536 states. Good models of this set reach about -6.0 nats
(Germain et al. 2015, https://arxiv.org/abs/1502.03509, and others on the same split).
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
    expected=(Expected("held-out log-likelihood", -6.03, 0.15),),
)
