"""Pictures of a run: curves, the confusion matrix, predictions, mistakes."""

import logging
import math
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
from neocog.recipes import Recipe
from neocog.report.fonts import chinese_font
from neocog.report.seen import seen_pictures
from neocog.runs import Run

INK, QUIET, TRAIN, VALIDATION, WRONG = "#222222", "#8a8a8a", "#1f6fb2", "#d1731c", "#b3261e"
FEW_CLASSES = 30  # up to here the confusion matrix shows numbers and every name


def draw(run: Run, evaluation: Evaluation) -> list[Path]:
    """Draw all pictures of a run into its plots folder and return their files.

    confusion.png, predictions.png (ten test pictures); where there are any, mistakes.png (the
    worst, most confident first); curves.png of the epochs, and penalty.png of a fit of the last
    layer alone. What does not belong to the run any more is deleted.
    """
    folder = run.plots_folder
    folder.mkdir(exist_ok=True)
    recipe = run.read_recipe()
    result, test, probabilities = evaluation.result, evaluation.test, evaluation.probabilities
    predicted = probabilities.argmax(axis=1)
    lines = run.read_metrics()
    figures = {
        "confusion.png": confusion(result, test.classes),
        "predictions.png": grid(
            test,
            probabilities,
            _spread(test.labels, 10),
            f"Some test pictures of {Path(result['data']).name}",
            5,
        ),
    }
    wrong = np.nonzero(predicted != test.labels)[0]
    if len(wrong):
        worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:20]
        title = f"{len(wrong):,} mistake(s) in {len(test):,} test pictures, the worst first"
        figures["mistakes.png"] = grid(test, probabilities, worst, title, 5)
    if lines[-1]["epoch"]:
        figures["curves.png"] = curves(lines, recipe.select)
    if "head/losses" in lines[0]:
        figures["penalty.png"] = penalties(lines[0])
    if evaluation.train is not None:
        figures["batch.png"] = seen_batch(recipe, evaluation.train)
    for name in {"mistakes.png", "curves.png", "penalty.png"} - set(figures):
        (folder / name).unlink(missing_ok=True)
    with mpl.rc_context(_style()):
        for name, figure in figures.items():
            figure.savefig(folder / name, dpi=130, pil_kwargs={"compress_level": 2})
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


def penalties(line: dict[str, Any]) -> Figure:
    """How well a fitted last layer does on held-out pictures, by the penalty on its weights."""
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(5.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.semilogx(
            line["head/penalties"], line["head/losses"], color=VALIDATION, marker="o", markersize=4
        )
        axes.axvline(line["head/penalty"], color=QUIET, linewidth=1, linestyle=":")
        axes.set_xlabel("penalty on the last layer's squared weights")
        axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda x, _: f"{x:g}"))
        axes.set_title("log-loss on held-out pictures", loc="left")
        axes.set_ylim(bottom=0)
        note = f"chosen: {line['head/penalty']:.2g}, by {line['head/chosen_by']}"
        figure.suptitle(note, fontsize=9, color=QUIET)
    return figure


def seen_batch(recipe: Recipe, train: ImageSet) -> Figure:
    """A batch as the network sees it in training: the recipe's random changes, names above."""
    shown, labels = seen_pictures(recipe, train)
    title = "The first pictures of training, as the network sees them"
    return _mosaic(shown.numpy(), [(label, INK) for label in labels], title, columns=8)


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
    texts = []
    for number in chosen:
        label, guess = int(test.labels[number]), int(probabilities[number].argmax())
        text = f"{_short(test.classes[guess])}  {probabilities[number, guess]:.1%}"
        if guess != label:
            text += f"\ntrue: {_short(test.classes[label])}"
        texts.append((text, INK if guess == label else WRONG))
    return _mosaic(np.asarray(test.images[chosen]), texts, title, columns)


def _mosaic(
    pictures: NDArray[np.uint8], texts: Sequence[tuple[str, str]], title: str, columns: int
) -> Figure:
    """Pictures, N x H x W x C, in rows, a text in its colour above each.

    One picture on one pair of axes: a pair for each takes seconds to lay out.
    """
    count, height, width, channels = pictures.shape
    rows, columns = -(-count // columns), min(max(count, 4), columns)  # 4: the title needs room
    lines = 1 + max(text.count("\n") for text, _ in texts)
    cell = 1.7  # inches, a picture with the gap beside it
    gap, head = 0.1 * width, (0.12 + 0.15 * lines) * width  # pixels
    step_x, step_y = width + gap, height + head
    sheet = np.full((math.ceil(rows * step_y), math.ceil(columns * step_x - gap), 3), 255, np.uint8)
    places = [
        (round(n // columns * step_y + head), round(n % columns * step_x)) for n in range(count)
    ]
    for picture, (top, left) in zip(pictures, places, strict=True):
        sheet[top : top + height, left : left + width] = picture  # grey is repeated
    assert channels in (1, 3)
    with mpl.rc_context(_style()):
        inches = (cell * columns + 0.2, cell * step_y / step_x * rows + 0.4)
        figure = Figure(figsize=inches)
        figure.suptitle(title, fontsize=11, y=1 - 0.15 / inches[1], va="top")
        axes = figure.add_axes((0.02, 0.01, 0.96, 1 - 0.3 / inches[1] - 0.01))
        axes.imshow(sheet, interpolation="nearest" if width < 64 else "antialiased")
        axes.set_axis_off()
        for (text, colour), (top, left) in zip(texts, places, strict=True):
            middle, above = left + width / 2, top - 0.04 * width
            axes.text(middle, above, text, ha="center", va="bottom", fontsize=8.5, color=colour)
    return figure


def _short(name: str) -> str:
    """A class's name where there is room for about twenty letters."""
    return name if len(name) <= 18 else name[:17] + "…"


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
    """Latin first, then the font for Chinese."""
    path = chinese_font()
    if path is None:
        logging.getLogger(__name__).warning("zhplot is missing: Chinese names may not be drawn")
        return ["DejaVu Sans"]
    if not any(font.fname == path for font in font_manager.fontManager.ttflist):
        font_manager.fontManager.addfont(path)
    return ["DejaVu Sans", font_manager.FontProperties(fname=path).get_name()]
