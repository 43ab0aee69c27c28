"""Neural CDE on ItalyPowerDemand: winter or summer, from one day's demand by the hour (needs PUSHFORWARD_DATA).

67 training and 1,029 test series, the official split (Dau et al. 2018, https://arxiv.org/abs/1810.07758).
With `--set dropped=0.3`, 0.5 and 0.7: 74.7, 81.9 and 51.6 % (seed 0, one minute), where a logistic regression has 94.3, 89.7 and 77.5:
so few gappy series are learned by heart, see the page of the neural CDE.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="italy_power",
    summary="neural CDE, winter or summer from a day's electricity",
    data="italy_power",
    model="neural_cde",
    minutes=0.5,
    paper="https://arxiv.org/abs/2005.08926",
    settings={
        "batch_size": 64,
        "learning_rate": 5e-3,
        "warmup": 10,
        "ema_decay": 0.95,
        "evaluate_every": 20,
        "patience": 0,
    },
    expected=(Expected("accuracy (%)", 90.0, 6.0),),
)
