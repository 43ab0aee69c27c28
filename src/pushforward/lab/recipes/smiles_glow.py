"""Glow on grey faces of 32 x 32 pixels, to edit smiles with `pushforward edit RUN --attribute smile` (needs PUSHFORWARD_DATA).

Kingma and Dhariwal 2018, section 6, https://arxiv.org/abs/1807.03039. The model is not told the labels: the direction of
a smile is the difference of two means in its noise.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="smiles_glow",
    summary="Glow, grey faces 32x32, for `pushforward edit RUN --attribute smile`",
    data="smiles",
    model="glow",
    minutes=15.0,
    paper="https://arxiv.org/abs/1807.03039",
    data_options={"resize": (32, 32)},
    options={"classes": 0, "steps": 4, "width": 48},
    settings={"batch_size": 64, "learning_rate": 1e-3},
    expected=(Expected("held-out bits/dim", 4.18, 0.12),),
)
