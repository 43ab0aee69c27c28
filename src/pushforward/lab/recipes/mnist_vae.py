"""Variational autoencoder on the digits of MNIST in black and white (needs PUSHFORWARD_DATA); `--set posterior=sylvester` and others.

van den Berg et al. 2018, https://arxiv.org/abs/1803.05649, table 1, have -ELBO of 86.55 nats without a flow, 86.06 planar, 84.20 IAF and
83.32 Sylvester after some thousand epochs of gated convolutions with 64 latents, on digits binarised anew at every step. This is a
multilayer perceptron of 32 latents and minutes on two CPU cores, binarised the same way: compare the order and the gaps.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="mnist_vae",
    summary="variational autoencoder, binarised digits 28x28; any posterior flow",
    data="mnist",
    model="vae",
    minutes=5.0,
    paper="https://arxiv.org/abs/1803.05649",
    options={"latents": 32, "likelihood": "bernoulli", "hidden": [400, 300]},
    settings={"batch_size": 128, "learning_rate": 1e-3, "clip": 100.0, "patience": 0, "evaluate_every": 500},
    expected=(Expected("held-out -ELBO", 96.0, 6.0),),
)
