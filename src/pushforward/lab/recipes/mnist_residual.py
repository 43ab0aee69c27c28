"""Residual flow on MNIST, 28 x 28 pixels (needs PUSHFORWARD_DATA).

Chen et al. 2019, https://arxiv.org/abs/1906.02735: 0.97 bits/dim with 48 blocks of 512 channels and days of GPUs; this one
is what two CPU cores allow: on a busy machine 1.96 bits/dim after 21 minutes and 2,010 steps, when the loss still fell; with the
hour of this recipe it should be lower, which nobody has measured yet.
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
