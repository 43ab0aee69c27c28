"""The command line: a face of `lab/runs`, with no logic of its own.

Exit codes: 0 done, 2 the user's mistake in one sentence on stderr, 130 interrupted and saved, 1 ours.
Everything heavy is imported inside the commands, so that `--help` answers at once.
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pushforward.core.errors import UserError

# Before PyTorch is imported: idle threads spin for some microseconds and then sleep. Spinning for long, the default, costs a
# step tenfold on a busy machine; sleeping at once (OMP_WAIT_POLICY=passive) costs it twofold on an idle one.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

app = typer.Typer(name="pushforward", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Generative models: fit, sample and score tables, images, time series and sets of functions.")  # fmt: skip


def sentences(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the user's mistakes into one sentence and exit code 2, an interruption into 130."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except UserError as error:
            typer.echo(f"pushforward: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("pushforward: interrupted", err=True)
            raise typer.Exit(130) from None

    return guarded


@app.command()
@sentences
def fit(
    data: Annotated[
        str | None,
        typer.Argument(
            help="A recipe, a named data set, or a path: csv, tsv, parquet, npz, npy, ts, wav, folder of images or sound."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model of `pushforward list`; by default one that fits the data.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; by default runs/NAME.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget in minutes.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in optimiser steps.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same losses.")] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...; by default the GPU where there is one.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any field of the model, the training or the data; repeat it."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    guide: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Fit a classifier that guides the diffusion model in RUN, beside it."),
    ] = None,
    report: Annotated[bool, typer.Option(help="Evaluate and write report.html at the end.")] = True,
) -> None:
    """Fit a model to data, into a run folder with the model, its metrics and a report."""
    from pushforward.core.errors import ConfigError
    from pushforward.lab import runs

    if guide is not None:
        if resume or out is not None or model is not None or set_:
            raise ConfigError("expected no --resume, --out, --model or --set with --guide; it goes to RUN/guide")
        folder, history = runs.start_guide(data, guide, minutes=minutes, steps=steps, seed=seed, device=device)
        report = False
    elif resume:
        if out is None:
            raise ConfigError("expected the run to go on with, got none; give it by --out RUN")
        if model is not None or set_:
            raise ConfigError(
                "expected no --model or --set with --resume, since the run keeps its own; leave them out or fit anew"
            )
        folder, history = runs.resume(out, minutes=minutes, steps=steps, device=device)
    else:
        if data is None:
            raise ConfigError(
                "expected a recipe, a named data set or a path, got none; `pushforward list` shows what there is"
            )
        from pushforward.lab.runs.config import split_assignments

        folder, history = runs.start(data, model=model, out=out, minutes=minutes, steps=steps, seed=seed, device=device,
                                     changes=split_assignments(set_ or []))  # fmt: skip
    steps_done = history.records[-1]["step"] if history.records else 0
    typer.echo(f"model   {folder / 'model.safetensors'}  (best of {steps_done:,} steps: step {history.best_step:,}, "
               f"held-out loss {history.best_held_out_loss:.4f})")  # fmt: skip
    if history.stopped == "interrupted":
        typer.echo(f"interrupted and saved; go on with: pushforward fit --resume --out {folder}", err=True)
        raise typer.Exit(130)
    if report:
        typer.echo(f"report  {runs.open_run(folder, device).report()}")


@app.command()
@sentences
def sample(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    n: Annotated[int, typer.Option("-n", help="How many.")] = 64,
    output: Annotated[
        Path | None, typer.Option("-o", help="A file (.csv, .npy, .npz, .png) or, for images and sound, a folder.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A condition: a column's value, or label=NAME; repeat it."),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="Multiplies the spread of a flow's Gaussian noise; below 1 for more typical samples.")
    ] = 1.0,
    guide: Annotated[bool, typer.Option(help="Guide by the classifier of `fit --guide RUN`.")] = False,
    weight: Annotated[
        float | None,
        typer.Option(help="Of guidance; without --guide it is classifier-free, and 1 is the model itself."),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="Of a diffusion: DDIM, DPMSolver, UniPC, Ancestral, ... of pf.diffusion.samplers."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of the sampler.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same samples.")] = 0,
    device: Annotated[str | None, typer.Option(help="Where to compute.")] = None,
) -> None:
    """Draw samples from a run."""
    from pushforward.lab import runs
    from pushforward.lab.runs.config import split_assignments

    _, path = runs.draw(runs.open_run(run, device), n, out=output, seed=seed, given=split_assignments(given or []),
                        temperature=temperature, guide=guide, weight=weight, sampler=sampler, sampler_steps=steps)  # fmt: skip
    typer.echo(f"samples {path}")


@app.command()
@sentences
def edit(
    run: Annotated[
        Path, typer.Argument(help="A run folder of a flow of images with classes, such as `fit smiles_glow`.")
    ],
    attribute: Annotated[str, typer.Option(help="The class to move towards, such as smile.")],
    alpha: Annotated[
        list[float] | None,
        typer.Option(
            help="How far along the direction; repeat it. By default -1, -0.5, 0, 0.5 and 1; 0 is the original."
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="How many test images.")] = 8,
    output: Annotated[Path | None, typer.Option("-o", help="A .png, .npy or .npz file.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute.")] = None,
) -> None:
    """Edit test images along an attribute: z(x) + alpha (mean z with it - mean z without it), decoded."""
    from pushforward.lab import runs

    amounts = tuple(alpha) if alpha else (-1.0, -0.5, 0.0, 0.5, 1.0)
    edits, path = runs.edit(runs.open_run(run, device), attribute, alphas=amounts, n=n, out=output)
    if 0.0 in amounts:
        typer.echo(f"alpha 0 changes {edits.changed_at_zero} of {edits.originals.numel():,} pixels")
    typer.echo(f"edits   {path}")


@app.command()
@sentences
def score(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[str, typer.Argument(help="A named data set or a path.")],
    output: Annotated[Path | None, typer.Option("-o", help="A csv file for the score of every row.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute.")] = None,
) -> None:
    """Score every row of DATA: log probability in nats; of series, the error of forecasts or the answers of a classifier."""
    from pushforward.lab import runs
    from pushforward.parts.data import write_csv

    scores = runs.score(runs.open_run(run, device), data)
    typer.echo(scores.summary())
    if output is not None:
        write_csv(output, *scores.columns())
        typer.echo(f"scores  {output}")


@app.command()
@sentences
def forecast(
    run: Annotated[Path, typer.Argument(help="A run folder of a model of series, such as `fit lynx_hare`.")],
    data: Annotated[
        str | None, typer.Argument(help="A named data set or a file of series; by default the data of the run.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="How far: a time as the data write it, such as 1930, 2026-12 or 2026-12-31.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="How far: instants beyond the end, as far apart as those of the data.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", help="A picture (.png) or a table (.csv); by default RUN/forecast.png.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute.")] = None,
) -> None:
    """Forecast series beyond their end, and fill their gaps: mean and intervals of 50 and 90 %."""
    from pushforward.lab import runs

    found, path = runs.forecast(runs.open_run(run, device), data, until=until, steps=steps, out=output)
    for line in found.notes:
        typer.echo(f"note    {line}")
    typer.echo(f"forecast {path}")


@app.command()
@sentences
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder of a process of functions, such as `fit sines`.")],
    data: Annotated[str, typer.Argument(help="Points of new functions: a file with the columns of the run's data.")],
    low: Annotated[float | None, typer.Option(help="Where to begin; by default with the data of the run.")] = None,
    high: Annotated[float | None, typer.Option(help="Where to end.")] = None,
    points: Annotated[int, typer.Option(help="Of the grid.")] = 200,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", help="A picture (.png), with its table beside it, or a table (.csv); by default RUN/prediction.png."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute.")] = None,
) -> None:
    """Predict functions from a few of their points: mean and bands on a grid."""
    from pushforward.lab import runs

    for path in runs.predict(runs.open_run(run, device), data, low=low, high=high, points=points, out=output)[1]:
        typer.echo(f"predicted {path}")


@app.command()
@sentences
def report(run: Annotated[Path, typer.Argument(help="A run folder.")],
           device: Annotated[str | None, typer.Option(help="Where to compute.")] = None) -> None:  # fmt: skip
    """Evaluate a run on its test part and write report.html."""
    from pushforward.lab import runs

    typer.echo(f"report  {runs.open_run(run, device).report()}")


@app.command("list")
@sentences
def list_() -> None:
    """Show the recipes, the models and the data sets."""
    from rich.console import Console
    from rich.table import Table

    from pushforward.lab.recipes import MODELS, RECIPES
    from pushforward.parts.data import names

    console = Console()
    for title, columns, rows in (
        ("Recipes", ("name", "what", "data", "minutes", "expected"),
         [(r.name, r.summary, r.data, f"{r.minutes:g}", ", ".join(f"{e.name} {e.value:g} ± {e.tolerance:g}" for e in r.expected)) for r in RECIPES.values()]),
        ("Models", ("name", "what", "takes"), [(m.name, m.summary, ", ".join(m.kinds)) for m in MODELS.values()]),
        ("Data sets", ("name", "what", "here"), [(d.name, d.summary, "yes" if d.available else "set PUSHFORWARD_DATA") for d in names()]),
    ):  # fmt: skip
        table = Table(*columns, title=title, title_justify="left", box=None)
        for row in rows:
            table.add_row(*row)
        console.print(table)


def run() -> None:
    """Entry point of the `pushforward` command."""
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
