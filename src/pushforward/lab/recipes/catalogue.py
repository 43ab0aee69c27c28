"""The models that `fit` can build by name, with the kinds of data that each takes."""

import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from pushforward.core.errors import ConfigError

Kind = Literal["table", "images", "functions", "series", "audio"]


@dataclass(frozen=True)
class Entry:
    """A named model: the function that assembles it, and what it is for."""

    name: str
    function: str  # "package.module:function"
    kinds: tuple[Kind, ...]
    summary: str

    def assemble(self) -> Callable[..., Any]:
        """The function itself, imported now."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)

    def options(self) -> Mapping[str, inspect.Parameter]:
        """Its keyword arguments but those that come from the data or the run."""
        parameters = inspect.signature(self.assemble()).parameters
        taken = {
            "data",
            "channels",
            "features",
            "condition",
            "event_shape",
            "levels",
            "seed",
            "x_dim",
            "y_dim",
            "autoencoder",
        }
        return {name: parameter for name, parameter in parameters.items() if name not in taken}


MODELS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("neural_spline", "pushforward.models.flows:neural_spline", ("table",), "rational-quadratic spline flow; exact density of a table"),
        Entry("maf", "pushforward.models.flows:maf", ("table",), "masked autoregressive flow; exact density of a table in one pass"),
        Entry("iaf", "pushforward.models.flows:iaf", ("table",), "inverse autoregressive flow; draws of a table in one pass"),
        Entry("realnvp", "pushforward.models.flows:realnvp", ("table", "images"), "affine coupling flow; exact density of a table or of images"),
        Entry("nice", "pushforward.models.flows:nice", ("table",), "additive coupling flow and one scaling; exact density of a table"),
        Entry("neural_autoregressive", "pushforward.models.flows:neural_autoregressive", ("table",), "monotone networks of sigmoids; exact density of a table"),
        Entry("umnn", "pushforward.models.flows:umnn", ("table",), "integrals of positive networks; exact density of a table"),
        Entry("bernstein", "pushforward.models.flows:bernstein", ("table",), "increasing Bernstein polynomials; exact density of a table"),
        Entry("sum_of_squares", "pushforward.models.flows:sum_of_squares", ("table",), "integrals of sums of squares; exact density of a table"),
        Entry("planar", "pushforward.models.flows:planar", ("table",), "bends in one direction each; exact density of a table"),
        Entry("radial", "pushforward.models.flows:radial", ("table",), "contractions to centres; exact density of a table"),
        Entry("residual", "pushforward.models.flows:residual", ("table", "images"), "contractive residual flow; exact density of a table, estimated for images"),
        Entry("sylvester", "pushforward.models.flows:sylvester", ("table",), "bends in several directions at once; exact density of a table"),
        Entry("ffjord", "pushforward.models.flows:ffjord", ("table",), "continuous flow along a learned field; exact density of a table"),
        Entry("ffjord_images", "pushforward.models.flows:ffjord_images", ("images",), "continuous flow of images; estimated density, by class"),
        Entry("planar_continuous", "pushforward.models.flows:planar_continuous", ("table",), "continuous flow of many bends at once; exact density of a table"),
        Entry("glow", "pushforward.models.flows:glow", ("images",), "flow of images with invertible 1x1 convolutions; exact density, by class"),
        Entry("realnvp_images", "pushforward.models.flows:realnvp_images", ("images",), "multi-scale affine coupling flow of images; exact density, by class"),
        Entry("residual_images", "pushforward.models.flows:residual_images", ("images",), "contractive residual flow of images; estimated density, by class"),
        Entry("transformer_flow", "pushforward.models.flows:transformer_flow", ("images", "table"), "causal transformers over patches or columns; exact density"),
        Entry("hybrid", "pushforward.models.flows:hybrid", ("images", "table"), "flow and classifier in one network; data with labels"),
        Entry("made", "pushforward.models.autoregressive:made", ("table",), "masked autoregressive network; exact probabilities of levels, density of numbers"),
        Entry("pixelcnn", "pushforward.models.autoregressive:pixel_cnn", ("images",), "gated convolutions over the pixels before; exact, by class"),
        Entry("v_diffusion", "pushforward.models.diffusion:v_diffusion", ("images", "table"), "diffusion on the cosine path, velocity prediction; images by class"),
        Entry("ddpm", "pushforward.models.diffusion:ddpm", ("images", "table"), "denoising diffusion, noise prediction, linear schedule"),
        Entry("score_sde", "pushforward.models.diffusion:score_sde", ("images", "table"), "score on the path of an SDE: vp, subvp or ve"),
        Entry("ncsn", "pushforward.models.diffusion:ncsn", ("images", "table"), "score at geometric levels of noise, for annealed Langevin dynamics"),
        Entry("edm", "pushforward.models.diffusion:edm", ("images", "table"), "data prediction by a preconditioned network, lognormal noise levels"),
        Entry("dit", "pushforward.models.diffusion:dit", ("images",), "diffusion transformer on the cosine path, velocity prediction; images by class"),
        Entry("flow_matching", "pushforward.models.diffusion:flow_matching", ("images", "table"), "straight path from noise to data, velocity prediction"),
        Entry("consistency", "pushforward.models.diffusion:consistency", ("images", "table"), "samples in one evaluation; from data, or --set teacher=RUN"),
        Entry("latent_diffusion", "pushforward.models.latent:latent_diffusion", ("images", "table"), "autoencoder and diffusion of its latents, trained at once"),
        Entry("autoencoder", "pushforward.models.latent:autoencoder", ("images", "table"), "variational autoencoder, small pull to the prior; a bound of the density"),
        Entry("vae", "pushforward.models.latent:vae", ("images", "table"), "variational autoencoder, with a flow as the posterior or prior; a bound of the density"),
        Entry("gan", "pushforward.models.latent:gan", ("images", "table"), "adversarial network; draws alone, by class, and unstable"),
        Entry("boltzmann_machine", "pushforward.models.energy:boltzmann_machine", ("table", "images"), "pairs of yes-or-no columns or pixels; exact up to 20"),
        Entry("rbm", "pushforward.models.energy:rbm", ("table", "images"), "restricted Boltzmann machine of yes-or-no columns, or of black and white pixels"),
        Entry("energy_model", "pushforward.models.energy:energy_model", ("table", "images"), "any network as an energy, by Langevin chains or score matching"),
        Entry("joint_energy", "pushforward.models.energy:joint_energy", ("images", "table"), "classifier and energy-based density in one network; data with labels"),
        Entry("wavenet", "pushforward.models.autoregressive:wavenet", ("audio",), "dilated causal convolutions over a waveform; exact, by class"),
        Entry("conditional_neural_process", "pushforward.models.processes:conditional_neural_process", ("functions",), "few-shot regression on sets of functions"),
        Entry("neural_process", "pushforward.models.processes:neural_process", ("functions",), "few-shot regression by one latent vector a function; joint predictions"),
        Entry("attentive_neural_process", "pushforward.models.processes:attentive_neural_process", ("functions",), "few-shot regression by attention to the given points; latent=true for joint predictions"),
        Entry("convolutional_neural_process", "pushforward.models.processes:convolutional_neural_process", ("functions",), "few-shot regression that shifts with its points; of 1 or 2 coordinates"),
        Entry("transformer_neural_process", "pushforward.models.processes:transformer_neural_process", ("functions",), "few-shot regression by a transformer of points and places"),
        Entry("neural_ode_process", "pushforward.models.processes:neural_ode_process", ("functions",), "few-shot regression of functions of time that move by an unknown law, jointly"),
        Entry("gaussian_process", "pushforward.models.processes:gaussian_process", ("functions",), "exact regression with a fitted kernel; sparse for many points"),
        Entry("latent_ode", "pushforward.models.dynamics:latent_ode", ("series",), "latent ODE; interpolates and forecasts series, with bands"),
        Entry("neural_sde", "pushforward.models.dynamics:neural_sde", ("series",), "diffusion of the observed channels; smooths and forecasts series, with bands"),
        Entry("latent_sde", "pushforward.models.dynamics:latent_sde", ("series",), "hidden diffusion and decoder; interpolates and forecasts series, with bands"),
        Entry("neural_ode", "pushforward.models.dynamics:neural_ode", ("images", "table"), "follows a learned field to a label, or to the given column of a table"),
        Entry("neural_cde", "pushforward.models.dynamics:neural_cde", ("series",), "controlled differential equation; classifies labelled series, gaps and all"),
        Entry("neural_cde_series", "pushforward.models.dynamics:neural_cde_series", ("series",), "forecasts by a path-driven hidden state; sees only the past"),
        Entry("neural_ode_series", "pushforward.models.dynamics:neural_ode_series", ("series",), "vector field of the observed channels; forecasts series, with bands"),
    )
}  # fmt: skip

DEFAULTS: dict[Kind, str] = {
    "table": "neural_spline",
    "images": "v_diffusion",
    "functions": "conditional_neural_process",
    "series": "latent_ode",
    "audio": "wavenet",
}


def entry_for(name: str | None, kind: Kind) -> Entry:
    """The named model, or the default for this kind of data; raises `ConfigError` for a name that does not fit."""
    entry = MODELS.get(name or DEFAULTS[kind])
    if entry is None:
        raise ConfigError(
            f"expected a model among {', '.join(MODELS)}, got {name!r}{did_you_mean(name or '', list(MODELS))}"
        )
    if kind not in entry.kinds:
        fitting = ", ".join(e.name for e in MODELS.values() if kind in e.kinds)
        raise ConfigError(
            f"expected a model for {kind}, got {entry.name}, which takes {' or '.join(entry.kinds)}; choose among {fitting}"
        )
    return entry


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint when `name` is close to something known."""
    close = get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def parse_value(name: str, text: str, annotation: Any) -> Any:
    """Read the text of `--set name=text` as the annotation says; raises `ConfigError` when it does not fit."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = {"none": None, "true": True, "false": False}.get(text.lower(), text)
    pieces = [piece.strip() for piece in text.strip("[]()").split(",") if piece.strip()]
    for candidate in (value, text, [_number(piece) for piece in pieces], pieces):
        fitted = _fit(candidate, annotation)
        if fitted is not _MISFIT:
            return fitted
    raise ConfigError(
        f"expected {name} to be {_words(annotation)}, got {text!r}; write for example --set {name}={_example(annotation)}"
    )


_MISFIT = object()


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _fit(value: Any, annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (Any, inspect.Parameter.empty):
        return value
    if origin in (typing.Union, types.UnionType):
        fitted = [_fit(value, a) for a in sorted(arguments, key=lambda a: a is str)]
        return next((f for f in fitted if f is not _MISFIT), _MISFIT)
    if origin is Literal:
        return value if value in arguments else _MISFIT
    if annotation in (None, type(None)):
        return None if value is None else _MISFIT
    if origin in (tuple, list, Sequence) or annotation in (tuple, list):
        if not isinstance(value, list | tuple):
            return _MISFIT
        inner = arguments[0] if arguments else Any
        fitted = [_fit(v, inner) for v in value]
        return _MISFIT if any(f is _MISFIT for f in fitted) else tuple(fitted)
    if annotation is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if annotation in (int, str, bool) and type(value) is annotation:
        return value
    if is_model(annotation) and isinstance(value, str) and value:
        return value  # the folder of a run, whose model is loaded when the run starts
    return _MISFIT


def is_model(annotation: Any) -> bool:
    """Whether an option takes a model: `X` or `X | None` for a class X of networks."""
    from torch import nn

    kinds = typing.get_args(annotation) or (annotation,)
    return any(isinstance(kind, type) and issubclass(kind, nn.Module) for kind in kinds)


def _words(annotation: Any) -> str:
    if is_model(annotation):
        return "the folder of a run"
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return text.replace("typing.", "").replace("collections.abc.", "")


def _example(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return str(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _example(arguments[0])
    if origin in (tuple, list, Sequence):
        return f"[{_example(arguments[0])},{_example(arguments[0])}]"
    return "runs/digits" if is_model(annotation) else {int: "64", float: "0.1", bool: "true"}.get(annotation, "name")
