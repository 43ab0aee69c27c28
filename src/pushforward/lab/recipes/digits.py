"""Class-conditional diffusion on the handwritten digits that scikit-learn carries (1,797 images of 8x8 pixels).

The cosine path of Nichol and Dhariwal 2021 (https://arxiv.org/abs/2102.09672) with a prediction of the velocity
(Salimans and Ho 2022, https://arxiv.org/abs/2202.00512).
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="digits",
    summary="class-conditional diffusion, handwritten digits 8x8",
    data="digits",
    model="v_diffusion",
    minutes=2.0,
    paper="https://arxiv.org/abs/2202.00512",
    settings={"batch_size": 128, "learning_rate": 2e-3, "held_out_repeats": 4, "patience": 0},
    expected=(Expected("recognised samples (%)", 98.5, 1.5), Expected("held-out bits/dim", 1.85, 0.12)),
)
