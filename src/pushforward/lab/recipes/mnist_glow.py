"""Glow on the handwritten digits of MNIST, by class (needs PUSHFORWARD_DATA).

Kingma and Dhariwal 2018, https://arxiv.org/abs/1807.03039, who published 1.05 bits/dim on MNIST with 32 steps a level of 512
channels; this is 4 steps of 64 channels and minutes on two CPU cores. A learning rate of 1e-3 was at 2.51 where 5e-3 is at 1.8.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="mnist_glow",
    summary="class-conditional Glow, handwritten digits 28x28, exact likelihood",
    data="mnist",
    model="glow",
    minutes=9.0,
    paper="https://arxiv.org/abs/1807.03039",
    options={"steps": 4, "width": 64},
    settings={"batch_size": 64, "learning_rate": 5e-3, "clip": 100.0, "patience": 0},
    expected=(Expected("held-out bits/dim", 1.78, 0.2), Expected("recognised samples (%)", 60.0, 12.0)),
)
