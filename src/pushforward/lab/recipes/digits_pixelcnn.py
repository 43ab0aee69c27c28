"""Gated PixelCNN, by class, of the handwritten digits that scikit-learn carries (1,797 images of 8x8 pixels of 17 levels).

Exact, by a softmax over the levels; the method is that of van den Oord et al. 2016. Few images: dropout, and the best moment on held-out ones.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="digits_pixelcnn",
    summary="gated PixelCNN by class, handwritten digits 8x8: exact likelihood",
    data="digits",
    model="pixelcnn",
    minutes=2.0,
    paper="https://arxiv.org/abs/1606.05328",
    options={"width": 32, "blocks": 4, "kernel": 3, "dropout": 0.2},
    settings={"batch_size": 64, "learning_rate": 2e-3},
    expected=(Expected("held-out bits/dim", 1.75, 0.15),),
)
