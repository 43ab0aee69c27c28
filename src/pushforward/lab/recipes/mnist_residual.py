"""Residual flow on MNIST, 28 x 28 pixels (needs PUSHFORWARD_DATA).

Chen et al. 2019, https://arxiv.org/abs/1906.02735: 0.97 bits/dim with 48 blocks of 512 channels and days of GPUs; this one
is what two CPU cores allow.
"""

from .recipe import Recipe

RECIPE = Recipe(
    name="mnist_residual",
    summary="contractive residual flow, handwritten digits 28x28",
    data="mnist",
    model="residual_images",
    minutes=60.0,
    paper="https://arxiv.org/abs/1906.02735",
    settings={"batch_size": 32, "learning_rate": 1e-3},
)
