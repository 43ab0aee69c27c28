"""Glow on the handwritten digits of MNIST, by class (needs PUSHFORWARD_DATA).

Kingma and Dhariwal 2018, https://arxiv.org/abs/1807.03039.
"""

from .recipe import Recipe

RECIPE = Recipe(
    name="mnist_glow",
    summary="class-conditional Glow, handwritten digits 28x28, exact likelihood",
    data="mnist",
    model="glow",
    minutes=60.0,
    paper="https://arxiv.org/abs/1807.03039",
    options={"steps": 8, "width": 96},
    settings={"batch_size": 128, "learning_rate": 1e-3, "clip": 100.0, "patience": 0},
)
