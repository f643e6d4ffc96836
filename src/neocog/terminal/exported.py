"""The output of `neocog export`."""

from typing import TYPE_CHECKING

from rich.console import Console

from neocog.escaping import rich_escape
from neocog.wording import counted, percent

if TYPE_CHECKING:  # export_run imports torch
    from neocog.export_check import ExportCheck
    from neocog.export_run import ExportResult


def show_exported(console: Console, result: "ExportResult", script: str) -> None:
    """The checks, and the files written or why there are none."""

    def say(text: str) -> None:
        _say(console, text)

    for note in result.notes:
        say(f"Note: {note}")
    say(f"Compared with the network: {result.parity.describe()}.")
    if result.script:
        say(f"{script} alone: {result.script.describe()}.")
    if result.int8:
        change = result.int8
        before, after = percent(change.accuracy_before, 2), percent(change.accuracy_after, 2)
        images = counted(change.n, f"{change.split} image")
        say(f"int8: accuracy {before} before, {after} after, on {images}.")
    if result.bfloat16:
        used = "float32" if result.bfloat16.labels_differ else "bfloat16"
        say(f"bfloat16: {result.bfloat16.describe()}. `--engine openvino` uses {used}.")
    for path in result.files:
        say(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if result.files:
        return
    if result.int8 and not result.int8.passed:
        say("Nothing was written: int8 loses more than 0.3 points. To write it anyway: --force")
    else:
        say("Nothing was written: the exported network predicts differently. Please report this.")


def show_checked(console: Console, result: "ExportCheck") -> None:
    """The checks of an exported file, one per line, and whether it passed them."""
    for note in result.notes:
        _say(console, f"Note: {note}")
    if result.selftest:
        _say(console, f"Self-test: {result.selftest.describe()}.")
    if result.labels:
        _say(console, f"Compared with the record: {result.labels.describe()}.")
    if result.accuracy:
        now, before = percent(result.accuracy.accuracy, 2), percent(result.accuracy.recorded, 2)
        images = counted(result.accuracy.n, f"{result.accuracy.split} image")
        _say(console, f"Accuracy {now} on {images}; recorded: {before}.")
    if result.passed:
        _say(console, f"{result.file} predicts as it did when it was exported.")
    else:
        _say(console, f"{result.file} predicts differently. Export it again: neocog export")


def _say(console: Console, text: str) -> None:
    console.print(rich_escape(text), highlight=False, soft_wrap=True)
