"""Images of a run: curves, the confusion matrix, predictions, mistakes."""

import io
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from neocog.data import ImageSet
from neocog.escaping import visible
from neocog.evaluation.evaluate import Evaluation
from neocog.metrics.calibration import uncertainty
from neocog.recipes import Recipe
from neocog.records import ClassificationMetrics, EpochMetrics, EvaluationRecord, HeadMetrics
from neocog.rendering.fonts import chinese_font, pillow_font
from neocog.rendering.grids import to_image
from neocog.rendering.i18n import translator
from neocog.rendering.numbers import format_probability
from neocog.rendering.tiling import Tiling
from neocog.report.losses import loss_title
from neocog.report.phrases.report import REPORT
from neocog.report.training_batch import as_carried_out, first_training_batch
from neocog.runs import Run
from neocog.storage.atomic import make_folder, write_atomic
from neocog.wording import counted, percent

INK, QUIET, TRAIN, VALIDATION, WRONG = "#222222", "#8a8a8a", "#1f6fb2", "#d1731c", "#b3261e"
CELL, MARGIN, LINE = 196, 20, 20  # pixels: an image's side, between them, a line of text
LETTERS = (15, 13, 11, 10)  # pixels: as large as a line's letters can be
FEW_CLASSES = 30  # up to here the confusion matrix shows numbers and every name


def draw(run: Run, evaluation: Evaluation, *, trained: bool = False) -> list[Path]:
    """Draw all images of a run into its plots folder and return their files.

    confusion.png, predictions.png (ten test images); where there are any, mistakes.png (the
    worst, most confident first); curves.png of the epochs, and penalty.png of a fit of the last
    layer alone. What does not belong to the run any more is deleted. batch.png, the first training
    images, is drawn for a run that was just `trained`: no evaluation changes it, and it takes
    torch.
    """
    folder = run.plots_folder
    make_folder(folder)
    lines = run.read_epochs()
    recipe = as_carried_out(run.read_recipe(), lines[0])
    result, test, probabilities = evaluation.result, evaluation.test, evaluation.probabilities
    predicted = probabilities.argmax(axis=1)
    figures: dict[str, Figure | Image.Image] = {
        "confusion.png": confusion(result, test.classes),
        "predictions.png": grid(
            test,
            probabilities,
            _spread(test.labels, 10),
            f"Some test images of {_short(Path(result.data).name)}",
            5,
        ),
    }
    wrong = np.nonzero(predicted != test.labels)[0]
    if len(wrong):
        worst = wrong[np.argsort(uncertainty(probabilities[wrong]), kind="stable")][:20]
        title = f"{counted(len(wrong), 'mistake')} in {counted(len(test), 'test image')}"
        title += ", the worst first" if len(wrong) > 1 else ""
        figures["mistakes.png"] = grid(test, probabilities, worst, title, 5)
    if lines[-1].epoch:
        figures["curves.png"] = curves(recipe, lines)
    head = lines[0].head
    if head and head.losses is not None:
        figures["penalty.png"] = penalties(head)
    if trained and evaluation.train is not None:
        figures["batch.png"] = seen_batch(recipe, evaluation.train)
    for name in {"mistakes.png", "curves.png", "penalty.png"} - set(figures):
        (folder / name).unlink(missing_ok=True)
    with mpl.rc_context(_style()):
        for name, figure in figures.items():
            drawn = io.BytesIO()
            if isinstance(figure, Image.Image):
                figure.save(drawn, "PNG", compress_level=1)
            else:
                figure.savefig(drawn, format="png", dpi=130, pil_kwargs={"compress_level": 2})
            write_atomic(folder / name, drawn.getvalue())
    return [folder / name for name in figures]


def curves(recipe: Recipe, lines: Sequence[EpochMetrics]) -> Figure:
    """Loss and accuracy by epoch, of train and, where there is one, of validation."""
    titles = {"loss": loss_title(recipe, lines, translator(REPORT, "en")), "accuracy": "accuracy"}
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        for place, what in enumerate(titles):
            axes = figure.add_subplot(1, 2, place + 1)
            for split, colour in (("train", TRAIN), ("validation", VALIDATION)):
                values = [(line.epoch, line.metric(f"{split}/{what}")) for line in lines]
                points = [(epoch, value) for epoch, value in values if value is not None]
                if points:
                    x, y = zip(*points, strict=True)
                    marker = "o" if len(points) < 30 else None
                    axes.plot(x, y, color=colour, label=split, marker=marker, markersize=3.5)
            axes.set_xlabel("epoch")
            axes.set_title(titles[what], loc="left")
            axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))
            if what == "loss":
                axes.set_ylim(bottom=0)
                axes.legend(frameon=False)
            else:
                axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
        note = f"Train is measured during the epoch, in training mode; selected by {recipe.select}"
        figure.suptitle(note, fontsize=9, color=QUIET)
    return figure


def penalties(head: HeadMetrics) -> Figure:
    """How well a fitted last layer does on held-out images, by the penalty on its weights."""
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(5.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        tried, measured = head.penalties, head.losses or ()
        judged = measured if head.criteria is None else head.criteria
        axes.errorbar(tried, judged, head.errors, color=VALIDATION, marker="o", markersize=4)
        if head.criteria is not None:
            axes.lines[0].set_label("with one more image wrong; bars: standard error against best")
            axes.plot(tried, measured, color=QUIET, linewidth=1, label="as measured")
            axes.legend(frameon=False, fontsize=8)
        axes.axvline(head.penalty, color=QUIET, linewidth=1, linestyle=":")
        axes.set_xlabel("penalty on the last layer's squared weights")
        axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda x, _: f"{x:g}"))
        axes.set_title("log-loss on held-out images", loc="left")
        axes.set_ylim(bottom=0)
        note = f"chosen: {head.penalty:.2g}, by {head.chosen_by.text()}"
        figure.suptitle(note, fontsize=9, color=QUIET)
    return figure


def seen_batch(recipe: Recipe, train: ImageSet) -> Image.Image:
    """A batch as the network sees it in training: the recipe's random changes, names above."""
    seen, labels = first_training_batch(recipe, train)
    title = "The first images of training, as the network sees them"
    return _mosaic(seen, [(_short(label), INK) for label in labels], title, columns=8)


def confusion(result: ClassificationMetrics | EvaluationRecord, classes: Sequence[str]) -> Figure:
    """The confusion matrix: rows are the true class, columns the predicted, shaded by row share."""
    counts = np.array(result.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    n = len(classes)
    names = [_short(name) for name in classes]
    few = n <= FEW_CLASSES
    side = float(np.clip(0.55 * n + 2, 4.5, 14))
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(_shaded(shares))
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(f"accuracy {percent(result.accuracy, 2)}, n = {result.n:,}", loc="left")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if few:
            long = n * max(map(len, names)) > 40
            axes.set_xticks(
                range(n), names, rotation=45 if long else 0, ha="right" if long else "center"
            )
            axes.set_yticks(range(n), names)
            for i, j in zip(*np.nonzero(counts), strict=True):
                colour = "white" if shares[i, j] > 0.5 else INK
                axes.text(
                    j, i, f"{counts[i, j]}", ha="center", va="center", color=colour, fontsize=8
                )
    return figure


def _shaded(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours, K x K x 3, of a confusion matrix's row shares: right blue, wrong red."""
    full = np.where(
        np.eye(len(shares), dtype=bool)[:, :, None], (0.12, 0.44, 0.70), (0.70, 0.15, 0.12)
    )
    depth = np.where(shares > 0, 0.12 + 0.88 * shares, 0)[:, :, None]
    return 1 - depth * (1 - full)


def grid(
    test: ImageSet,
    probabilities: NDArray[np.float32],
    chosen: NDArray[np.int64],
    title: str,
    columns: int,
) -> Image.Image:
    """Test images with predicted label and probability; a wrong one in red with the truth.

    Where the images have paths, the end of a wrong one's stands there, too.
    """
    texts = []
    for number in chosen:
        label, guess = int(test.labels[number]), int(probabilities[number].argmax())
        top = format_probability(float(probabilities[number, guess]))
        text = f"{_short(test.classes[guess])}  {top}"
        if guess != label:
            text += f"\ntrue: {_short(test.classes[label])}"
            if test.paths:
                text += f"\n{_short(PurePosixPath(test.paths[number]).name, 36, the_end=True)}"
        texts.append((text, INK if guess == label else WRONG))
    return _mosaic(np.asarray(test.images[chosen]), texts, title, columns)


def _mosaic(
    images: NDArray[np.uint8], texts: Sequence[tuple[str, str]], title: str, columns: int
) -> Image.Image:
    """Images, N x H x W x C, in rows, a text in its colour above each.

    Drawn by Pillow: matplotlib takes half a second for each of them.
    """
    count, height, width, _ = images.shape
    small = width < 64
    wide = width * -(-CELL // width) if small else CELL
    high = round(height * wide / width)
    how = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    head = LINE * (1 + max(text.count("\n") for text, _ in texts)) + 14
    tiling = Tiling(
        count,
        columns,
        cell=(wide, high),
        gap=(MARGIN, head),
        margin=(MARGIN, 50 + head, MARGIN, 6),
        min_columns=min(4, columns),  # room for the title
    )
    sheet = tiling.sheet()
    pen = ImageDraw.Draw(sheet)
    pen.text((sheet.width / 2, 18), title, INK, pillow_font(22), anchor="ma")
    for n, (image, (text, colour)) in enumerate(zip(images, texts, strict=True)):
        left, top = tiling.corner(n)
        sheet.paste(to_image(image).resize((wide, high), how), (left, top))
        for line, part in enumerate(reversed(text.split("\n"))):
            above = top - 6 - line * LINE
            size_of = next((s for s in LETTERS if _fits(part, s, wide)), LETTERS[-1])
            pen.text((left + wide / 2, above), part, colour, pillow_font(size_of), anchor="md")
    return sheet


def _fits(text: str, pixels: int, wide: int) -> bool:
    return pillow_font(pixels).getlength(text) <= wide + MARGIN / 2


def _short(name: str, most: int = 18, the_end: bool = False) -> str:
    """A name in at most so many letters, each of which can be drawn.

    Of a long one the beginning is shown, or `the_end`.
    """
    name = "".join(c if _has_glyph(c) else "□" for c in visible(" ".join(name.split())))
    if len(name) <= most:
        return name
    return "…" + name[1 - most :] if the_end else name[: most - 1] + "…"


@cache
def _has_glyph(letter: str) -> bool:
    files = (font_manager.findfont(font) for font in _fonts())
    return any(font_manager.get_font(file).get_char_index(ord(letter)) for file in files)


def _spread(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` images (or all), the first of each class in turn, then the second, and so on."""
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.nonzero(labels == label)[0]
        rank[members] = np.arange(len(members))
    return np.lexsort((labels, rank))[:count]


def _style() -> dict[str, str | bool | list[str]]:
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
