"""A neural spline flow on the red wines of the UCI repository (needs PUSHFORWARD_DATA).

Durkan et al. 2019, https://arxiv.org/abs/1906.04032.
"""

from .recipe import Recipe

RECIPE = Recipe(
    name="wine_red",
    summary="neural spline flow, density of a real table, 11 measurements and a grade",
    data="wine_red",
    model="neural_spline",
    minutes=1.0,
    paper="https://arxiv.org/abs/1906.04032",
)
