"""Data sets with names: drawn from a formula, carried by scikit-learn, or kept in the folder PUSHFORWARD_DATA.

Files of the last kind are never shipped with the package, since many state no licence; they stay where the user has them.
"""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pushforward.core.errors import ConfigError, DataError

from .array_file import read_array_file
from .audio import Audio
from .csv_file import read_csv
from .function_families import oscillators, rotating_digits, sawtooth
from .function_sets import GP_SETS, FunctionSet, gp_draws, sines
from .images import Images
from .physionet import read_physionet2012
from .populations import lotka_volterra, predator_prey
from .series import Series
from .series_csv import SeriesColumns, read_series_csv
from .series_toys import bidirectional_spirals, damped_oscillator, ornstein_uhlenbeck
from .table import Table, table_of
from .toys import TOYS, toy
from .ts_file import read_ts
from .wav_file import NAMED

VARIABLE = "PUSHFORWARD_DATA"
Kind = Literal["table", "images", "functions", "series", "audio"]


@dataclass(frozen=True)
class NamedData:
    """An entry of `names()`; `files` are what it needs in the folder PUSHFORWARD_DATA, and `parts` what `part` may be."""

    name: str
    kind: Kind
    summary: str
    available: bool = True
    files: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        state = "" if self.available else f" [not here: set {VARIABLE} to a folder with {' and '.join(self.files)}]"
        return f"{self.name}: {self.summary}{state}"


@dataclass(frozen=True)
class Choice:
    """What to read of a named set: see `load`."""

    part: str | None = None
    label: str | None = None
    drop: Sequence[str] = ()


@dataclass(frozen=True)
class _Set:
    """`read` gets the paths of `files`, in order, and the choice."""

    kind: Kind
    summary: str
    read: Callable[[list[Path], Choice], Table | Images | FunctionSet | Series | Audio]
    files: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    labels: bool = False  # can they be chosen?


def names() -> tuple[NamedData, ...]:
    """Every data set that `load` knows by name, with one line about it and whether it is available here.

    >>> print(names()[0])
    two_moons: two half circles in the plane, drawn from a formula
    """
    folder = _folder()
    return tuple(NamedData(name, own.kind, own.summary,
                           all(folder is not None and (folder / file).is_file() for file in own.files), own.files, own.parts)
                 for name, own in SETS.items())  # fmt: skip


def read_named(name: str, choice: Choice) -> Table | Images | FunctionSet | Series | Audio:
    """Read one of `names()`. Raises `DataError` when its files are not here, `ConfigError` for a part it does not have."""
    own = SETS[name]
    if choice.part is not None and choice.part not in own.parts:
        parts = f"one of its parts {', '.join(own.parts)}" if own.parts else "no part, since it is not divided"
        raise ConfigError(
            f"expected {parts} for the data set {name!r}, got part={choice.part!r}; leave it out or choose one"
        )
    return own.read([_require_file(name, file) for file in own.files], choice)


def _folder() -> Path | None:
    value = os.environ.get(VARIABLE)
    return Path(value).expanduser() if value else None


def _require_file(name: str, file: str) -> Path:
    folder = _folder()
    if folder is None:
        raise DataError(f"expected the environment variable {VARIABLE} to name a folder with {file} for the data set {name!r}, "
                        f"but it is not set; set it, or load a file by its path")  # fmt: skip
    if not (folder / file).is_file():
        raise DataError(f"expected {file} in '{folder}', the folder that {VARIABLE} names, for the data set {name!r}, found none; "
                        "put it there, or set the variable to another folder")  # fmt: skip
    return folder / file


def _toy(name: str, about: str) -> _Set:
    def read(_: list[Path], choice: Choice) -> Table:
        return table_of(toy(name).numpy(), ("x0", "x1"), name).drop(*choice.drop)

    return _Set("table", f"{about} in the plane, drawn from a formula", read)


def _functions(about: str, draw: Callable[[], FunctionSet]) -> _Set:
    return _Set("functions", f"{about}, drawn from a formula", lambda _, choice: draw())


def _learned(name: str, target: str, about: str) -> _Set:
    """A table that scikit-learn carries, with what it is to predict as the last column."""

    def read(_: list[Path], choice: Choice) -> Table:
        from sklearn import datasets

        found: Any = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
        columns = [str(own).replace(" (cm)", "").replace(" ", "_") for own in found.feature_names]
        return table_of(np.column_stack([found.data, found.target]), [*columns, target], name).drop(*choice.drop)

    return _Set("table", f"{about} (scikit-learn)", read)


def _digits(_: list[Path], choice: Choice) -> Images:
    from sklearn import datasets

    found: Any = datasets.load_digits()
    return Images.of(found.images.astype(np.uint8), found.target, levels=17, where="digits")


def _array(paths: list[Path], choice: Choice, class_names: Sequence[str] = ()) -> Table | Images:
    return read_array_file(paths[0], part=choice.part, class_names=class_names)


def _binary(paths: list[Path], choice: Choice) -> Table | Images:
    return read_array_file(paths[0], part=choice.part or "train", drop=choice.drop)


def _cifar10(paths: list[Path], choice: Choice) -> Table | Images:
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    return _array(paths, choice, classes)


def _smiles(paths: list[Path], choice: Choice) -> Table | Images:
    return _array(paths, choice, ("no smile", "smile"))


def _freyfaces(paths: list[Path], choice: Choice) -> Images:
    with np.load(paths[0], allow_pickle=False) as archive:
        return Images.of(archive["x"].reshape(-1, 28, 20), where="freyfaces")


def _omniglot(paths: list[Path], choice: Choice) -> Images:
    with np.load(paths[0], allow_pickle=False) as archive:
        if choice.label is not None and choice.label not in archive.files:
            raise ConfigError(
                f"expected label alphabet, character or drawer for omniglot, got {choice.label!r}; choose one"
            )
        both = np.char.add(np.char.add(archive["alphabet"], "/"), archive["character"])
        return Images.of(archive["x28"], archive[choice.label] if choice.label else both, levels=256, where="omniglot")


def _fsdd(paths: list[Path], choice: Choice) -> Audio:
    """Recordings 0 to 4 of each digit and speaker are the test part."""
    label = choice.label or "digit"
    if label not in NAMED:
        raise ConfigError(f"expected label {', '.join(NAMED)} for fsdd, got {label!r}; choose one")
    with np.load(paths[0], allow_pickle=False) as archive:
        sound, offsets = archive["audio"], archive["offsets"]
        names = [str(name).split("_") for name in archive["name"]]
    rows = [i for i, name in enumerate(names) if (int(name[2]) < 5) == (choice.part == "test")]
    labels = ["_".join(names[i][k] for k in NAMED[label]) for i in rows]
    return Audio.of([sound[offsets[i] : offsets[i + 1]] for i in rows], rate=8000, labels=labels, where="fsdd")


def _csv(summary: str, columns: str, *files: str) -> _Set:
    """A table in PUSHFORWARD_DATA without a header; two files are its training and its test part."""

    def read(paths: list[Path], choice: Choice) -> Table:
        path = paths[-1] if choice.part == "test" else paths[0]
        return read_csv(path, drop=choice.drop, names=columns.split())

    return _Set(
        "table",
        summary,
        read,
        tuple(f"tabular/{file}" for file in files),
        ("train", "test")[: 2 * (len(files) > 1)],
    )


def _drawn_series(about: str, draw: Callable[[], Series]) -> _Set:
    return _Set("series", f"{about}, drawn from a formula", lambda _, choice: draw())


def _record(about: str, file: str, time: str, *drop: str) -> _Set:
    """One long series in PUSHFORWARD_DATA."""

    def read(paths: list[Path], choice: Choice) -> Series:
        return read_series_csv(paths[0], SeriesColumns(time), drop=(*drop, *choice.drop))

    return _Set("series", about, read, (f"series/{file}",))


def _co2(paths: list[Path], choice: Choice) -> Series:
    """Its header names six of seven columns, so columns go by position; months without a measurement are negative."""
    rows = np.loadtxt(paths[0], delimiter=",", skiprows=1, usecols=(1, 2), ndmin=2)
    return Series.of(rows[:, 0], np.where(rows[:, 1] > 0, rows[:, 1], np.nan)[None], channel_names=("co2",),
                     time_name="date", time_unit="years")  # fmt: skip


def _classified(about: str, name: str) -> _Set:
    """Labelled series in PUSHFORWARD_DATA, in two `.ts` files."""

    def read(paths: list[Path], choice: Choice) -> Series:
        return read_ts(paths[-1:] if choice.part == "test" else paths[:1])

    return _Set("series", about, read, (f"series/{name}_TRAIN.ts", f"series/{name}_TEST.ts"), _HALVES)


_WINE = ("fixed_acidity volatile_acidity citric_acid residual_sugar chlorides free_sulfur_dioxide total_sulfur_dioxide density "
         "pH sulphates alcohol quality")  # fmt: skip
_ADULT = ("age workclass fnlwgt education education_num marital_status occupation relationship race sex capital_gain "
          "capital_loss hours_per_week native_country income")  # fmt: skip
_ABALONE = "sex length diameter height whole_weight shucked_weight viscera_weight shell_weight rings"
_CURVES = 4096
_ABOUT_GP = {
    "gp_rbf": "4,096 smooth curves of a Gaussian process",
    "gp_matern52": "4,096 rougher curves of a Gaussian process",
    "gp_periodic": "4,096 repeating curves of a Gaussian process",
    "gp_rbf_noisy": "4,096 smooth curves of a Gaussian process, noise of variance 0.05",
    "gp_matern52_noisy": "4,096 rougher curves of a Gaussian process, noise of variance 0.05",
    "gp_weakly_periodic": "4,096 almost repeating curves of a Gaussian process, noise of variance 0.05",
}
_HALVES, _THIRDS = ("train", "test"), ("train", "valid", "test")
_ABOUT_TOYS = {
    "two_moons": "two half circles",
    "eight_gaussians": "eight Gaussians on a circle",
    "pinwheel": "five bent arms",
    "checkerboard": "eight squares of a board",
    "spirals": "two spirals",
    "s_curve": "the letter S",
}

SETS: dict[str, _Set] = {
    **{name: _toy(name, _ABOUT_TOYS[name]) for name in TOYS},
    **{name: _functions(_ABOUT_GP[name], functools.partial(gp_draws, n=_CURVES, **options)) for name, options in GP_SETS.items()},
    "sines": _functions("4,096 waves of random height and shift", lambda: sines(_CURVES)),
    "sawtooth": _functions("4,096 saws of random pitch, direction and shift", lambda: sawtooth(_CURVES)),
    "oscillators": _functions("4,096 damped waves of random height and shift", lambda: oscillators(_CURVES)),
    "lotka_volterra": _functions("1,024 pairs of hunters and hunted, by the differential equation", lambda: lotka_volterra(1024)),
    "predator_prey": _functions("1,024 pairs of hunters and hunted, born and dying one by one", lambda: predator_prey(1024)),
    "rotating_digits": _functions("183 threes of 8 x 8 pixels that turn once around in 16 frames (scikit-learn)", rotating_digits),
    "bidirectional_spirals": _drawn_series("1,000 spirals in the plane, clockwise or not, 100 irregular instants each", bidirectional_spirals),
    "ornstein_uhlenbeck": _drawn_series("1,000 Ornstein-Uhlenbeck processes at 50 irregular instants", ornstein_uhlenbeck),
    "damped_oscillator": _drawn_series("1,000 damped oscillations, position and speed at 50 irregular instants", damped_oscillator),
    "digits": _Set("images", "1,797 handwritten digits, 8 x 8, 17 grey levels, 10 classes (scikit-learn)", _digits),
    "iris": _learned("iris", "species", "150 irises, 4 measures and the species"),
    "wine": _learned("wine", "cultivar", "178 wines, 13 measures and the cultivar"),
    "breast_cancer": _learned("breast_cancer", "benign", "569 tumours, 30 measures and whether benign"),
    "diabetes": _learned("diabetes", "progression", "442 patients, 10 measures and the progression of the disease"),
    "mnist": _Set("images", "70,000 handwritten digits, 28 x 28, 10 classes", _array, ("mnist.npz",), _HALVES),
    "cifar10": _Set("images", "18,000 of the 60,000 CIFAR-10 photographs, 32 x 32 RGB, 10 classes: a subset, so no figure on it "
                    "is a CIFAR-10 figure", _cifar10, ("cifar10_sub18k.npz",), _HALVES),
    "smiles": _Set("images", "13,165 grey faces, 64 x 64, smiling or not", _smiles, ("smiles64.npz",)),
    "freyfaces": _Set("images", "1,965 video frames of one face, 28 x 20", _freyfaces, ("freyfaces.npz",)),
    "omniglot": _Set("images", "4,840 drawings of 242 letters by 20 people, 28 x 28", _omniglot, ("omniglot_small.npz",), labels=True),
    "fsdd": _Set("audio", "3,000 spoken digits of 6 people, 8 kHz, 10 classes", _fsdd, ("fsdd.npz",), _HALVES, labels=True),
    "nltcs": _Set("table", "21,574 rows of 16 binary columns, disabilities", _binary, ("debd/nltcs.npz",), _THIRDS),
    "plants": _Set("table", "23,215 rows of 69 binary columns, where plants grow", _binary, ("debd/plants.npz",), _THIRDS),
    "baudio": _Set("table", "20,000 rows of 100 binary columns, music listened to", _binary, ("debd/baudio.npz",), _THIRDS),
    "wine_red": _csv("1,599 red wines, 11 measures and the quality", _WINE, "winequality-red.csv"),
    "wine_white": _csv("4,898 white wines, 11 measures and the quality", _WINE, "winequality-white.csv"),
    "abalone": _csv("4,177 abalones, 8 measures and the sex, a column of text", _ABALONE, "abalone.csv"),
    "adult": _csv("48,842 people, 6 numbers and 9 columns of text", _ADULT, "adult-train.csv", "adult-test.csv"),
    "lynx_hare": _record("21 years of pelts of lynx and hare, Hudson Bay, 1900 to 1920", "hudson-bay-lynx-hare.csv", "Year"),
    "co2": _Set("series", "Carbon dioxide at Mauna Loa by month since 1958, in parts per million", _co2, ("series/co2-mm-mlo.csv",)),
    "temperatures": _record("10 years of daily minimum temperatures, 1981 to 1990", "daily-min-temperatures.csv", "Date"),
    "airline": _record("12 years of airline passengers by month, in thousands", "airline.csv", "Date"),
    "nile": _record("100 years of the volume of the Nile, 1871 to 1970", "nile.csv", "year"),
    "basic_motions": _classified("80 recordings of a smart watch, 6 channels, 4 activities", "BasicMotions"),
    "italy_power": _classified("1,096 days of electricity in Italy by hour, winter or summer", "ItalyPowerDemand"),
    "physionet2012": _Set("series", "12,000 stays in intensive care, 41 channels with gaps, survived or not; sets a, b and c",
                          lambda paths, choice: read_physionet2012(paths[0], choice.part or "a"), ("physionet2012.npz",), ("a", "b", "c")),
}  # fmt: skip
