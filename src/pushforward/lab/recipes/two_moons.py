"""A neural spline flow on two moons: the smallest density to look at.

Durkan et al. 2019, https://arxiv.org/abs/1906.04032.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="two_moons",
    summary="neural spline flow, exact density of a 2-D toy",
    data="two_moons",
    model="neural_spline",
    minutes=1.0,
    paper="https://arxiv.org/abs/1906.04032",
    expected=(Expected("gain over a Gaussian", 0.87, 0.08),),
)
