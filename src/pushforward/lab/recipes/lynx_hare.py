"""A neural ODE of two populations, lynx and hare, from 21 years of pelts (needs PUSHFORWARD_DATA).

The field moves the logarithms of both, learned by shooting from every year. So few points teach one cycle and little more.
The bands of 90 % hold one of the six numbers of the last three years, which were kept back: they are too narrow there.
"""

from .recipe import Recipe

RECIPE = Recipe(
    name="lynx_hare",
    summary="vector field of two populations, 21 years",
    data="lynx_hare",
    model="neural_ode_series",
    minutes=0.5,
    paper="https://arxiv.org/abs/1806.07366",
    options={"log": True, "hidden": (8,), "horizon": 7},
    settings={"batch_size": 16, "learning_rate": 5e-3, "weight_decay": 1.0},
)
