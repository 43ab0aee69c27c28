"""Class-conditional diffusion of small colour photographs, 15,000 for training (needs PUSHFORWARD_DATA).

The v prediction of Salimans and Ho 2022, https://arxiv.org/abs/2202.00512, by a small U-Net, in minutes on two CPU cores. The photographs are
a subset of CIFAR-10, so no figure of it is a CIFAR-10 figure. What it is good for is a prior of the inverse problems of
`examples/inpaint_faces.py`: a photograph without its middle or its colours says most of itself.
"""

from .recipe import Recipe

RECIPE = Recipe(
    name="cifar10_diffusion",
    summary="class-conditional diffusion, photographs 32x32, for inpainting and colorisation",
    data="cifar10",
    model="v_diffusion",
    minutes=20.0,
    paper="https://arxiv.org/abs/2202.00512",
    options={"width": 32},
    settings={"batch_size": 32, "learning_rate": 1e-3, "evaluate_every": 250, "held_out_rows": 256, "patience": 0},
)
