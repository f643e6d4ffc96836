"""What people read in the terminal: tables, progress, and what to type next."""

import csv
import io
import os
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from neocog.errors import NeocogError, UsageError
from neocog.files import write_atomic
from neocog.metrics.accuracy import worst_confusions
from neocog.metrics.calibration import sure
from neocog.recipes import DEFAULT_FOR_DATA, RECIPES, Recipe
from neocog.runs import Run

if TYPE_CHECKING:  # it imports torch, and a list of recipes or a mistyped name needs none
    from neocog.classifier import Prediction
    from neocog.data import Splits
    from neocog.examine import Examination

# Findings whose paths are names of classes, which the message has already.
ABOUT_CLASSES = ("class_missing", "few_pictures", "imbalance", "one_class")
FINDING_PATHS, MOST_ROWS, MISTAKES = 3, 40, 5  # lines of a list that a terminal shows


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class ReadingProgress:
    """Shows how many pictures are decoded: a bar on a terminal, one line at the end elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console, self.begin = console, time.perf_counter()
        self.bar: Progress | None = None
        self.done = 0

    def __call__(self, done: int, total: int) -> None:
        """Take note of what is decoded."""
        self.done = done
        speed = f"{done / (time.perf_counter() - self.begin):,.0f} pictures/s"
        if self.bar is None and self.console.is_terminal:
            self.bar = _bar(self.console)
            self.task = self.bar.add_task("decoding", total=total, speed="")
            self.bar.start()
        if self.bar:
            self.bar.update(self.task, completed=done, total=total, speed=speed)

    def close(self) -> None:
        """Take the bar away and say what was done."""
        if self.bar:
            self.bar.stop()
            self.bar = None
        if self.done:
            seconds = time.perf_counter() - self.begin
            self.console.print(
                f"Decoded {self.done:,} pictures, {self.done / seconds:,.0f} a second; they are "
                "kept for the next time.",
                highlight=False,
            )
            self.done = 0


class TrainingProgress:
    """Shows training as it goes: a bar on a terminal, a plain line an epoch elsewhere."""

    def __init__(self, console: Console, recipe: Recipe) -> None:
        self.console = console
        self.reading = ReadingProgress(console)
        self.epochs = recipe.epochs
        self.begin = self.shown = time.perf_counter()
        self.first: int | None = None
        self.batch_size = recipe.batch_size
        self.bar: Progress | None = None
        self.resumes = False
        self._start_bar()

    def _start_bar(self) -> None:
        if self.console.is_terminal:
            self.bar = _bar(self.console)
            self.task = self.bar.add_task("training", total=None, speed="")
            self.bar.start()

    def on_data(self, done: int, total: int, splits: "Splits | None") -> None:
        """Take note of pictures that are decoded, and of what came of them."""
        if splits is None:
            if self.bar:
                self.bar.stop()  # two bars at a time are none
                self.bar = None
                self.resumes = True
            self.reading(done, total)
            return
        self.reading.close()
        if self.resumes:
            self._start_bar()
        if splits.name in DEFAULT_FOR_DATA:
            return  # published, and nothing about it is new
        sizes = ", ".join(f"{name} {len(part):,}" for name, part in splits.parts.items())
        self.console.print(f"{splits.name}: {sizes} ({splits.note})", highlight=False, markup=False)
        show_findings(self.console, [f for f in splits.findings if f["severity"] != "note"])

    def __call__(self, step: int, steps: int, line: dict[str, Any] | None) -> None:
        """Take note of a step, and of an epoch's line at its end."""
        if self.first is None:
            self.first, self.begin = step, time.perf_counter()  # reading the data is not training
        if line:
            self.console.print(_epoch_line(line, self.epochs), highlight=False)
        now = time.perf_counter()
        if self.bar and now - self.shown > 0.1:
            self.shown = now
            speed = (step - self.first) * self.batch_size / (now - self.begin)
            self.bar.update(
                self.task, completed=step, total=steps, speed=f"{speed:,.0f} pictures/s"
            )

    def close(self) -> None:
        """Take the bar away."""
        if self.bar:
            self.bar.stop()


def _epoch_line(line: dict[str, Any], epochs: int) -> str:
    if line["epoch"] == 0:
        return _head_line(line)
    shown = [f"epoch {line['epoch']:>{len(str(epochs))}}/{epochs}"]
    shown.append(f"train loss {line['train/loss']:.4f} accuracy {line['train/accuracy']:.2%}")
    if "validation/loss" in line:
        shown.append(
            f"validation loss {line['validation/loss']:.4f} "
            f"accuracy {line['validation/accuracy']:.2%}"
        )
    if "train/accuracy_after" in line:
        shown.append(f"train accuracy after it {line['train/accuracy_after']:.3%}")
    return "  ".join([*shown, f"{line['time_seconds']:.1f} s"])


def _head_line(line: dict[str, Any]) -> str:
    kept = f", {line['head/kept']:,} kept from before" if line.get("head/kept") else ""
    text = (
        f"Last layer fitted to the network's features in {line['head_seconds']:.1f} s (features "
        f"{line['features_seconds']:.1f} s{kept}): train {line['train/accuracy']:.2%}"
    )
    if "validation/accuracy" in line:
        text += f", validation {line['validation/accuracy']:.2%}"
    return f"{text}; penalty {line['head/penalty']:.2g} by {line['head/chosen_by']}"


def check_data_is_named(recipe: Recipe) -> None:
    """Raise UsageError where a recipe for a person's own pictures is given none."""
    if recipe.data == "PHOTOS":
        raise UsageError(
            f"The recipe {recipe.name} is for your own pictures, and none are named.",
            f"For example: neocog train photos/ --recipe {recipe.name}",
        )


def show_nothing_to_train(console: Console) -> None:
    """The line about a run that is resumed and was finished."""
    console.print("The run was finished: nothing is trained, it is judged again.")


def show_small(console: Console, count: int, side: int) -> None:
    """Why a network is trained from nothing."""
    console.print(
        f"{count:,} pictures of about {side} pixels, small and many: a small network learns them "
        "from nothing (recipe scratch). To fit one that knows photos: --recipe photos",
        highlight=False,
        soft_wrap=True,
    )


def show_freed(console: Console, count: int) -> None:
    """How much room the decoded pictures and the features took."""
    console.print(
        f"{count / 1e6:,.1f} MB of decoded pictures and features deleted.", highlight=False
    )


def show_findings(console: Console, findings: Sequence[dict[str, Any]]) -> None:
    """What is wrong with a data set: a line each, with the first of the pictures."""
    colours = {"error": "red", "warning": "yellow", "note": "dim"}
    for finding in findings:
        severity = finding["severity"]
        console.print(
            f"[{colours[severity]}]{severity}[/] {escape(finding['message'])}",
            highlight=False,
            soft_wrap=True,
        )
        hidden = severity == "note" and finding["kind"] != "other_file"
        hidden |= finding["kind"] in ABOUT_CLASSES
        shown = finding["paths"][: 0 if hidden else FINDING_PATHS]
        more = finding["count"] - len(shown)
        for path, twin in zip_longest(shown, finding["same_as"][: len(shown)], fillvalue=""):
            text = f"    {path} = {twin}" if twin else f"    {path}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)
        if shown and more > 0:
            console.print(f"    and {more:,} more", highlight=False)


def show_data(console: Console, found: "Examination", sheets: Sequence[Path]) -> None:
    """A data set's pictures by class and split, what they are like, and what is wrong."""
    values = found.to_json()
    title = f"{found.data}: {values['used']:,} of {values['n']:,} pictures are fit for use"
    console.print(escape(title), style="bold", highlight=False, soft_wrap=True)
    table = Table()
    table.add_column("class")
    for split in values["splits"]:
        table.add_column(split, justify="right")
    for name in values["classes"][:MOST_ROWS]:
        table.add_row(escape(name), *(f"{n[name]:,}" for n in values["splits"].values()))
    if len(values["classes"]) > MOST_ROWS:
        table.add_row(
            f"and {len(values['classes']) - MOST_ROWS:,} more", *[""] * len(values["splits"])
        )
    table.add_row("[bold]all[/bold]", *(f"{sum(n.values()):,}" for n in values["splits"].values()))
    console.print(table)
    console.print(f"`neocog train` takes {values['plan']}.", highlight=False)
    sizes = " to ".join(
        f"{width:,} x {height:,}"
        for width, height in (values["sizes"][k] for k in ("least", "most"))
    )
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in values["formats"].items())
    modes = ", ".join(f"{n:,} {mode}" for mode, n in values["modes"].items())
    console.print(f"{sizes} pixels; {kinds}; {modes}", highlight=False)
    show_findings(console, values["findings"])
    if sheets:
        console.print(f"Contact sheets: {sheets[0].parent}", highlight=False, soft_wrap=True)
    if not found.sound:
        out = [
            f for f in values["findings"] if f["severity"] == "error" and "left out" in f["message"]
        ]
        then = "; `neocog train` leaves those pictures out" if out else ""
        console.print(f"What is red would make a number wrong{then}.", highlight=False)


def show_evaluation(console: Console, result: dict[str, Any]) -> None:
    """The accuracy with its interval, the table of classes, and the worst confusions."""
    low, high = result["interval"]
    split = "" if result["split"] == "all" else f"{result['split']} "
    title = f"{result['model']} on {result['data']}: {result['n']:,} {split}pictures"
    console.print(escape(title), style="bold", highlight=False, soft_wrap=True)
    table = Table()
    for name in ("class", "precision", "recall", "F1", "pictures"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for row in result["per_class"]:
        table.add_row(
            escape(row["class"]),
            *(f"{row[key]:.2%}" for key in ("precision", "recall", "f1")),
            f"{row['n']:,}",
        )
    console.print(table)
    console.print(
        f"[bold]Accuracy {result['accuracy']:.2%}[/bold] (95% interval {low:.2%} to {high:.2%}, "
        f"n = {result['n']:,})",
        highlight=False,
    )
    if result["accuracy"] < 1 and result["n"] >= 100:
        _show_rejection(console, result["rejection"])
    names = [row["class"] for row in result["per_class"]]
    worst = worst_confusions(np.array(result["confusion"], dtype=np.int64))
    if worst:
        cells = [f"{names[i]} taken for {names[j]} ({count}x)" for i, j, count in worst]
        console.print("Worst confusions: " + escape(", ".join(cells)), highlight=False)
    for row in result["mistakes"][:MISTAKES]:
        console.print(
            f"  {row['path']}: {row['predicted']} {sure(row['probability'])}, is {row['label']}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if result["mistakes"]:
        where = "; more in the run's plots and predictions.csv" if "epochs" in result else ""
        console.print(f"The most confident mistakes{where}.", highlight=False)
    if "folds" in result:
        folds = result["folds"]
        console.print(
            f"Over {folds['n']} folds of the {folds['pictures']:,} pictures of train and "
            f"validation: {folds['mean']:.2%} ± {folds['std']:.2%} (mean and standard deviation)",
            highlight=False,
        )
    for note in result["notes"]:
        console.print(f"[bold]Note:[/bold] {escape(note)}", highlight=False)


def _show_rejection(console: Console, rejection: Sequence[dict[str, Any]]) -> None:
    """What would have to be refused for fewer wrong answers."""
    shares = [
        f"{row['error']:.1%} wrong answers by refusing the {row['rejected']:.1%} least sure"
        for row in rejection
        if 0 < row["rejected"] < 1
    ]
    if shares:
        console.print("At most " + ", ".join(shares), highlight=False)


def show_trained(console: Console, run: Run, result: dict[str, Any]) -> None:
    """Where the run is, what was kept and how long it took, and the commands to type next."""
    seconds = result["time_seconds"]
    kept = f"Kept epoch {result['selected_epoch']} of {result['epochs']}, selected by "
    kept += f"{result['selected_by']}. {result['parameters']:,} parameters, trained in "
    if not result["epochs"]:
        kept = "Trained the last layer alone in "
    elif not result["selected_epoch"]:
        kept = "Training the whole network gained nothing: its last layer's fit was kept. "
        kept += f"{result['selected_by']} decided; it took "
    console.print(
        f"{kept}{seconds['training']:.1f} s ({seconds['total']:.1f} s in all).", highlight=False
    )
    console.print(
        f"Run folder: {run.path} (all of it on one page: {run.report_file})",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    path = shlex.quote(str(run.path))
    # In a virtual environment that is not active, `neocog` alone is no command.
    neocog = "neocog" if shutil.which("neocog") else shlex.quote(sys.argv[0])
    commands = [
        (f"{neocog} predict {path} PICTURE", "what is on your picture"),
        (f"{neocog} train mnist", "train on the full MNIST"),
        (f"{neocog} train FOLDER", "train on your own pictures, one folder a class"),
    ]
    if result["data"] not in DEFAULT_FOR_DATA:
        data = shlex.quote(result["data"])
        commands[0] = (f"{neocog} predict {path} FOLDER --csv out.csv", "what is on your pictures")
        commands[1] = (f"{neocog} data {data}", "what is wrong with the data")
        commands[2] = (f"{neocog} train {data} --fine-tune", "train the whole network, not its end")
        if result["epochs"] and result["recipe"] == "photos":
            commands[2] = (f"{neocog} train {data} --folds 5", "how much depends on the pictures")
        if result["recipe"] != "photos":
            commands[2] = (f"{neocog} train {data} --recipe photos", "a network that knows photos")
    console.print("\nNext:")
    for command, meaning in commands:
        console.print(
            f"  {command:<{max(len(c) for c, _ in commands)}}  # {meaning}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def show_predictions(console: Console, predictions: Sequence["Prediction"]) -> None:
    """A table of labels and probabilities, then a line for each picture that could not be used."""
    good = [p for p in predictions if p.error is None]
    if good:
        table = Table()
        table.add_column("picture", overflow="fold")
        table.add_column("label")
        table.add_column("probability", justify="right")
        table.add_column("next")
        for p in good:
            others = ", ".join(
                f"{label} {sure(share)}" for label, share in p.top[1:] if share >= 5e-4
            )
            label = f"not sure ({p.label})" if p.rejected else str(p.label)
            table.add_row(escape(p.path), escape(label), sure(p.probability or 0), escape(others))
        console.print(table)


def show_report(console: Console, written: Path) -> None:
    """Where the report is, and how large."""
    size = written.stat().st_size / 1e6
    console.print(escape(f"Report: {written} ({size:.1f} MB)"), highlight=False, soft_wrap=True)


@contextmanager
def looking(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """On a terminal, which of some pictures is being looked at; gives what is to be told of it."""
    with console.status("") as status:
        yield lambda name, number, count: status.update(
            escape(
                f"Looking at {Path(name).name}"
                + (f" ({number + 1:,} of {count:,})" if count > 1 else "")
            )
        )


def show_explained(
    console: Console,
    predictions: Sequence["Prediction"],
    layer: str | None,
    page: Path | None,
    files: int,
) -> None:
    """What was explained, and where it is to be seen."""
    show_predictions(console, [p for p in predictions if p.error is None])
    if page is None:
        return
    if layer is None:
        console.print("The network has no maps: there is no Grad-CAM of it.", highlight=False)
    else:
        console.print(escape(f"Grad-CAM of the layer {layer}."), highlight=False)
    console.print(escape(f"Page: {page}\nand {files:,} PNG files beside it."), highlight=False)


def show_maximized(console: Console, layer: str, page: Path, picture: Path) -> None:
    """Where the pictures that excite a layer are to be seen."""
    text = f"The test pictures that each map of {layer} answers most strongly."
    console.print(escape(f"{text}\nPage: {page}\nPicture: {picture}"), highlight=False)


def show_failures(console: Console, predictions: Sequence["Prediction"]) -> None:
    """A line for each picture that could not be used."""
    for p in predictions:
        if p.error is not None:
            console.print(f"{escape(p.path)}: {escape(p.error)}", highlight=False, soft_wrap=True)


def predictions_csv(predictions: Sequence["Prediction"], top: int) -> str:
    """The predictions as comma-separated text with a header line."""
    text = io.StringIO()
    ranks = range(1, top + 1)
    columns = [column for k in ranks for column in (f"top{k}", f"probability{k}")]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "probability", "rejected", "error", *columns])
    for p in predictions:
        pairs: list[Any] = [value for pair in p.top for value in pair]
        pairs += [""] * (2 * top - len(pairs))
        error = p.error or ""
        writer.writerow([p.path, p.label or "", p.probability or "", p.rejected, error, *pairs])
    return text.getvalue()


def show_recipes(console: Console) -> None:
    """The recipes: what each trains, and the figure its source printed."""
    table = Table(title="Recipes: neocog train --recipe NAME")
    for name in ("name", "network", "data", "epochs", "printed", "source"):
        table.add_column(name, justify="right" if name in ("epochs", "printed") else "left")
    for recipe in RECIPES.values():
        printed = recipe.printed_test_accuracy
        table.add_row(
            recipe.name,
            recipe.model,
            recipe.data,
            "" if recipe.feature_views and not recipe.fine_tune else str(recipe.epochs),
            f"{printed:.5g}" if printed else "",
            recipe.source,
        )
    console.print(table)


def show_models(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """The networks with input, parameters, FLOPs, year and paper."""
    table = Table(title="Networks: neocog train --model NAME; their layers: neocog models NAME")
    for name in ("name", "input", "parameters", "FLOPs", "year", "paper"):
        left = name in ("name", "input", "paper")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "paper")
    for row in rows:
        parameters, flops = f"{row['parameters']:,}", short_number(row["flops"])
        table.add_row(row["name"], row["input"], parameters, flops, str(row["year"]), row["paper"])
    console.print(table)
    console.print(
        "With 10 classes, or 1,000 for the networks made for ImageNet (3 x 224 x 224 and larger). "
        "A multiplication and an addition count as two FLOPs.",
        highlight=False,
    )


def show_layers(console: Console, found: dict[str, Any]) -> None:
    """The layers of a network, and what full connection would have cost its convolutions."""
    title = f"{found['name']} ({found['year']}), input {found['input']}"
    table = Table(title=escape(title))
    heads = (
        "layer",
        "kind",
        "kernel",
        "output",
        "parameters",
        "FLOPs",
        "sees",
        "if fully connected",
    )
    for name in heads:
        table.add_column(name, justify="left" if name in heads[:4] else "right")
    for layer in found["layers"]:
        full = layer["fully_connected_parameters"]
        table.add_row(
            layer["name"],
            layer["kind"],
            layer["kernel"],
            " x ".join(map(str, layer["output"])),
            f"{layer['parameters']:,}" if layer["parameters"] else "",
            short_number(layer["flops"]) if layer["flops"] else "",
            str(layer["receptive_field"]),
            short_number(full) if full else "",
        )
    console.print(table)
    total = f"{found['parameters']:,} parameters, {short_number(found['flops'])} FLOPs a picture."
    console.print(f"[bold]{total}[/bold]", highlight=False)
    _explain_sharing(console, found["layers"])


def _explain_sharing(console: Console, layers: Sequence[dict[str, Any]]) -> None:
    """The tutorials' arithmetic of shared weights, on the first convolution."""
    console.print(
        "'sees' is the side of the window of the input that a unit sees; 'if fully connected' the "
        "parameters that the layer would have if each output saw each input.",
        highlight=False,
    )
    convolutions = [c for c in layers if c["fully_connected_parameters"] and c["parameters"]]
    if not convolutions:
        return
    first = convolutions[0]
    full, local = first["fully_connected_parameters"], first["locally_connected_parameters"]
    console.print(
        f"{first['name']}: every output to every input {full:,} parameters; only its window "
        f"{local:,}; the window's weights shared by all places {first['parameters']:,}.",
        highlight=False,
    )


def short_number(value: int) -> str:
    """A count in three or four digits: 832K, 57.5M, 3.63G, 1.3T."""
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "K")):
        if value >= 0.9995 * size:  # 999,950 is 1M, not 1e+03K
            return f"{value / size:.3g}{unit}"
    return str(value)


class ReproductionProgress:
    """Says which run begins, and shows its training."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.current: TrainingProgress | None = None

    def announce(self, recipe: Recipe, honest: bool) -> TrainingProgress:
        """Take note of a run that begins."""
        self.close()
        how = ", honestly: chosen by validation" if honest else ""
        if not honest and recipe.honest_validation_size:
            how = ", as published"
        self.console.print(
            f"[bold]{recipe.name}[/bold], seed {recipe.seed}{how}; epochs: {recipe.epochs}, data: "
            f"{recipe.data}",
            highlight=False,
        )
        self.current = TrainingProgress(self.console, recipe)
        return self.current

    def close(self) -> None:
        """Take the bar away."""
        if self.current:
            self.current.close()


def show_reproduction(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Printed figures beside measured ones."""
    table = Table(title="Printed against measured: accuracy on the official test pictures")
    heads = (
        "recipe",
        "source",
        "printed",
        "measured (seeds)",
        "95% interval",
        "honest",
        "time",
        "",
    )
    for name in heads:
        table.add_column(name, justify="left" if name in heads[:2] else "right")
    for row in rows:
        if row["error"]:
            continue
        low, high = row["interval"]
        verdict = {"PASS": "[green]PASS[/green]", "FAIL": "[red]FAIL[/red]", None: "-"}
        table.add_row(
            row["recipe"],
            escape(row["source"]),
            f"{100 * row['printed']:.5g}%" if row["printed"] else "none",
            figure(row) + (", as published" if row["as_published"] else ""),
            f"{low:.2%} to {high:.2%}",
            figure(row["honest"]) if row["honest"] else "",
            duration(row["time_seconds"]),
            verdict[row["verdict"]],
        )
    console.print(table)
    for row in rows:
        if row["error"]:
            console.print(f"{row['recipe']} was not run: {row['error']}", markup=False)
    notes = "FAIL: the whole interval lies below the printed figure."
    if any(row["honest"] for row in rows):
        notes += (
            " honest: 5,000 training pictures held back, and the epoch chosen by them; 'as "
            "published' is made as its source made it."
        )
    console.print(notes, highlight=False)


def figure(measured: dict[str, Any]) -> str:
    """Mean and standard deviation over n seeds: 98.85% ± 0.05 (3)."""
    spread = f" ± {100 * measured['std']:.2f}" if measured["std"] is not None else ""
    return f"{measured['mean']:.2%}{spread} ({measured['n']})"


def duration(seconds: float) -> str:
    """Seconds below two minutes, else minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def make_console(stderr: bool) -> Console:
    """A console that wraps nowhere but at a terminal's edge, and honours NO_COLOR."""
    console = Console(stderr=stderr, soft_wrap=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160
    return console


def show_written(console: Console, path: Path, predictions: Sequence["Prediction"]) -> None:
    """What was written: how many pictures, and how many of each class."""
    counts = Counter(p.label for p in predictions if p.error is None)
    kinds = ", ".join(f"{n:,} {label}" for label, n in counts.most_common(10))
    answered = f"{counts.total():,} of {len(predictions):,} pictures answered"
    text = f"{path}: {answered} ({kinds or 'none could be used'})"
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def write_csv(path: Path, predictions: Sequence["Prediction"], top: int) -> None:
    """Write the predictions, whole or not at all. Raises NeocogError where that fails."""
    try:
        write_atomic(path, predictions_csv(predictions, top))
    except OSError as error:
        raise NeocogError(f"{path} cannot be written ({error.strerror}).") from None
