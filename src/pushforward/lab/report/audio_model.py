"""The report of a model of sound: how many bits a sample of held-out clips takes, what it draws, and whether that is recognised."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pushforward.core.registry import device_of
from pushforward.lab.metrics import Estimate, Judge, classifier_accuracy, train_judge
from pushforward.lab.metrics.log_mel import log_mel
from pushforward.lab.plots.spectrogram import spectrogram
from pushforward.lab.plots.style import REAL
from pushforward.lab.plots.waveform import waveform
from pushforward.parts.data.audio import Audio
from pushforward.parts.data.wav_file import wav_bytes

from .common import History, generator_for, some_rows, training_section, training_values
from .page import Report

SECONDS = 0.6  # that the judge hears; of what is drawn, at most
SHOWN = 8
BITS = """
Bits for each sample of held-out clips, exactly and first sample included, of the model's own levels: 8 bits would say nothing of
mu-law levels, 16 of 16-bit ones. The histogram counts each level of the training clips, and knows nothing of the past.
"""
JUDGE = """
A small convolutional network, trained on log-mel spectrograms of the real training clips alone, says which class it hears in the first
0.6 seconds. Beside it stands what it makes of real held-out clips: a perfect model reaches that and no more. It does not hear variety.
"""


def report_audio(model: Any, train: Audio, test: Audio, history: History, *, seed: int = 0, title: str = "",
                 samples: int = 60, scored: int = 24, minutes: float | None = None,
                 expected: Mapping[str, tuple[float, float]] | None = None) -> Report:  # fmt: skip
    """Score held-out clips, draw `samples` clips of the classes and lengths that held-out ones have, show and judge them.

    Drawing stops at 0.6 seconds. `expected` maps names of headline figures ("held-out bits/sample", "recognised samples (%)") to
    ranges. The page holds what it draws as sound, and writes it as samples/*.wav beside itself.
    """
    about = f"{len(train):,} training and {len(test):,} test clips at {test.rate:,} samples a second"
    page = Report(
        title or f"{type(model).__name__} of sound", subtitle="; ".join([about, *test.notes]), expected=expected
    )
    rows = some_rows(test, len(test), seed)
    given = test.labels is not None and getattr(model, "condition_shape", None) is not None
    bits, plain = _bits(model, train, test, rows[:scored])
    page.value("held-out bits/sample", bits.value, bits.std_error, note=f"exact; {plain:.3f} by a histogram")
    drawn_rows = rows[torch.arange(samples) % len(rows)]
    labels = test.labels.cpu()[drawn_rows] if given and test.labels is not None else None
    most = max(1, round(SECONDS * test.rate))
    lengths = test.lengths.cpu()[drawn_rows].clamp(max=most)
    drawn = _draw(model, labels, lengths, seed)
    if labels is not None and train.labels is not None and test.labels is not None:
        judge = train_judge(pictures(train, most), train.labels, max_steps=300, seed=seed)
        real = classifier_accuracy(judge, pictures(test, most), test.labels)
        ours = classifier_accuracy(judge, _pictures(drawn, test.rate, most), labels)
        note = f"real held-out clips: {100 * real.value:.1f} %; by chance {100 / len(test.class_names):.3g} %"
        page.value("recognised samples (%)", 100 * ours.value, 100 * ours.std_error, note=note)
    training_values(page, model, history, minutes)
    _drawn_section(page, test, drawn, labels, drawn_rows)
    if labels is not None and train.labels is not None:
        page.section("Are they recognised?").text(JUDGE)
        page.table(_by_class(judge, test, drawn, labels, most), ["class", "samples (%)", "held-out (%)"])
    page.section("Likelihood").text(BITS)
    page.table([["model", (bits.value, bits.std_error)], ["histogram", plain]], ["", "bits/sample"])
    training_section(page, history, "nats a sample")
    return page


def pictures(data: Audio, most: int) -> Tensor:
    """The first `most` samples of every clip as log-mel spectrograms with pixels 0 .. 255: `(n, 1, bands, moments)`."""
    parts = torch.arange(len(data), device=data.waves.device).split(256)
    return torch.cat([_pictures(data.take(part).x.cpu(), data.rate, most) for part in parts])


def _pictures(x: Tensor, rate: int, most: int) -> Tensor:
    whole = torch.full((len(x), most), torch.nan)
    whole[:, : x.shape[1]] = x[:, :most]
    return (255 * log_mel(whole, rate, window=512, hop=256)).round()[:, None]  # coarser is quicker to judge


@torch.no_grad()
def _bits(model: Any, train: Audio, test: Audio, rows: Tensor) -> tuple[Estimate, float]:
    """Bits a sample of held-out clips, by clip; and by a histogram of levels, each counted once more than it was seen."""
    batch = test.take(rows.to(test.waves.device)).to(device_of(model))
    ends = (~batch.x.isnan()).sum(1).cpu()
    given = batch.condition if model.condition_shape is not None else None
    nats = -model.log_prob(batch.x, given).double().cpu()
    # A ratio of sums, so that a long clip counts as long; its error by the residuals of the ratio.
    ratio = nats.sum() / ends.sum()
    residual = (nats - ratio * ends) / ends.double().mean()
    scale = 1 / math.log(2)
    error = float(residual.std() / math.sqrt(len(rows))) if len(rows) > 1 else 0.0
    count = torch.ones(model.levels.levels, dtype=torch.float64)
    for part in torch.arange(len(train)).split(256):
        x = train.take(part.to(train.waves.device)).x.cpu()
        count += torch.bincount(model.levels.encode(x[~x.isnan()]).long(), minlength=len(count))
    seen = model.levels.encode(batch.x[~batch.x.isnan()].cpu()).long()
    plain = -float((count / count.sum()).log()[seen].mean()) * scale
    return Estimate(float(ratio) * scale, error * scale), plain


def _draw(model: Any, labels: Tensor | None, lengths: Tensor, seed: int) -> Tensor:
    generator, device = generator_for(model, seed), device_of(model)
    shape = len(lengths) if labels is None else ()
    condition = None if labels is None else labels.to(device)
    return model.sample(shape, condition, generator=generator, length=lengths.to(device)).cpu()


def _drawn_section(page: Report, test: Audio, drawn: Tensor, labels: Tensor | None, rows: Tensor) -> None:
    page.section("Samples")
    shown = torch.arange(len(drawn))[:SHOWN]
    if labels is not None:  # one of each class, as far as there are
        first = [int((labels == k).int().argmax()) for k in labels.unique().tolist()]
        shown = torch.tensor(first[:SHOWN])
    names = [test.class_names[labels[i]] if labels is not None else f"number {i + 1}" for i in shown.tolist()]
    for name, row in zip(names, shown.tolist()):
        page.sound(wav_bytes(drawn[row], test.rate), f"samples/{name}.wav".replace(" ", "-"))
    page.figure(waveform(drawn[shown], rate=test.rate, titles=names), "What the model draws.")
    page.figure(spectrogram(drawn[shown], rate=test.rate, titles=names), "The same as log-mel spectrograms.")
    real = test.take(rows[shown].to(test.waves.device)).x.cpu()[:, : drawn.shape[1]]
    page.figure(waveform(real, rate=test.rate, titles=names, colour=REAL), "Held-out clips of the same classes.")
    page.figure(spectrogram(real, rate=test.rate, titles=names), "The same as log-mel spectrograms.")


def _by_class(judge: Judge, test: Audio, drawn: Tensor, labels: Tensor, most: int) -> list[list[Any]]:
    assert test.labels is not None
    ours = (judge.classify(_pictures(drawn, test.rate, most)) == labels).double()
    real = (judge.classify(pictures(test, most)) == test.labels.cpu()).double()
    rows: list[list[Any]] = []
    for k, name in enumerate(test.class_names):
        pair = [100 * each[own == k] for each, own in ((ours, labels), (real, test.labels.cpu()))]
        rows.append([name, *(float(each.mean()) if len(each) else "none" for each in pair)])
    return rows
