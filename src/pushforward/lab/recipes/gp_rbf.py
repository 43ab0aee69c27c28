"""A conditional neural process on draws of a Gaussian process: few-shot regression.

Garnelo et al. 2018, https://arxiv.org/abs/1807.01613.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="gp_rbf",
    summary="conditional neural process on Gaussian-process curves",
    data="gp_rbf",
    model="conditional_neural_process",
    minutes=2.0,
    paper="https://arxiv.org/abs/1807.01613",
    settings={"batch_size": 64, "learning_rate": 2e-3},
    expected=(Expected("log-likelihood a point, 10 given", -1.13, 0.15),),
)
