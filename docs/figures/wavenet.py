"""C3: mu-law levels, what each sample hears, and tones that a small WaveNet learned to draw, by class."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, INK, MODEL, REAL
from pushforward.lab.training import Settings

RATE, SAMPLES, PITCHES = 2000, 160, (60, 110, 220)


def draw() -> Figure:
    """Four panels: companding, the receptive field by automatic differentiation, clips of the data and draws of the model."""
    figure = canvas(height=5.4)
    law, field, real, drawn = figure.subplots(2, 2).ravel()
    _law(law)
    _field(field)
    _tones(real, drawn)
    return figure


def _law(axes) -> None:
    dress(axes, title="16 mu-law levels", x="amplitude", y="level")
    levels = pf.autoregressive.AmplitudeLevels(16)
    x = torch.linspace(-1, 1, 2001)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.plot(x.numpy(), levels.encode(x).numpy(), color=REAL, linewidth=1, label="level of an amplitude")
    every = torch.arange(16.0)
    axes.plot(levels.decode(every).numpy(), every.numpy(), "o", color=MODEL, markersize=3, label="what stands for it")
    legend(axes, "upper left")


def _field(axes) -> None:
    dress(axes, title="who hears whom, dilations 1, 2, 4, 8", x="sample that is heard", y="sample", grid=False)
    model = pf.autoregressive.wavenet(length=40, layers=4, stacks=1, width=8, skip=8)
    levels = (torch.rand(1, 40) * 255).requires_grad_()
    out = model.predictions(levels)[0].square().sum(1)
    heard = torch.stack([torch.autograd.grad(own, levels, retain_graph=True)[0][0].abs() for own in out])
    share = (heard / heard.amax(1, keepdim=True).clamp(min=1e-30)).numpy()
    axes.imshow(np.where(share > 0, 0.25 + 0.75 * share**0.3, 0.0), cmap="Blues", vmin=0, vmax=1)
    axes.plot([0, 39], [0, 39], color=INK, linewidth=0.6)


def _tones(real, drawn) -> None:
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(SAMPLES) / RATE
    waves = [0.7 * (2 * math.pi * (pitch * t + torch.rand((), generator=generator))).sin().numpy() for pitch in PITCHES for _ in range(40)]  # fmt: skip
    clips = pf.data.Audio.of(waves, rate=RATE, labels=[f"{pitch} Hz" for pitch in PITCHES for _ in range(40)])
    model = pf.autoregressive.wavenet(clips, layers=5, stacks=1, width=24, skip=48, window=SAMPLES)
    settings = Settings(
        batch_size=24, learning_rate=1e-2, ema_decay=0.95, warmup=20, bar=False, patience=0, evaluate_every=500
    )
    pf.fit(model, clips, steps=170, settings=settings, device="cpu")
    order = [clips.class_names.index(f"{pitch} Hz") for pitch in PITCHES]
    seed = torch.Generator().manual_seed(1)
    made = model.sample((), torch.tensor(order), length=SAMPLES, temperature=0.7, generator=seed)
    for axes, rows, title in ((real, [torch.tensor(waves[40 * k]) for k in range(3)], "data: three pitches"),
                              (drawn, list(made), "drawn by class, sample by sample")):  # fmt: skip
        dress(axes, title=title, x="milliseconds", y="amplitude")
        for k, row in enumerate(rows):
            shift = 2.0 * (2 - k)
            axes.plot(1000 * t.numpy(), row.numpy() + shift, color=COLOURS[k], linewidth=1, label=f"{PITCHES[k]} Hz")
        axes.set_yticks([])
        axes.set_ylim(-1.2, 6.4)
        axes.legend(loc="upper right", ncols=3, frameon=False, fontsize=7)
