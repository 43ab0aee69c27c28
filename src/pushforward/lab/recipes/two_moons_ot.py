"""Flow matching on two moons with optimal pairs: straighter paths, fewer steps.

Lipman et al. 2023, https://arxiv.org/abs/2210.02747, with the minibatch couplings of Tong et al. 2024,
https://arxiv.org/abs/2302.00482.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="two_moons_ot",
    summary="flow matching with optimal pairs of noise and data",
    data="two_moons",
    model="flow_matching",
    minutes=2.0,
    paper="https://arxiv.org/abs/2302.00482",
    options={"coupling": "optimal"},
    settings={"batch_size": 512},
    expected=(Expected("held-out log-likelihood", -1.1, 0.15),),
)
