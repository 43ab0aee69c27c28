"""A latent ODE with an ODE-RNN encoder on two days in intensive care (needs PUSHFORWARD_DATA).

Rubanova et al. 2019, https://arxiv.org/abs/1907.03907, table 4: mean square error 2.118e-3 for interpolation, of channels scaled to
0 .. 1 by their least and greatest value, where the encoder has seen the very points that are predicted. The report hides half of
the points, and is in standard deviations of the channels, so its figures are another measure. In the paper's,
`examples/physionet_mortality.py` reaches 4.90e-3 in eight minutes, and an area of 0.841 under the ROC curve of who dies (published: 0.829).
"""

from .recipe import Recipe

RECIPE = Recipe(
    name="physionet2012",
    summary="latent ODE with an ODE-RNN encoder, 41 channels with gaps",
    data="physionet2012",
    model="latent_ode",
    minutes=30.0,
    paper="https://arxiv.org/abs/1907.03907",
    options={
        "latent": 20,
        "encoder": "ode_rnn",
        "encoder_width": 40,
        "field_hidden": (50, 50),
        "decoder_hidden": (50,),
    },
    settings={"batch_size": 50, "learning_rate": 1e-2, "patience": 0},
)
