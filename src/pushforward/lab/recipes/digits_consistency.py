"""A consistency model of handwritten digits, from the images alone: a sample is one evaluation of the network.

Song et al. 2023, https://arxiv.org/abs/2303.01469, with the improved training of Song and Dhariwal 2023,
https://arxiv.org/abs/2310.14189. `--set teacher=RUN` distils a diffusion that was fitted to the digits before.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="digits_consistency",
    summary="consistency training, handwritten digits 8x8 in one step",
    data="digits",
    model="consistency",
    minutes=4.0,
    paper="https://arxiv.org/abs/2310.14189",
    options={"steps": 4000, "noise_levels": (10, 80)},
    settings={"batch_size": 128, "learning_rate": 1e-3, "patience": 0},
    expected=(Expected("recognised samples (%)", 98.0, 2.0),),
)
