"""Gated PixelCNN of the digits of MNIST in black and white (needs PUSHFORWARD_DATA), exact in nats.

Van den Oord et al. 2016 (https://arxiv.org/abs/1601.06759) have 81.3 nats with a PixelCNN and 79.2 with a PixelRNN, on the
binarisation of Larochelle and Murray 2011. That file is not carried here: for scores greys become white by one fair draw for each image,
of the same kind but not the same bits, and training sees a new draw at every step. Compare the order.
"""

from .recipe import Recipe

RECIPE = Recipe(
    name="mnist_binary_pixelcnn",
    summary="gated PixelCNN, binarised digits 28x28: exact likelihood",
    data="mnist",
    model="pixelcnn",
    minutes=60.0,
    paper="https://arxiv.org/abs/1606.05328",
    options={"width": 32, "blocks": 5, "kernel": 5, "binarise": "dynamic", "classes": 0},
    settings={"batch_size": 64, "learning_rate": 2e-3, "patience": 0, "evaluate_every": 500},
)
