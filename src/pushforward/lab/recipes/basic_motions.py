"""Neural CDE on BasicMotions: which of four activities a smart watch felt (needs PUSHFORWARD_DATA).

40 training and 40 test series of 100 instants and 6 channels, the official split (Bagnall et al. 2018,
https://arxiv.org/abs/1811.00075). A series of the test set is 2.5 % of the accuracy.
With `--set dropped=0.3`, 0.5 and 0.7: 90.0, 92.5 and 82.5 % (seed 0, one minute).
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="basic_motions",
    summary="neural CDE, four activities from a smart watch",
    data="basic_motions",
    model="neural_cde",
    minutes=0.5,
    paper="https://arxiv.org/abs/2005.08926",
    settings={
        "batch_size": 40,
        "learning_rate": 5e-3,
        "warmup": 10,
        "ema_decay": 0.9,
        "evaluate_every": 10,
        "patience": 5,
    },
    expected=(Expected("accuracy (%)", 97.5, 7.5),),
)
