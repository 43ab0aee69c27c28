"""WaveNet of spoken digits, by digit (needs PUSHFORWARD_DATA): 6 people, 8 kHz, the waveform itself sample by sample.

van den Oord et al. 2016, https://arxiv.org/abs/1609.03499, report listening tests on hours of speech and days of training. This is
twenty minutes of speech; what can be compared are bits a sample of held-out recordings, and whether a classifier hears the digit. After
2,200 steps (19 minutes on one busy core): 4.2 bits a sample, where a histogram has 7.1, and 53 % of what is drawn recognised, of real clips 99 %.
"""

from .recipe import Expected, Recipe

RECIPE = Recipe(
    name="spoken_digits",
    summary="WaveNet of spoken digits, by digit; draws sound",
    data="fsdd",
    model="wavenet",
    minutes=20.0,
    paper="https://arxiv.org/abs/1609.03499",
    options={"width": 32, "skip": 64, "layers": 9, "stacks": 2, "window": 2048},
    settings={"batch_size": 8, "learning_rate": 2e-3, "evaluate_every": 200, "held_out_rows": 96, "patience": 0},
    expected=(Expected("held-out bits/sample", 4.2, 0.6), Expected("recognised samples (%)", 53.0, 20.0)),
)
