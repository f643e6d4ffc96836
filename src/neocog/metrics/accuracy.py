"""Accuracy with its interval, the confusion matrix, and precision, recall and F1 of each class."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054  # the normal distribution's 97.5% point


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """The 95% interval of a proportion, `correct` of `n`, each 0..1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22,
    1927. It stays inside 0..1 and holds for small n. (0, 1) where n is 0.
    """
    if n == 0:
        return 0.0, 1.0
    share = correct / n
    middle = share + Z95**2 / (2 * n)
    reach = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> NDArray[np.int64]:
    """Counts, K x K: row = the true class, column = the predicted one."""
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


@dataclass(frozen=True)
class ClassScore:
    """One class's precision, recall and F1, each 0..1, and the number `n` of its images.

    A share of nothing is 0: precision where the class was never predicted, recall where n is 0.
    """

    precision: float
    recall: float
    f1: float
    n: int


def class_scores(confusion: NDArray[np.int64]) -> list[ClassScore]:
    """The scores of every class, in the order of the confusion matrix."""
    right = np.diag(confusion)
    predicted, n = confusion.sum(axis=0), confusion.sum(axis=1)
    return [
        ClassScore(
            precision=_share(right[k], predicted[k]),
            recall=_share(right[k], n[k]),
            f1=_share(2 * right[k], predicted[k] + n[k]),
            n=int(n[k]),
        )
        for k in range(len(confusion))
    ]


def worst_confusions(confusion: NDArray[np.int64], most: int = 5) -> list[tuple[int, int, int]]:
    """The largest cells off the diagonal as (true class, predicted class, count), largest first."""
    wrong = [
        (int(confusion[i, j]), i, j) for i, j in zip(*np.nonzero(confusion), strict=True) if i != j
    ]
    wrong.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    return [(int(i), int(j), count) for count, i, j in wrong[:most]]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
