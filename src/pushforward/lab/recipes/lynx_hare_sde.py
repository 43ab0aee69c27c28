"""A neural SDE of two populations, lynx and hare, from 21 years of pelts (needs PUSHFORWARD_DATA).

A diffusion of the logarithms of both, seen through noise, learned by the likelihood of its filter: bands widen with the
years ahead. The drift is linear, a damped spiral: 42 numbers pay for no network.
The bands of 90 % hold one of the six numbers of the last three years, which were kept back: they are too narrow there.
"""

from .recipe import Recipe

RECIPE = Recipe(
    name="lynx_hare_sde",
    summary="diffusion of two populations, 21 years",
    data="lynx_hare",
    model="neural_sde",
    minutes=0.5,
    paper="https://doi.org/10.1017/9781108186735",
    options={"log_scale": True, "drift": "linear"},
    settings={"batch_size": 16, "learning_rate": 1e-2},
)
