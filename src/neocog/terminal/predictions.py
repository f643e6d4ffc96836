"""Predictions and explanations."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from neocog.errors import WriteError
from neocog.escaping import csv_cell, rich_escape
from neocog.rendering.numbers import format_probability
from neocog.storage.atomic import write_atomic
from neocog.wording import counted, plural

if TYPE_CHECKING:  # it imports torch
    from neocog.classifier import Prediction


ENGINE_NAMES = {"onnx": "ONNX Runtime", "torch": "PyTorch", "openvino": "OpenVINO"}


def show_engine(console: Console, engine: str, precision: str | None) -> None:
    """One line with the engine that was used, and the precision if it chose one."""
    used = f"{ENGINE_NAMES[engine]}, {precision}" if precision else ENGINE_NAMES[engine]
    console.print(f"Engine: {used}.", style="dim", highlight=False)


def show_predictions(console: Console, predictions: Sequence["Prediction"]) -> None:
    """A table of labels and probabilities, then a line for each image that could not be used."""
    good = [p for p in predictions if p.error is None]
    if good:
        table = Table()
        table.add_column("image", overflow="fold")
        table.add_column("label")
        table.add_column("probability", justify="right")
        table.add_column("next best")
        for p in good:
            others = ", ".join(
                f"{label} {format_probability(share)}"
                for label, share in p.top[1:]
                if share >= 5e-4
            )
            label = f"not sure ({p.label})" if p.rejected else str(p.label)
            table.add_row(
                rich_escape(p.path),
                rich_escape(label),
                format_probability(p.probability or 0),
                rich_escape(others),
            )
        console.print(table)


def show_explained(
    console: Console,
    predictions: Sequence["Prediction"],
    layer: str | None,
    page: Path | None,
    files: int,
) -> None:
    """The predictions that were explained, and where to find the page."""
    show_predictions(console, [p for p in predictions if p.error is None])
    if page is None:
        return
    if layer is None:
        console.print("The network has no feature maps, so there is no Grad-CAM.", highlight=False)
    else:
        console.print(rich_escape(f"Grad-CAM of layer {layer}."), highlight=False)
    console.print(f"Page: {rich_escape(str(page))}", highlight=False)
    console.print(f"{counted(files, 'PNG file')} beside it.", highlight=False)


def show_maximized(console: Console, layer: str, page: Path, image: Path) -> None:
    """Where to find the page with the highest activations of a layer."""
    text = f"Test images with the highest activation of each feature map of {layer}."
    for line in (text, f"Page: {page}", f"Image: {image}"):
        console.print(rich_escape(line), highlight=False)


def show_failures(console: Console, predictions: Sequence["Prediction"]) -> None:
    """A line for each image that could not be used."""
    for p in predictions:
        if p.error is not None:
            console.print(
                f"{rich_escape(p.path)}: {rich_escape(p.error)}", highlight=False, soft_wrap=True
            )


def predictions_csv(predictions: Sequence["Prediction"], top: int) -> str:
    """The predictions as comma-separated text with a header line; no cell is a formula."""
    text = io.StringIO()
    ranks = range(1, top + 1)
    columns = [column for k in ranks for column in (f"top{k}", f"probability{k}")]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "probability", "rejected", "error", *columns])
    for p in predictions:
        pairs: list[Any] = [value for pair in p.top for value in pair]
        pairs += [""] * (2 * top - len(pairs))
        error = p.error or ""
        cells = [p.path, p.label or "", p.probability or "", p.rejected, error, *pairs]
        writer.writerow(map(csv_cell, cells))
    return text.getvalue()


def show_written(console: Console, path: Path, predictions: Sequence["Prediction"]) -> None:
    """The number of images written, and of each class."""
    counts = Counter(p.label for p in predictions if p.error is None)
    kinds = ", ".join(f"{n:,} {label}" for label, n in counts.most_common(10))
    nouns = "image" if len(predictions) == 1 else plural("image")
    classified = f"{counts.total():,} of {len(predictions):,} {nouns} classified"
    text = f"{path}: {classified} ({kinds or 'none could be used'})"
    console.print(rich_escape(text), highlight=False, soft_wrap=True)


def write_csv(path: Path, predictions: Sequence["Prediction"], top: int) -> None:
    """Write the predictions, whole or not at all. Raises WriteError if that fails."""
    try:
        write_atomic(path, predictions_csv(predictions, top))
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror}).") from None
