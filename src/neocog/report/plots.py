"""Pictures of a run: curves, the confusion matrix, predictions, mistakes."""

import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neocog.data import ImageSet
from neocog.evaluate import Evaluation
from neocog.runs import Run

INK, QUIET, TRAIN, VALIDATION, WRONG = "#222222", "#8a8a8a", "#1f6fb2", "#d1731c", "#b3261e"
FEW_CLASSES = 30  # up to here the confusion matrix shows numbers and every name


def draw(run: Run, evaluation: Evaluation) -> list[Path]:
    """Draw all pictures of a run into its plots folder and return their files.

    curves.png, confusion.png, predictions.png (ten test pictures) and, where there are any,
    mistakes.png (the worst, most confident first).
    """
    folder = run.plots_folder
    folder.mkdir(exist_ok=True)
    recipe = run.read_recipe()
    result, test, probabilities = evaluation.result, evaluation.test, evaluation.probabilities
    predicted = probabilities.argmax(axis=1)
    figures = {
        "curves.png": curves(run.read_metrics(), recipe.select),
        "confusion.png": confusion(result, test.classes),
        "predictions.png": grid(
            test,
            probabilities,
            _spread(test.labels, 10),
            f"Ten test pictures of {Path(result['data']).name}",
            5,
        ),
    }
    wrong = np.nonzero(predicted != test.labels)[0]
    if len(wrong):
        worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:20]
        title = f"The worst of {len(wrong):,} mistakes in {len(test):,} test pictures"
        figures["mistakes.png"] = grid(test, probabilities, worst, title, 5)
    else:
        (folder / "mistakes.png").unlink(missing_ok=True)
    with mpl.rc_context(_style()):
        for name, figure in figures.items():
            figure.savefig(folder / name, dpi=130)
    return [folder / name for name in figures]


def curves(lines: Sequence[dict[str, Any]], select: str) -> Figure:
    """Loss and accuracy by epoch, of train and, where there is one, of validation."""
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        for place, what in enumerate(("loss", "accuracy")):
            axes = figure.add_subplot(1, 2, place + 1)
            for split, colour in (("train", TRAIN), ("validation", VALIDATION)):
                points = [
                    (ln["epoch"], ln[f"{split}/{what}"]) for ln in lines if f"{split}/{what}" in ln
                ]
                if points:
                    x, y = zip(*points, strict=True)
                    marker = "o" if len(points) < 30 else None
                    axes.plot(x, y, color=colour, label=split, marker=marker, markersize=3.5)
            axes.set_xlabel("epoch")
            axes.set_title(what, loc="left")
            axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))
            if what == "loss":
                axes.set_ylim(bottom=0)
                axes.legend(frameon=False)
            else:
                axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
        note = f"Train is measured during the epoch, in training mode; selected by {select}"
        figure.suptitle(note, fontsize=9, color=QUIET)
    return figure


def confusion(result: dict[str, Any], classes: Sequence[str]) -> Figure:
    """The confusion matrix: rows are the true class, columns the predicted, shaded by row share."""
    counts = np.array(result["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    n = len(classes)
    few = n <= FEW_CLASSES
    side = float(np.clip(0.55 * n + 2, 4.5, 14))
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(f"accuracy {result['accuracy']:.2%}, n = {result['n']:,}", loc="left")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if few:
            long = n * max(map(len, classes)) > 40
            axes.set_xticks(
                range(n), classes, rotation=45 if long else 0, ha="right" if long else "center"
            )
            axes.set_yticks(range(n), classes)
            for i, j in zip(*np.nonzero(counts), strict=True):
                colour = "white" if shares[i, j] > 0.5 else (INK if i == j else WRONG)
                axes.text(
                    j, i, f"{counts[i, j]}", ha="center", va="center", color=colour, fontsize=8
                )
    return figure


def grid(
    test: ImageSet,
    probabilities: NDArray[np.float32],
    chosen: NDArray[np.int64],
    title: str,
    columns: int,
) -> Figure:
    """Test pictures with predicted label and probability; a wrong one in red with the truth."""
    rows = -(-len(chosen) // columns)
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(1.75 * columns, 2.05 * rows + 0.5), layout="constrained")
        figure.suptitle(title, fontsize=11)
        for place, number in enumerate(chosen):
            axes = figure.add_subplot(rows, columns, place + 1)
            picture = test.images[number]
            grey = picture.shape[2] == 1
            axes.imshow(picture[:, :, 0] if grey else picture, cmap="gray", vmin=0, vmax=255)
            axes.set_axis_off()
            label, guess = int(test.labels[number]), int(probabilities[number].argmax())
            text = f"{test.classes[guess]}  {probabilities[number, guess]:.1%}"
            if guess != label:
                text += f"\ntrue: {test.classes[label]}"
            axes.set_title(text, fontsize=9, color=INK if guess == label else WRONG)
    return figure


def _spread(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` pictures (or all), the first of each class in turn, then the second, and so on."""
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.nonzero(labels == label)[0]
        rank[members] = np.arange(len(members))
    return np.lexsort((labels, rank))[:count]


def _style() -> dict[str, Any]:
    return {
        "font.family": _fonts(),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": QUIET,
        "axes.grid": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.unicode_minus": False,
        "text.parse_math": False,  # a class may be called $x$
        "savefig.facecolor": "white",
    }


def _fonts() -> list[str]:
    """Latin first, then the font that came with `zhplot` (Noto Sans SC, OFL) for Chinese.

    The file is read in place; `zhplot` itself, which changes matplotlib's settings, is not
    imported.
    """
    spec = importlib.util.find_spec("zhplot")
    if spec is None or spec.origin is None:
        logging.getLogger(__name__).warning("zhplot is missing: Chinese names may not be drawn")
        return ["DejaVu Sans"]
    path = Path(spec.origin).parent / "fonts" / "NotoSansSC-Regular.ttf"
    if not any(font.fname == str(path) for font in font_manager.fontManager.ttflist):
        font_manager.fontManager.addfont(path)
    return ["DejaVu Sans", font_manager.FontProperties(fname=path).get_name()]
