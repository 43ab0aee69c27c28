"""A classifier of noised images beside a run of a diffusion model, in RUN/guide: fitted apart, and used to guide its samples."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, SavedFileError
from pushforward.lab.training import History, Settings, fit, load_with_about
from pushforward.models.diffusion import Diffusion
from pushforward.models.diffusion.guidance import ClassifierFree, ClassifierGuidance, time_classifier
from pushforward.models.diffusion.guided import Guide
from pushforward.parts.data import Images

from .run import Run, load_data, open_run, parts_of


def start_guide(data: str | None, folder: str | Path, *, minutes: float | None = None, steps: int | None = None, seed: int = 0,
                device: str | None = None, quiet: bool = False) -> tuple[Path, History]:  # fmt: skip
    """Fit a classifier on the path of the diffusion in a run, on these labelled images; return its folder and the history.

    Raises `ConfigError` for another model, images without labels and two budgets.
    """
    run = open_run(folder)
    model = diffusion_of(run)
    images = load_data(run.config.data if data is None else data, {} if data else run.config.data_options)
    if not isinstance(images, Images) or images.classes is None:
        raise ConfigError(
            "expected labelled images to fit a guide to, got data without classes; give images with labels"
        )
    if minutes is not None and steps is not None:
        raise ConfigError("expected one budget, got --minutes and --steps; give one of the two")
    train, held_out, _ = parts_of(run.config, images)
    torch.manual_seed(seed)
    classifier, place = time_classifier(train, model=model), Path(folder) / "guide"
    budget = 2.0 if minutes is None and steps is None else minutes
    return place, fit(classifier, (train, held_out), minutes=budget, steps=steps, seed=seed, device=device, out=place,
                      settings=Settings(bar=not quiet))  # fmt: skip


def diffusion_of(run: Run) -> Diffusion:
    """The model of a run, if it is a diffusion."""
    if not isinstance(run.model, Diffusion):
        raise ConfigError(
            f"expected a run of a diffusion model to guide, got {type(run.model).__name__}; flows have --temperature"
        )
    return run.model


def class_names(run: Run) -> list[str]:
    """What the classifier beside a run tells apart. Raises `SavedFileError` when there is none."""
    place = run.folder / "guide"
    if not place.exists():
        raise SavedFileError(
            f"expected a guide in {place}, found none; fit one by `pushforward fit --guide {run.folder}`"
        )
    about = load_with_about(place)[1]
    return [str(name) for name in about.get("class_names") or range(about["classes"])]


def guide_of(run: Run, labels: Tensor | None, weight: float | None) -> Guide:
    """By the classifier beside the run where labels are given, with weight 1 by default; else classifier-free."""
    device = next(diffusion_of(run).parameters()).device
    if labels is None:
        return partial(ClassifierFree, weight=2.0 if weight is None else weight)
    classifier = load_with_about(run.folder / "guide", device=device)[0]
    return partial(ClassifierGuidance, classifier=classifier, labels=labels, weight=1.0 if weight is None else weight)
