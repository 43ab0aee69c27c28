"""The report of an image model: what it draws, how it gets there, how likely held-out images are, whether it copies."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import UserError
from pushforward.core.registry import device_of
from pushforward.lab.metrics import Estimate, Judge, bits_per_dim, classifier_accuracy, nearest_neighbours, train_judge
from pushforward.lab.metrics.sampling_curve import NFE
from pushforward.lab.plots import film_strip, image_grid, neighbours
from pushforward.models.diffusion.guidance import ClassifierFree
from pushforward.parts.data.images import Images

from .common import (
    KINDS,
    History,
    batch_of,
    draw,
    find_log_z,
    generator_for,
    has_density,
    log_prob_of,
    loss_unit,
    some_rows,
    training_section,
    training_values,
)
from .latent_sections import bound_section, bound_values, is_autoencoder, latent_pictures
from .page import Report
from .sampling_section import sampling_section

JUDGE = """
A small convolutional network, trained on the real training images alone, says which class it sees. Beside the samples
stands what it makes of real held-out images: a perfect model reaches that and no more. It does not see variety.
"""
COPIES = """
Distances are Euclidean, in pixel values, from a sample to its nearest training image. Held-out images are the
yardstick: a model that learned the distribution is as far from the training images as they are, one that copies
is nearer, and one that misses the distribution is further away (Meehan et al. 2020).
"""


def report_images(model: Any, train: Images, test: Images, history: History, *, seed: int = 0, title: str = "",
                  minutes: float | None = None, samples: int = 400, scored: int = 256,
                  expected: Mapping[str, tuple[float, float]] | None = None, nfe: Sequence[int] = NFE,
                  guidance: float = 1.0) -> Report:  # fmt: skip
    """Sample, score and judge a model of images, conditional on labels or not: about a minute for 8 x 8 digits.

    `test` are images that no decision was made by. `samples` images are drawn, of the classes that held-out images
    have, and `scored` held-out ones are scored. `minutes` is the training time where the history does not tell.
    `expected` maps names of headline figures ("held-out bits/dim", "recognised samples (%)") to ranges.
    """
    kind = f"{len(train):,} training and {len(test):,} test images of {' x '.join(map(str, test.shape))} pixels"
    page = Report(title or f"{type(model).__name__} of images", subtitle=kind, expected=expected)
    if hasattr(model, "as_seen"):  # a model of black and white is compared with black and white
        train, test = model.as_seen(train), model.as_seen(test)
        find_log_z(model, seed)  # of bits it is cheap
    rows = some_rows(test, len(test), seed)
    labels = None
    if test.labels is not None and getattr(model, "condition_shape", None) is not None:
        labels = test.labels.cpu()[rows[torch.arange(samples) % len(rows)]]
    guide = None if guidance == 1 or labels is None else partial(ClassifierFree, weight=guidance)
    drawn = draw(model, samples, None if labels is None else labels.to(device_of(model)), seed, guide)

    bits = _likelihood_value(page, model, test, rows[:scored], seed)
    if is_autoencoder(model):
        bound_values(page, model, test.take(rows[:scored]).x, seed)
    judge = None
    if labels is not None and train.labels is not None:
        judge = train_judge(train.pixels, train.labels, levels=train.levels, seed=seed)
        _judge_value(page, judge, test, drawn, labels, guidance)
    near = nearest_neighbours(drawn, train.pixels, test.pixels, neighbours=3, max_rows=1000, seed=seed)
    page.value("distance to training images", near.ratio or 0.0, note="1 for held-out images; far below 1 for copies")
    training_values(page, model, history, minutes)

    _samples_section(page, test, drawn, labels)
    _film_section(page, model, labels, seed)
    if judge is not None and labels is not None:
        _judge_section(page, judge, test, drawn, labels)
    if is_autoencoder(model):
        latent_pictures(page, model, test)
    _likelihood_section(page, bits, train, test, KINDS[model.log_prob_kind])
    if is_autoencoder(model):
        bound_section(page)
    sampling_section(
        page, model, batch_of(model, test, rows[:scored]), nfe, rows=min(100, samples), seed=seed, guide=guide
    )
    training_section(page, history, loss_unit(model))
    page.section("Nearest training images")
    nearest = train.pixels.cpu()[near.index[:12]]
    figure = neighbours(drawn[:12], nearest, distances=near.distance[:12], levels=train.levels)
    page.figure(figure, "Samples above their three nearest training images, with the distance to the first.")
    verdict = _verdict(near.ratio or 0.0, near.p_value or 0.0)
    return page.text(f"{COPIES}\n\n{verdict}")


def _likelihood_value(page: Report, model: Any, test: Images, rows: Tensor, seed: int) -> Estimate | str:
    """Bits per dimension of held-out images, or why there are none."""
    if not has_density(model):
        if hasattr(model, "estimate_log_z"):
            return "the density is known up to a constant, and estimate_log_z, which finds it, takes minutes for images"
        return f"{type(model).__name__} draws samples and has no density"
    try:
        scores = log_prob_of(model, batch_of(model, test, rows), seed)
    except UserError as error:  # a solver that refuses must not cost the rest of the report
        return str(error)
    bits = bits_per_dim(scores, test.shape.numel())
    page.value(
        "held-out bits/dim", bits.value, bits.std_error, note=f"{KINDS[model.log_prob_kind]}; {len(rows)} images"
    )
    return bits


def _judge_value(page: Report, judge: Judge, test: Images, drawn: Tensor, labels: Tensor, guidance: float) -> None:
    assert test.labels is not None
    ours, real = classifier_accuracy(judge, drawn, labels), classifier_accuracy(judge, test.pixels, test.labels)
    note = f"real held-out images: {100 * real.value:.1f} %"
    if guidance != 1:
        note += f"; drawn with classifier-free guidance of weight {guidance:g}"
    page.value("recognised samples (%)", 100 * ours.value, 100 * ours.std_error, note=note)


def _samples_section(page: Report, test: Images, drawn: Tensor, labels: Tensor | None) -> None:
    page.section("Samples")
    if labels is None:
        page.figure(image_grid(drawn[:100], levels=test.levels), "Samples, in the order they were drawn.")
        return
    shown = labels < 20
    grid = image_grid(drawn[shown], labels=labels[shown], names=test.class_names, levels=test.levels)
    page.figure(grid, "Samples by the class that was asked for, the first ten of each, none left out.")


def _film_section(page: Report, model: Any, labels: Tensor | None, seed: int) -> None:
    """The same samples at ten moments of sampling, from the states that the sampler passes through."""
    if not hasattr(model, "log_prob_estimate"):
        return  # not a diffusion: there is nothing between noise and data
    wanted = None if labels is None else labels.unique()[:6].to(device_of(model))
    states: list[Tensor] = []
    model.sample(
        6 if wanted is None else (), wanted, generator=generator_for(model, seed),
        callback=lambda state, _: states.append(state.x.detach().clone()),
    )  # fmt: skip
    moments = torch.linspace(0, len(states) - 1, min(10, len(states))).round().long().tolist()
    frames = torch.stack([states[i] for i in moments]).float().cpu()
    captions = [f"step {i + 1}" if i else "step 1" for i in moments]
    page.section("From noise to data")
    page.figure(
        film_strip(frames, captions=captions), f"Six samples on their way, at {len(moments)} of {len(states)} steps."
    )


def _judge_section(page: Report, judge: Judge, test: Images, drawn: Tensor, labels: Tensor) -> None:
    assert test.labels is not None
    truth, rows = test.labels.cpu(), []
    for k in truth.unique().tolist()[:20]:
        cells = []
        for pixels, own in ((drawn, labels), (test.pixels.cpu(), truth)):
            one = own == k
            score = classifier_accuracy(judge, pixels[one], own[one]) if one.any() else None
            cells.append("none" if score is None else f"{100 * score.value:.0f} % of {int(one.sum())}")
        rows.append([test.class_names[k], *cells])
    page.section("Recognised by a classifier").text(JUDGE)
    page.table(rows, ["class", "samples", "real, held out"])


def _likelihood_section(page: Report, bits: Estimate | str, train: Images, test: Images, kind: str) -> None:
    page.section("Likelihood")
    if isinstance(bits, str):
        page.text(f"It could not be computed: {bits}.")
        return
    baseline = _independent_pixels(train, test)
    uniform = math.log2(2 if test.pixels.unique().numel() == 2 else test.levels)
    rows = [["this model", (bits.value, bits.std_error)], ["every pixel on its own", (baseline.value, baseline.std_error)],
            ["noise, all images equally likely", uniform]]  # fmt: skip
    page.table(
        rows, ["", "bits/dim"], f"Bits per dimension of held-out images; lower is better. The model's is {kind}."
    )


def _independent_pixels(train: Images, test: Images) -> Estimate:
    """Bits per dimension of a histogram for every pixel, each level counted once more than it was seen."""
    score = torch.zeros(len(test), dtype=torch.float64)
    for ours, theirs in zip(
        train.pixels.flatten(1).long().cpu().mT, test.pixels.flatten(1).long().cpu().mT, strict=True
    ):
        count = torch.bincount(ours, minlength=train.levels).double() + 1
        score += (count / count.sum()).log()[theirs]
    return bits_per_dim(score, test.shape.numel())


def _verdict(ratio: float, p_value: float) -> str:
    figures = (
        f"Here the median distance is **{ratio:.2f}** times that of held-out images (rank test: p = {p_value:.2g})."
    )
    if p_value < 0.01 and ratio < 0.5:
        return f"{figures} Samples lie much nearer to training images than fresh images do: **many are copies**."
    if p_value < 0.01 and ratio < 1:
        return f"{figures} Samples lie nearer to training images than fresh images do; look at the pairs above."
    return f"{figures} Nothing here says that the model copies."
