"""Fully visible Boltzmann machine on NLTCS, 16 yes-or-no questions about disability (needs PUSHFORWARD_DATA).

Pairs of answers and nothing more, fitted exactly by visiting all 65,536 answers; the score is a true log probability. Good models of
this set reach about -6.0 nats (Germain et al. 2015, https://arxiv.org/abs/1502.03509, and others on the same split).
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="nltcs_boltzmann",
    summary="Boltzmann machine, 16 binary columns: exact likelihood",
    data="nltcs",
    model="boltzmann_machine",
    minutes=0.5,
    paper="https://doi.org/10.1207/s15516709cog0901_7",
    settings={"learning_rate": 0.02, "ema_decay": 0.99},
    expected=(Expected("held-out log-likelihood", -6.07, 0.15),),
)
