"""What is taken for what: the confusion matrix, with the images of every cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neocog.data import ImageSet
from neocog.metrics.accuracy import worst_confusions
from neocog.metrics.calibration import uncertainty
from neocog.rendering.sprites import MOST, Sprite, sprite

FEW_CLASSES = 30  # up to here a cell has room for its number
MANY_CLASSES = 150  # from here on a matrix cannot be read
MOST_A_CELL = 60  # images
# All in all: small grey images, small ones in colour, and large ones, which take most room.
BUDGET_GREY, BUDGET_COLOUR, BUDGET_LARGE = 1200, 2000, 500
MOST_IN_ALL = 4000
PAIRS = 20  # the worst that are listed
RIGHT_WAITS = 4  # right answers are shown only so often as mistakes, while there is little room


@dataclass(frozen=True)
class Shown:
    """An image of a cell: its place in the sprite, the answer's probability, its file."""

    place: int
    probability: float
    path: str


@dataclass(frozen=True)
class Cell:
    """The images of a true class that were given a predicted one.

    `share` is of the true class's images, 0..1; `shade` how dark it is drawn, 0..1.
    """

    truth: int
    guess: int
    count: int
    total: int
    shown: tuple[Shown, ...]

    @property
    def right(self) -> bool:
        """Whether it is on the diagonal."""
        return self.truth == self.guess

    @property
    def share(self) -> float:
        """Of the true class's images."""
        return self.count / self.total

    @property
    def shade(self) -> float:
        """How dark it is drawn: mistakes, which are few, darker than their share."""
        return self.share if self.right else 0.1 + 0.9 * self.share**0.5


@dataclass(frozen=True)
class Confusion:
    """The matrix as rows of cells, None where a cell is empty, and the sprite of their images.

    Without rows the classes are too many for one. `worst` are the largest cells of mistakes.
    """

    rows: tuple[tuple[Cell | None, ...], ...]
    worst: tuple[Cell, ...]
    sprite: Sprite | None
    few: bool

    @property
    def opened(self) -> Iterator[Cell]:
        """The cells that have images to open."""
        cells = [cell for row in self.rows for cell in row if cell] if self.rows else self.worst
        return iter(cells)


def confusion(test: ImageSet, probabilities: NDArray[np.float32]) -> Confusion:
    """The matrix of a test split's answers, N x K probabilities."""
    predicted = probabilities.argmax(1)
    num_classes = len(test.classes)
    codes = test.labels * num_classes + predicted
    counts = np.bincount(codes, minlength=num_classes**2).reshape(num_classes, num_classes)
    pairs = worst_confusions(counts.astype(np.int64), PAIRS)
    largest = [truth * num_classes + guess for truth, guess, _ in pairs]
    wanted = np.unique(codes) if num_classes < MANY_CLASSES else np.array(largest, dtype=np.int64)
    format_probability = probabilities[np.arange(len(predicted)), predicted]
    chosen = _chosen(
        codes, uncertainty(probabilities), wanted, num_classes, _budget(test.images.shape)
    )
    order = np.concatenate([*chosen.values(), np.zeros(0, np.int64)])
    places = {int(n): place for place, n in enumerate(order)}
    totals = counts.sum(1)

    def cell(code: int) -> Cell:
        truth, guess = divmod(code, num_classes)
        shown = tuple(
            Shown(places[n], float(format_probability[n]), test.paths[n] if test.paths else "")
            for n in chosen.get(code, np.zeros(0, np.int64)).tolist()
        )
        return Cell(truth, guess, int(counts[truth, guess]), int(totals[truth]), shown)

    cells = {code: cell(code) for code in wanted.tolist()}
    rows = [
        tuple(cells.get(truth * num_classes + guess) for guess in range(num_classes))
        for truth in range(num_classes if num_classes < MANY_CLASSES else 0)
    ]
    return Confusion(
        tuple(rows),
        tuple(cells[code] for code in largest),
        sprite(test.images[order]) if len(order) else None,
        num_classes <= FEW_CLASSES,
    )


def _budget(shape: Sequence[int]) -> int:
    if max(shape[1:3]) > MOST // 2:
        return BUDGET_LARGE
    return BUDGET_GREY if shape[3] == 1 else BUDGET_COLOUR


def _chosen(
    codes: NDArray[np.int64],
    doubts: NDArray[np.float64],
    wanted: NDArray[np.int64],
    num_classes: int,
    budget: int,
) -> dict[int, NDArray[np.int64]]:
    """The images that each of the `wanted` cells shows: every cell has some, mistakes have more.

    Mistakes come with the most sure first, right answers with the least sure.
    """
    members, turns = [], []
    for code in wanted.tolist():
        inside = np.nonzero(codes == code)[0]
        right = code // num_classes == code % num_classes
        order = np.argsort(-doubts[inside] if right else doubts[inside], kind="stable")
        members.append(inside[order][:MOST_A_CELL])
        turns.append(np.arange(len(members[-1])) * (RIGHT_WAITS if right else 1))
    if not members:
        return {}
    last = np.sort(np.concatenate(turns))
    room = min(MOST_IN_ALL, max(budget, len(wanted)))
    limit = last[room] if room < len(last) else last[-1] + 1
    return {
        code: inside[turn < max(1, limit)]
        for code, inside, turn in zip(wanted.tolist(), members, turns, strict=True)
    }
