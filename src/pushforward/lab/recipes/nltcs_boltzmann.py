"""Fully visible Boltzmann machine on NLTCS, 16 yes-or-no questions about disability (needs PUSHFORWARD_DATA).

Pairs of answers and nothing more, fitted exactly by visiting all 65,536 answers; the score is a true log probability. Published
models of this split reach about -6.0 nats; this one -6.03 on the 3,236 test rows.
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
    expected=(Expected("held-out log-likelihood", -6.03, 0.1),),
)
