"""Progress: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from neocog.escaping import rich_escape
from neocog.progress import Progress
from neocog.recipes import DEFAULT_FOR_DATA, Recipe
from neocog.records import EpochMetrics, HeadMetrics
from neocog.terminal.dataset import show_findings
from neocog.wording import counted, percent

if TYPE_CHECKING:  # it imports torch
    from neocog.data import Splits
    from neocog.data.findings import Finding

ESTIMATE_STEPS = 4  # after the first, which is slower than the others


def _bar(console: Console) -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class ReadingProgress:
    """Shows how many images are decoded: a bar on a terminal, one line at the end elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console, self.begin = console, time.perf_counter()
        self.bar: Bar | None = None
        self.done = 0

    def __call__(self, stage: str, done: int, total: int) -> None:  # noqa: ARG002 - decode
        """Update the number of decoded images."""
        self.done = done
        speed = f"{done / (time.perf_counter() - self.begin):,.0f} images/s"
        if self.bar is None and self.console.is_terminal:
            self.bar = _bar(self.console)
            self.task = self.bar.add_task("decoding", total=total, speed="")
            self.bar.start()
        if self.bar:
            self.bar.update(self.task, completed=done, total=total, speed=speed)

    def close(self) -> None:
        """Remove the bar and print a summary."""
        if self.bar:
            self.bar.stop()
            self.bar = None
        if self.done:
            from neocog.data import decode_cache

            seconds = time.perf_counter() - self.begin
            kept = (
                "cached for next time."
                if decode_cache.cache_is_persistent()
                else f"{decode_cache.decoded_folder()} is not writable, so they are not cached. "
                "Set NEOCOG_CACHE to another folder."
            )
            self.console.print(
                rich_escape(
                    f"Decoded {counted(self.done, 'image')}, {self.done / seconds:,.0f} images/s; "
                    f"{kept}"
                ),
                highlight=False,
                soft_wrap=True,
            )
            self.done = 0


class DownloadProgress:
    """Shows the progress of a download: a bar on a terminal, nothing elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Bar | None = None
        self.done = 0

    def __call__(self, stage: str, done: int, total: int) -> None:  # noqa: ARG002 - download
        """Update the number of bytes; a total of 0 means unknown."""
        if not self.console.is_terminal:
            return
        if self.bar is None:
            self.bar = _bar(self.console)
            self.task = self.bar.add_task("downloading", total=None, speed="")
            self.bar.start()
            self._begin(done)
        if done < self.done:
            self._begin(done)  # the next file
        self.done = done
        seconds = max(time.perf_counter() - self.begin, 1e-9)
        speed = f"{(done - self.first) / seconds / 1e6:,.1f} MB/s"
        self.bar.update(self.task, completed=done, total=total or None, speed=speed)

    def _begin(self, done: int) -> None:
        """Measure the speed from here: earlier bytes were downloaded before."""
        self.begin, self.first, self.done = time.perf_counter(), done, done

    def close(self) -> None:
        """Remove the bar."""
        if self.bar:
            self.bar.stop()
            self.bar = None


class TrainingProgress:
    """Shows the progress of training: a bar on a terminal, one line per epoch elsewhere."""

    def __init__(self, console: Console, recipe: Recipe) -> None:
        self.console = console
        self.reading, self.download = ReadingProgress(console), DownloadProgress(console)
        self.epochs = recipe.epochs
        self.fine_tune, self.estimates = recipe.fine_tune, False
        self.begin = self.shown = time.perf_counter()
        self.first: int | None = None
        self.batch_size = recipe.batch_size
        self.bar: Bar | None = None
        self.resumes = False
        self._start_bar()

    def _start_bar(self) -> None:
        if self.console.is_terminal:
            self.bar = _bar(self.console)
            self.task = self.bar.add_task("training", total=None, speed="")
            self.bar.start()

    def on_result(self, result: "Splits | EpochMetrics") -> None:
        """Print the splits, once they are read, and the metrics of each epoch."""
        if not isinstance(result, EpochMetrics):
            self._show_splits(result)
            return
        line = _epoch_line(result, self.epochs)
        self.console.print(line, highlight=False, soft_wrap=True)
        if result.epoch == 0:
            self.first = None  # training steps follow, which take another time each
            self.estimates = self.fine_tune

    def _show_splits(self, splits: "Splits") -> None:
        self.download.close()
        self.reading.close()
        if self.resumes:
            self._start_bar()
        if splits.name in DEFAULT_FOR_DATA:
            return  # published: its splits are known
        sizes = ", ".join(f"{name} {len(part):,}" for name, part in splits.parts.items())
        text = f"{splits.name}: {sizes} ({splits.note.text()})"
        self.console.print(rich_escape(text), highlight=False, soft_wrap=True)
        show_findings(self.console, [f for f in splits.findings if _matters_in_training(f)])

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Update the bytes, images or steps done."""
        if stage in ("download", "decode"):
            if self.bar:
                self.bar.stop()  # rich shows one bar at a time
                self.bar = None
                self.resumes = True
            if stage == "decode":
                self.download.close()
            (self.reading if stage == "decode" else self.download)(stage, done, total)
            return
        if stage == "features":  # in batches, as the steps
            done, total = done // self.batch_size, max(1, total // self.batch_size)
        if self.first is None:
            self.first, self.begin = done, time.perf_counter()  # reading the data does not count
        now = time.perf_counter()
        self._estimate(done, total, now)
        if self.bar and now - self.shown > 0.1:
            self.shown = now
            speed = (done - self.first) * self.batch_size / (now - self.begin)
            self.bar.update(self.task, completed=done, total=total, speed=f"{speed:,.0f} images/s")

    def _estimate(self, step: int, steps: int, now: float) -> None:
        """Print once, after the first steps, how long fine-tuning takes."""
        done = step - (self.first or 0)
        if not self.estimates or not steps or done < ESTIMATE_STEPS or self.first is None:
            return
        self.estimates = False
        seconds = (now - self.begin) / done * steps
        self.console.print(
            f"Fine-tuning takes about {_about(seconds)} for {counted(self.epochs, 'epoch')}.",
            highlight=False,
        )

    def close(self) -> None:
        """Remove the bars."""
        self.download.close()
        if self.bar:
            self.bar.stop()


def _matters_in_training(finding: "Finding") -> bool:
    """Whether a finding is shown before training; `neocog data` shows all of them."""
    return finding.severity != "note" or finding.kind == "grey_to_rgb"


def _about(seconds: float) -> str:
    """An estimated time."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _epoch_line(metrics: EpochMetrics, epochs: int) -> str:
    if metrics.head:
        return _head_line(metrics, metrics.head)
    shown = [f"epoch {metrics.epoch:>{len(str(epochs))}}/{epochs}"]
    shown.append(
        f"train loss {metrics.train_loss:.4f} accuracy {percent(metrics.train_accuracy, 2)}"
    )
    if metrics.validation_loss is not None and metrics.validation_accuracy is not None:
        shown.append(
            f"validation loss {metrics.validation_loss:.4f} "
            f"accuracy {percent(metrics.validation_accuracy, 2)}"
        )
    if metrics.train_accuracy_after is not None:
        shown.append(f"train accuracy after the epoch {percent(metrics.train_accuracy_after, 3)}")
    return "  ".join([*shown, f"{metrics.time_seconds:.1f} s"])


def _head_line(metrics: EpochMetrics, head: HeadMetrics) -> str:
    kept = f" ({head.kept:,} from the cache)" if head.kept else ""
    text = (
        f"Fitted the head in {head.head_seconds:.1f} s on features computed in "
        f"{head.features_seconds:.1f} s{kept}: train {percent(metrics.train_accuracy, 2)}"
    )
    if metrics.validation_accuracy is not None:
        text += f", validation {percent(metrics.validation_accuracy, 2)}"
    return "\n".join([f"{text}.", _penalty_line(head), *_fit_lines(head)])


def _penalty_line(head: HeadMetrics) -> str:
    """The penalty of the fit, and how it was chosen."""
    text = f"Penalty {head.penalty:.2g}, chosen by {head.chosen_by.text()}"
    if head.least not in (None, head.penalty):
        text += f": the strongest within one standard error of the best, {head.least:.2g}"
    return f"{text}."


def _fit_lines(head: HeadMetrics) -> list[str]:
    """Further facts about a fit: refitting, class weights, and why fine-tuning is skipped."""
    lines = []
    if head.refit:
        lines.append(
            f"Refitted on all {head.refit:,} training and validation images; the "
            "accuracies above are from the earlier fit, on the training images only."
        )
    if head.class_weights:
        least, most = min(head.class_weights), max(head.class_weights)
        lines.append(
            f"Images are weighted by {least:.2g} to {most:.2g}, so that classes of different size "
            "count the same."
        )
    if head.tuning_skipped:
        lines.append(
            "Validation is perfect, so fine-tuning could not be seen to improve it and does not "
            "start. To fine-tune anyway: --set select=last"
        )
    return lines


@contextmanager
def looking(console: Console) -> Iterator[Progress]:
    """Show the image being explained; yields a callback whose stage is the image's name."""
    with console.status("") as status:

        def show(stage: str, done: int, total: int) -> None:
            text = f"Explaining {Path(stage).name}"
            text += f" ({done + 1:,} of {total:,})" if total > 1 else ""
            status.update(rich_escape(text))

        yield show


class ReproductionProgress:
    """Shows the training of each run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.current: TrainingProgress | None = None

    def on_start(self, recipe: Recipe, honest: bool) -> None:
        """Print the recipe of the run that begins."""
        self.close()
        how = ", epoch selected by validation" if honest else ""
        if not honest and recipe.honest_validation_size:
            how = ", as published"
        self.console.print(
            f"[bold]{rich_escape(recipe.name)}[/bold], seed {recipe.seed}{how}; "
            f"epochs: {recipe.epochs}, data: {rich_escape(recipe.data)}",
            highlight=False,
        )
        self.current = TrainingProgress(self.console, recipe)

    def on_result(self, result: "Splits | EpochMetrics") -> None:
        """Show the images and the epochs of the run."""
        if self.current:
            self.current.on_result(result)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show the progress of the run."""
        if self.current:
            self.current(stage, done, total)

    def close(self) -> None:
        """Remove the bar."""
        if self.current:
            self.current.close()
