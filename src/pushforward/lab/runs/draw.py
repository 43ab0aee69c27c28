"""Draw samples from a saved model into a file."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.files import replacing
from pushforward.lab.plots import image_grid
from pushforward.models.diffusion import Diffusion
from pushforward.models.diffusion.samplers import named
from pushforward.models.flows import tempered
from pushforward.parts.data import save_array, write_csv, write_images, write_wavs

from .guide import class_names, guide_of
from .run import Run
from .start import free_folder


def draw(
    run: Run,
    n: int,
    *,
    out: str | Path | None = None,
    seed: int = 0,
    given: Mapping[str, str] | None = None,
    temperature: float = 1.0,
    guide: bool = False,
    weight: float | None = None,
    sampler: str | None = None,
    sampler_steps: int | None = None,
) -> tuple[Tensor, Path]:
    """Draw `n` samples, write them, and return them with the path.

    The suffix of `out` says how: .csv, .npy or .npz for anything, .png for a grid of images, a folder for one PNG each, or
    for sound a folder for one .wav each.
    `given` fixes the condition: values by column name, or `label` for images by class (which take turns without it).
    `temperature` is that of a flow, see `pf.flows.tempered`, or of an autoregressive model. `weight` is that of guidance of a diffusion: classifier-free, or
    by the classifier beside the run with `guide`. `sampler` is that of a diffusion, by its name in `pf.diffusion.samplers`, with `sampler_steps`.
    """
    if n < 1:
        raise ConfigError(f"expected to draw at least 1 sample, got {n}")
    if not hasattr(run.model, "sample"):
        raise ConfigError(
            f"expected a model that samples, but {type(run.model).__name__} predicts functions; use `pushforward report`"
        )
    device = next(run.model.parameters()).device
    guided = _sampling(run, sampler, sampler_steps)
    if guide:
        condition, guided["guide"] = None, guide_of(run, _labels(class_names(run), n, dict(given or {})), weight)
    else:
        condition = _condition(run, n, dict(given or {}))
        if weight is not None:
            guided["guide"] = guide_of(run, None, weight)
    generator = torch.Generator(device=device).manual_seed(seed)
    shape = n if condition is None else ()
    model = run.model
    if temperature != 1 and "temperature" in inspect.signature(model.sample).parameters:
        guided["temperature"] = temperature
    elif temperature != 1:
        model = tempered(model, temperature)
    x = model.sample(shape, None if condition is None else condition.to(device), generator=generator, **guided).cpu()
    images = run.about.get("kind") == "images"
    own = "samples.png" if images else "samples.csv"
    default = free_folder(run.folder / "drawn") if run.about.get("kind") == "audio" else run.folder / own
    path = default if out is None else Path(out)
    _write(path, x, run.about, condition)
    return x, path


def _sampling(run: Run, sampler: str | None, steps: int | None) -> dict[str, Any]:
    if sampler is None and steps is None:
        return {}
    if not isinstance(run.model, Diffusion):
        raise ConfigError(
            f"expected a diffusion model to choose a sampler for, got {type(run.model).__name__}; leave --sampler and --steps out"
        )
    return {"sampler": named("DDIM" if sampler is None else sampler, steps)}


def _write(path: Path, x: Tensor, about: dict[str, Any], condition: Tensor | None) -> None:
    if about.get("kind") == "audio":
        if path.suffix == "":
            write_wavs(path, x, about["rate"])
        else:
            save_array(path, x)
        return
    if about.get("kind") != "images":
        names = list(about.get("columns", [f"x{i}" for i in range(x.shape[-1])]))
        whole = x if condition is None else torch.cat([x, condition.to(x.dtype)], 1)
        names += about.get("given", []) if condition is not None else []
        if path.suffix.lower() in (".csv", ".tsv", ""):
            write_csv(path if path.suffix else path / "samples.csv", whole, names)
        else:
            save_array(path, whole)
        return
    pixels = x.round().clamp(0, about["levels"] - 1).to(torch.uint8)
    if path.suffix.lower() == ".png":
        figure = image_grid(x, levels=about["levels"])
        with replacing(path) as beside:
            figure.savefig(beside, format="png", dpi=150)
    elif path.suffix == "":
        write_images(path, pixels, levels=about["levels"])
    else:
        save_array(path, pixels)


def _condition(run: Run, n: int, given: dict[str, str]) -> Tensor | None:
    shape = run.model.condition_shape
    if shape is None:
        if given:
            raise ConfigError(
                f"expected no condition, since the model was fitted without one, got {', '.join(given)}; leave --given out"
            )
        return None
    if run.about.get("kind") in ("images", "audio"):
        return _labels([str(name) for name in run.about.get("class_names") or range(run.about["classes"])], n, given)
    names = list(run.about["given"])
    if set(given) != set(names):
        raise ConfigError(f"expected --given NAME=VALUE for {', '.join(names)}, got {', '.join(given) or 'none'}")
    try:
        values = [float(given[name]) for name in names]
    except ValueError as error:
        raise ConfigError(f"expected numbers for {', '.join(names)}, got {given}") from error
    return torch.tensor(values).expand(n, len(names))


def _labels(names: list[str], n: int, given: dict[str, str]) -> Tensor:
    if not given:
        return torch.arange(n) % len(names)
    label = given.get("label")
    if set(given) != {"label"} or label not in names:
        raise ConfigError(f"expected --given label=NAME with a name among {', '.join(names)}, got {given}")
    return torch.full((n,), names.index(label))
