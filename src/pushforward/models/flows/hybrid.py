"""The hybrid model of Nalisnick et al. 2019 (https://arxiv.org/abs/1902.02767), assembled for data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import (
    Affine,
    AffineTransformer,
    Chain,
    Coupling,
    MultiScale,
    RationalQuadraticTransformer,
    Sigmoid,
)
from pushforward.parts.data import Images, PartlyLabelled, Table
from pushforward.parts.data.partly_labelled import labels_of
from pushforward.parts.distributions import Dequantised, Flow, Gaussian
from pushforward.parts.distributions.lattice import noise_of_rows
from pushforward.parts.nn import MLP

from .columns import halves, seeded
from .hybrid_model import HybridModel, flow_inside
from .neural_spline import neural_spline
from .realnvp import realnvp


def hybrid(
    data: Images | Table | PartlyLabelled | None = None,
    *,
    flow: Distribution | str = "realnvp",
    classes: int | None = None,
    weight: float = 1.0,
    layers: int = 8,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    head_hidden: Sequence[int] = (),
    seed: int = 0,
) -> HybridModel:
    """A `HybridModel` of images with labels, or of a table given one column of class numbers.

    `flow` is "realnvp" or "neural_spline", built for the data with `layers`, `hidden`, `dropout` and `seed`, or a flow of
    your own, without condition; then `data` only tell the number of `classes`, and may be left out. For images the couplings
    run over all pixels as one vector, dequantised and seen through the logit, with networks of 256 units: fit for small
    pictures. `head_hidden` are hidden widths of the head, which is linear without; it begins at zero, all classes alike.
    Where labels are missing, pass `pf.data.hide_labels(data, share)`, or a `PartlyLabelled` of your own.

    Raises `ConfigError` for an unknown name, or neither data nor flow and classes; `DataError` for data without classes.

    >>> import pushforward as pf
    >>> model = hybrid(pf.data.load("digits"), layers=2)
    >>> model.sample(2).shape, model.classes
    (torch.Size([2, 1, 8, 8]), 10)
    """
    inside: Any = data.data if isinstance(data, PartlyLabelled) else data
    if classes is None:
        if data is None:
            raise ConfigError("expected data, or a flow and classes=, got neither; give the number of classes")
        classes = data.classes if isinstance(data, Images | PartlyLabelled) else None
        classes = classes if classes is not None else int(labels_of(inside).max()) + 1
    if isinstance(flow, str):
        if flow not in ("realnvp", "neural_spline") or inside is None:
            raise ConfigError(f"expected flow 'realnvp' or 'neural_spline' with data, or a flow, got {flow!r} and data of {type(inside).__name__}; "
                              "build the flow first and pass it as flow=")  # fmt: skip
        if isinstance(inside, Images):
            flow = _over_pixels(inside, flow, layers, hidden or (256,), dropout or 0.0, seed)
        else:
            build = realnvp if flow == "realnvp" else neural_spline
            table = replace(inside, condition=None, condition_names=())
            flow = build(table, layers=layers, hidden=hidden, dropout=dropout, seed=seed)
    numbers = flow_inside(flow).base.event_shape.numel()
    with seeded(seed):
        return HybridModel(flow, MLP(numbers, classes, head_hidden, "relu", zero_last=True), weight)


def _over_pixels(
    images: Images, name: str, layers: int, hidden: Sequence[int], dropout: float, seed: int
) -> Distribution:
    """Couplings over the pixels as one vector, through the logit, standardised."""
    shape, rows = images.shape, images.take(torch.arange(min(len(images), 4096))).x
    squash = Sigmoid(shape, 0.05, 0.0, float(images.levels))
    seen, _ = squash.inverse(rows + noise_of_rows(rows, 1)[:, 0])
    # The first part of the scale is enough even where a pixel never changes: the noise in its cell does.
    units = MultiScale([Chain([Affine(seen.mean(0), seen.std(0)), squash])])
    features, transformer = shape.numel(), AffineTransformer() if name == "realnvp" else RationalQuadraticTransformer()
    with seeded(seed):
        couplings = []
        for mask in halves(features, layers, seed):
            passing = sum(mask)
            net = MLP(passing, transformer.size * (features - passing), hidden, "relu", zero_last=True, dropout=dropout)
            couplings.append(Coupling(mask, transformer, net))
    return Dequantised(Flow(Gaussian.standard(features), Chain([*couplings, units])), torch.ones(shape))
