"""FFJORD on two moons: a continuous flow, whose density at every time can be looked at.

Grathwohl et al. 2019, https://arxiv.org/abs/1810.01367; with the kinetic energy of Finlay et al. 2020,
https://arxiv.org/abs/2002.02798.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="two_moons_ffjord",
    summary="continuous flow along a learned field, exact density of a 2-D toy",
    data="two_moons",
    model="ffjord",
    minutes=2.0,
    paper="https://arxiv.org/abs/1810.01367",
    options={"kinetic": 0.01},
    expected=(Expected("gain over a Gaussian", 0.83, 0.08),),
)
