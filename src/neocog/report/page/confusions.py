"""The confusion matrix, with the images of every cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neocog.data import ImageSet
from neocog.metrics.accuracy import worst_confusions
from neocog.metrics.calibration import uncertainty
from neocog.rendering.sprites import MAX_SIDE, Sprite, make_sprite

FEW_CLASSES = 30  # up to here a cell has room for its count
MANY_CLASSES = 150  # from here on the matrix is not legible
MAX_PER_CELL = 60  # images
# Images on the page: small grey ones, small ones in colour, and large ones, which take most space.
BUDGET_GREY, BUDGET_COLOUR, BUDGET_LARGE = 1200, 2000, 500
MAX_IMAGES = 4000
MAX_PAIRS = 20  # confusions that are listed
CORRECT_PENALTY = 4  # while space is short, a cell shows a quarter as many correct images


@dataclass(frozen=True)
class CellImage:
    """An image of a cell: its index in the sprite, the probability, and the file, or empty."""

    index: int
    probability: float
    path: str


@dataclass(frozen=True)
class Cell:
    """The `count` images of class `label` that were predicted as `predicted`.

    `total` is the number of images of class `label`.
    """

    label: int
    predicted: int
    count: int
    total: int
    images: tuple[CellImage, ...]

    @property
    def is_correct(self) -> bool:
        """Whether the cell is on the diagonal."""
        return self.label == self.predicted

    @property
    def fraction(self) -> float:
        """The fraction of the images of class `label`, 0..1."""
        return self.count / self.total

    @property
    def shade(self) -> float:
        """Darkness of the cell, 0..1. Mistakes are darker than their fraction, to be visible."""
        return self.fraction if self.is_correct else 0.1 + 0.9 * self.fraction**0.5


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix for the page.

    Attributes:
        rows: Cells by label and predicted class, None where empty; no rows for too many classes.
        worst: The largest cells off the diagonal.
        sprite: The images of all cells.
        few: Whether cells have room for their count.
    """

    rows: tuple[tuple[Cell | None, ...], ...]
    worst: tuple[Cell, ...]
    sprite: Sprite | None
    few: bool

    @property
    def cells(self) -> Iterator[Cell]:
        """The cells whose images the page can show."""
        cells = [cell for row in self.rows for cell in row if cell] if self.rows else self.worst
        return iter(cells)


def confusion(test: ImageSet, probabilities: NDArray[np.float32]) -> Confusion:
    """The confusion matrix of a test split, from probabilities (N, K)."""
    predicted = probabilities.argmax(1)
    num_classes = len(test.classes)
    codes = test.labels * num_classes + predicted
    counts = np.bincount(codes, minlength=num_classes**2).reshape(num_classes, num_classes)
    pairs = worst_confusions(counts.astype(np.int64), MAX_PAIRS)
    worst = [label * num_classes + k for label, k, _ in pairs]
    shown = np.unique(codes) if num_classes < MANY_CLASSES else np.array(worst, dtype=np.int64)
    confidence = probabilities[np.arange(len(predicted)), predicted]
    budget = _budget(test.images.shape)
    indices = _select_images(codes, uncertainty(probabilities), shown, num_classes, budget)
    order = np.concatenate([*indices.values(), np.zeros(0, np.int64)])
    positions = {int(n): position for position, n in enumerate(order)}
    totals = counts.sum(1)

    def cell(code: int) -> Cell:
        label, k = divmod(code, num_classes)
        images = tuple(
            CellImage(positions[n], float(confidence[n]), test.paths[n] if test.paths else "")
            for n in indices.get(code, np.zeros(0, np.int64)).tolist()
        )
        return Cell(label, k, int(counts[label, k]), int(totals[label]), images)

    cells = {code: cell(code) for code in shown.tolist()}
    rows = [
        tuple(cells.get(label * num_classes + k) for k in range(num_classes))
        for label in range(num_classes if num_classes < MANY_CLASSES else 0)
    ]
    return Confusion(
        tuple(rows),
        tuple(cells[code] for code in worst),
        make_sprite(test.images[order]) if len(order) else None,
        num_classes <= FEW_CLASSES,
    )


def _budget(shape: Sequence[int]) -> int:
    """The number of images (N, H, W, C) that the page has room for."""
    if max(shape[1:3]) > MAX_SIDE // 2:
        return BUDGET_LARGE
    return BUDGET_GREY if shape[3] == 1 else BUDGET_COLOUR


def _select_images(
    codes: NDArray[np.int64],
    doubts: NDArray[np.float64],
    shown: NDArray[np.int64],
    num_classes: int,
    budget: int,
) -> dict[int, NDArray[np.int64]]:
    """Indices of the images of each cell in `shown`, about `budget` in all, at least one each.

    Mistakes are sorted by descending confidence, correct predictions by ascending confidence.
    """
    members, ranks = [], []
    for code in shown.tolist():
        inside = np.nonzero(codes == code)[0]
        is_correct = code // num_classes == code % num_classes
        order = np.argsort(-doubts[inside] if is_correct else doubts[inside], kind="stable")
        members.append(inside[order][:MAX_PER_CELL])
        ranks.append(np.arange(len(members[-1])) * (CORRECT_PENALTY if is_correct else 1))
    if not members:
        return {}
    sorted_ranks = np.sort(np.concatenate(ranks))
    room = min(MAX_IMAGES, max(budget, len(shown)))
    limit = sorted_ranks[room] if room < len(sorted_ranks) else sorted_ranks[-1] + 1
    return {
        code: inside[rank < max(1, limit)]
        for code, inside, rank in zip(shown.tolist(), members, ranks, strict=True)
    }
