"""`neocog train`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neocog.cli.arguments import parse_settings, typed_command
from neocog.cli.elapsed import STOPWATCH
from neocog.cli.evaluate import draw
from neocog.cli.failure import Stopped, stopped_training
from neocog.cli.options import DeviceOption, JsonOption, OutsideOption, RunsOption
from neocog.errors import UsageError
from neocog.escaping import to_json
from neocog.json_fields import JsonValue

if TYPE_CHECKING:
    from rich.console import Console

    from neocog.recipes import Recipe
    from neocog.records import EvaluationRecord
    from neocog.training import Interrupted, TrainingResult

DataArgument = Annotated[
    str | None,
    typer.Argument(
        help="Name of a dataset, or path of your own: a folder with one folder per class, a zip or "
        "tar archive of one, a CSV file (path,label), Parquet or WebDataset."
    ),
]
RecipeOption = Annotated[str | None, typer.Option(help="Name of a recipe: see neocog recipes.")]
ModelOption = Annotated[
    str | None, typer.Option(help="Name of a network or a layer pattern: see neocog models.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE ...", help="Change fields of the recipe."),
]
EpochsOption = Annotated[int | None, typer.Option(help="Number of passes over the training set.")]
BatchSizeOption = Annotated[int | None, typer.Option(help="Images per training step.")]
RateOption = Annotated[float | None, typer.Option("--lr", help="The learning rate.")]
WeightsOption = Annotated[
    str | None,
    typer.Option(help="Initial weights: imagenet, random or a file (.safetensors, .pth)."),
]
FineTuneOption = Annotated[
    bool | None,
    typer.Option(
        "--fine-tune", help="Photos: after fitting the head, fine-tune the whole network."
    ),
]
FoldsOption = Annotated[
    int | None, typer.Option(help="Photos: also report k-fold cross-validated accuracy.")
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        help="Random seed. Results are bit-identical for the same seed and number of threads "
        "(OMP_NUM_THREADS) on the same kind of CPU."
    ),
]
NameOption = Annotated[str | None, typer.Option(help="Name of the run folder.")]
ResumeOption = Annotated[str | None, typer.Option(metavar="RUN", help="Continue a stopped run.")]


def train(
    data: DataArgument = None,
    recipe: RecipeOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    lr: RateOption = None,
    weights: WeightsOption = None,
    fine_tune: FineTuneOption = None,
    folds: FoldsOption = None,
    allow_outside: OutsideOption = False,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    name: NameOption = None,
    runs: RunsOption = None,
    resume: ResumeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network. Without arguments: LeNet-5 on 5,000 real digits, in seconds, offline."""
    from neocog import recipe_context
    from neocog.recipes.resolve import resolve
    from neocog.terminal import dataset, make_console

    given: dict[str, JsonValue] = {
        "data": data, "model": model, "epochs": epochs, "batch_size": batch_size,
        "learning_rate": lr, "weights": weights, "fine_tune": fine_tune, "folds": folds,
        "allow_outside": allow_outside or None, "seed": seed,
    }  # fmt: skip
    overrides = {field: value for field, value in given.items() if value is not None}
    overrides |= parse_settings(set_ or [])
    console = make_console(stderr=as_json)
    if resume:
        if overrides or recipe or name:
            raise UsageError(
                "--resume uses the run's own recipe; no other option can change it.",
                f"Type only: neocog train --resume {resume}",
            )
        trained = _resume(resume, console, device, runs)
    else:
        on_small = partial(dataset.show_small, console)
        final = resolve(
            recipe_context, recipe,
            data=data, model=model, overrides=overrides, on_small=on_small,
        )  # fmt: skip
        if final.data == "PHOTOS":
            raise UsageError(
                f"The recipe {final.name} is for your own images, but no dataset is given.",
                f"For example: neocog train photos/ --recipe {final.name}",
            )
        trained = _train(final, console, device, runs, name)
    result = _finish(trained, console, device)
    if as_json:
        print(to_json(result.to_json()))


def _train(
    recipe: "Recipe", console: "Console", device: str, runs: Path | None, name: str | None
) -> "TrainingResult":
    from neocog import training  # imported only when what was typed makes sense
    from neocog.terminal.progress import TrainingProgress

    progress = TrainingProgress(console, recipe)
    try:
        return training.train(
            recipe,
            runs_dir=runs,
            name=name,
            device=device,
            command=typed_command(),
            progress=progress,
            on_result=progress.on_result,
        )
    except training.Interrupted as stopped:
        raise _as_stopped(stopped) from None
    finally:
        progress.close()


def _resume(run_name: str, console: "Console", device: str, runs: Path | None) -> "TrainingResult":
    from neocog import runs as run_folders
    from neocog.terminal import results
    from neocog.terminal.progress import TrainingProgress

    run = run_folders.find(run_name, run_folders.runs_folder(runs))
    recipe = run.read_recipe()
    from neocog import training

    progress = TrainingProgress(console, recipe)
    try:
        if training.is_finished(run, recipe):
            results.show_nothing_to_train(console)
        return training.resume(run, device=device, progress=progress, on_result=progress.on_result)
    except training.Interrupted as stopped:
        raise _as_stopped(stopped) from None
    finally:
        progress.close()


def _as_stopped(stopped: "Interrupted") -> Stopped:
    return stopped_training(
        f"To continue: neocog train --resume {stopped.run.path}", stopped.exit_code
    )


def _finish(trained: "TrainingResult", console: "Console", device: str) -> "EvaluationRecord":
    """After training: evaluate, draw, and print the results."""
    from neocog.evaluation.evaluate import evaluate
    from neocog.terminal import results

    run = trained.run
    evaluation = evaluate(run.path, device=device, splits=trained.splits)
    results.show_evaluation(console, evaluation.result)
    if evaluation.recorded:
        draw(evaluation, console, trained=True)
    result = evaluation.with_total_seconds(STOPWATCH.seconds()).result
    if evaluation.recorded:
        run.write_evaluation(result)
    results.show_trained(console, run, result)
    return result
