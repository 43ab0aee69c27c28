"""A noise-conditional score network of handwritten digits, sampled by annealed Langevin dynamics.

Song and Ermon 2019, https://arxiv.org/abs/1907.05600; the noise levels by the rules of Song and Ermon 2020,
https://arxiv.org/abs/2006.09011.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="digits_ncsn",
    summary="score at a ladder of noise levels, handwritten digits 8x8",
    data="digits",
    model="ncsn",
    minutes=3.0,
    paper="https://arxiv.org/abs/2006.09011",
    settings={"batch_size": 128, "learning_rate": 2e-3, "patience": 0},
    expected=(Expected("recognised samples (%)", 96.5, 3.0), Expected("held-out bits/dim", 1.77, 0.12)),
)
