"""The output of `neocog export`."""

from rich.console import Console

from neocog.escaping import rich_escape
from neocog.export_run import ExportResult
from neocog.wording import counted, percent


def show_exported(console: Console, result: ExportResult, script: str) -> None:
    """The checks, and the files written or why there are none."""

    def say(text: str) -> None:
        console.print(rich_escape(text), highlight=False, soft_wrap=True)

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
    for path in result.files:
        say(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if result.files:
        return
    if result.int8 and not result.int8.passed:
        say("Nothing was written: int8 loses more than 0.3 points. To write it anyway: --force")
    else:
        say("Nothing was written: the exported network predicts differently. Please report this.")
