"""A trained network: its accuracy, its mistakes, and the commands to type next."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from neocog.escaping import rich_escape
from neocog.metrics.accuracy import worst_confusions
from neocog.recipes import DEFAULT_FOR_DATA
from neocog.records import EvaluationRecord, Rejection
from neocog.rendering.numbers import format_probability
from neocog.runs import Run
from neocog.wording import counted, percent

MISTAKES = 5  # that a terminal lists


def show_nothing_to_train(console: Console) -> None:
    """The line about a resumed run that is already complete."""
    console.print("This run is already complete; evaluating it again.")


def show_evaluation(console: Console, result: EvaluationRecord) -> None:
    """The accuracy with its interval, the table of classes, and the worst confusions."""
    low, high = result.interval
    split = "" if result.split == "all" else f"{result.split} "
    title = f"{result.model} on {result.data}: {counted(result.n, f'{split}image')}"
    console.print(rich_escape(title), style="bold", highlight=False, soft_wrap=True)
    table = Table()
    for name in ("class", "precision", "recall", "F1", "images"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for row in result.per_class:
        table.add_row(
            rich_escape(row.name),
            *(percent(value, 2) for value in (row.precision, row.recall, row.f1)),
            f"{row.n:,}",
        )
    console.print(table)
    console.print(
        f"[bold]Accuracy {percent(result.accuracy, 2)}[/bold] (95% interval {percent(low, 2)} "
        f"to {percent(high, 2)}, n = {result.n:,})",
        highlight=False,
    )
    if result.accuracy < 1 and result.n >= 100:
        _show_rejection(console, result.rejection)
    names = [row.name for row in result.per_class]
    worst = worst_confusions(np.array(result.confusion, dtype=np.int64))
    if worst:
        cells = [f"{names[i]} predicted as {names[j]} ({count}x)" for i, j, count in worst]
        console.print("Worst confusions: " + rich_escape(", ".join(cells)), highlight=False)
    if result.mistakes:
        where = (
            " (more in the run's plots and predictions.csv)" if result.epochs is not None else ""
        )
        console.print(f"Most confident mistakes{where}:", highlight=False)
    for mistake in result.mistakes[:MISTAKES]:
        top = format_probability(mistake.probability)
        text = f"  {mistake.path}: {mistake.label} predicted as {mistake.predicted} ({top})"
        console.print(rich_escape(text), highlight=False, soft_wrap=True)
    folds = result.folds
    if folds:
        console.print(
            f"{folds.n}-fold cross-validation on the {folds.images:,} training and validation "
            f"images: {percent(folds.mean, 2)} ± {folds.std:.2%} (mean and standard deviation)",
            highlight=False,
        )
    for note in result.notes:
        console.print(f"[bold]Note:[/bold] {rich_escape(note.text())}", highlight=False)


def _show_rejection(console: Console, rejection: Sequence[Rejection]) -> None:
    """The predictions to reject for fewer errors, or why that is not known."""
    for row in rejection:
        if row.threshold is not None and row.rejected:
            console.print(
                f"Rejecting the {percent(row.rejected)} least confident predictions leaves at most "
                f"{row.error:.1%} errors.",
                highlight=False,
            )
        if row.reason == "too_few_images":
            console.print(
                f"Too few images to find a threshold for at most {row.error:.1%} errors: at least "
                f"{row.needed:,} accepted predictions are needed.",
                highlight=False,
            )
        elif row.reason == "no_threshold":
            text = f"No threshold leaves at most {row.error:.1%} errors."
            console.print(text, highlight=False)


def show_trained(console: Console, run: Run, result: EvaluationRecord) -> None:
    """The selected epoch, the time, the run folder, and the commands to type next."""
    seconds, selected_by = result.time_seconds, result.selection().text()
    kept = f"Kept epoch {result.selected_epoch} of {result.epochs}, selected by "
    kept += f"{selected_by}. {counted(result.parameters, 'parameter')}, trained in "
    if not result.epochs:
        kept = "Trained only the head in "
    elif not result.selected_epoch:
        kept = (
            f"Fine-tuning did not improve {selected_by}, so the fitted head was kept. Trained in "
        )
    kept += f"{seconds.training:.1f} s ({seconds.total:.1f} s in total)."
    console.print(rich_escape(kept), highlight=False)
    where = f"Run folder: {run.path} (report: {run.report_file})"
    console.print(rich_escape(where), highlight=False, soft_wrap=True)
    path = shlex.quote(str(run.path))
    # In a virtual environment that is not active, `neocog` alone is no command.
    neocog = "neocog" if shutil.which("neocog") else shlex.quote(sys.argv[0])
    if Path(sys.argv[0]).name == "__main__.py":
        neocog = "python -m neocog"
    commands = [
        (f"{neocog} predict {path} IMAGE", "classify an image"),
        (f"{neocog} train mnist", "train on the full MNIST"),
        (f"{neocog} train FOLDER", "train on your own images, one folder per class"),
    ]
    if result.data not in DEFAULT_FOR_DATA:
        data = shlex.quote(result.data)
        commands[0] = (f"{neocog} predict {path} FOLDER --csv out.csv", "classify images")
        commands[1] = (f"{neocog} data {data}", "check the data for problems")
        commands[2] = (f"{neocog} train {data} --fine-tune", "fine-tune the whole network")
        fine_tuned = result.epochs or (result.head and result.head.tuning_skipped)
        if fine_tuned and result.recipe == "photos":
            commands[2] = (f"{neocog} train {data} --folds 5", "cross-validate the accuracy")
        if result.recipe != "photos":
            commands[2] = (
                f"{neocog} train {data} --recipe photos",
                "use a network pretrained on photos",
            )
    console.print("\nNext:")
    for command, meaning in commands:
        console.print(
            rich_escape(f"  {command:<{max(len(c) for c, _ in commands)}}  # {meaning}"),
            highlight=False,
            soft_wrap=True,
        )


def show_nothing_recorded(console: Console) -> None:
    """The line about a run without a recorded evaluation of its model."""
    console.print("No evaluation of this model is recorded; evaluating it first.")


def show_report(console: Console, written: Path) -> None:
    """The path and size of the report."""
    size = written.stat().st_size / 1e6
    console.print(
        rich_escape(f"Report: {written} ({size:.1f} MB)"), highlight=False, soft_wrap=True
    )
