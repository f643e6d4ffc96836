"""A user's dataset: its images and the problems found."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from neocog.escaping import rich_escape
from neocog.wording import counted, plural

if TYPE_CHECKING:  # they import torch and NumPy
    from neocog.data.findings import Finding
    from neocog.examine import DatasetInspection

# Findings whose paths are class names, which the message already contains.
ABOUT_CLASSES = ("class_missing", "few_images", "imbalance", "one_class", "similar_classes")
# Findings about images that training leaves out.
REMOVED = (
    "conflicting_labels",
    "duplicates_across_splits",
    "near_duplicates_across_splits",
    "group_across_splits",
)
FINDING_PATHS, MOST_ROWS = 3, 40  # lines of a list that a terminal shows


def show_small(console: Console, count: int, side: int) -> None:
    """Why a network is trained from scratch."""
    console.print(
        f"{counted(count, 'image')} of about {counted(side, 'pixel')}: many and small, so a small "
        "network is trained from scratch (recipe scratch). To use a network pretrained on photos: "
        "--recipe photos",
        highlight=False,
        soft_wrap=True,
    )


def show_freed(console: Console, count: int) -> None:
    """The disk space of the deleted cache."""
    console.print(f"Deleted {count / 1e6:,.1f} MB of decoded images and features.", highlight=False)


def show_findings(console: Console, findings: Sequence["Finding"]) -> None:
    """The findings about a dataset: one line each, followed by the first images concerned."""
    colours = {"error": "red", "warning": "yellow", "note": "dim"}
    for finding in findings:
        severity = finding.severity
        console.print(
            f"[{colours[severity]}]{severity}[/] {rich_escape(finding.message.text())}",
            highlight=False,
            soft_wrap=True,
        )
        shown = finding.paths[: 0 if finding.kind in ABOUT_CLASSES else FINDING_PATHS]
        more = finding.count - len(shown)
        for path, twin in zip_longest(shown, finding.same_as[: len(shown)], fillvalue=""):
            text = f"    {path} = {twin}" if twin else f"    {path}"
            console.print(rich_escape(text), highlight=False, soft_wrap=True)
        if shown and more > 0:
            console.print(f"    and {more:,} more", highlight=False)


def show_data(console: Console, found: "DatasetInspection", sheets: Sequence[Path]) -> None:
    """The images of a dataset by class and split, their sizes and formats, and the findings."""
    classes, splits, count = found.index.classes, found.splits, len(found.index.samples)
    nouns = "image" if count == 1 else plural("image")
    are = "is" if found.used == 1 else "are"
    title = f"{found.data}: {found.used:,} of {count:,} {nouns} {are} usable"
    console.print(rich_escape(title), style="bold", highlight=False, soft_wrap=True)
    table = Table()
    table.add_column("class")
    for split in splits:
        table.add_column(split, justify="right")
    for name in classes[:MOST_ROWS]:
        table.add_row(rich_escape(name), *(f"{n[name]:,}" for n in splits.values()))
    if len(classes) > MOST_ROWS:
        table.add_row(f"and {len(classes) - MOST_ROWS:,} more", *[""] * len(splits))
    table.add_row("[bold]all[/bold]", *(f"{sum(n.values()):,}" for n in splits.values()))
    console.print(table)
    console.print(f"Splits for training: {found.plan}.", highlight=False)
    sizes = " to ".join(
        f"{width:,} x {height:,}" for width, height in (found.sizes[k] for k in ("least", "most"))
    )
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in found.formats.items())
    modes = ", ".join(f"{n:,} {mode}" for mode, n in found.modes.items())
    console.print(rich_escape(f"{sizes} pixels; {kinds}; {modes}"), highlight=False)
    show_findings(console, found.report.findings)
    if sheets:
        where = rich_escape(str(sheets[0].parent))
        console.print(f"Contact sheets: {where}", highlight=False, soft_wrap=True)
    if not found.is_valid:
        out = [f for f in found.report.findings if f.kind in REMOVED]
        then = "; `neocog train` leaves out those images" if out else ""
        console.print(
            f"Findings marked `error` would make the accuracy wrong{then}.", highlight=False
        )
