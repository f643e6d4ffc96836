"""Confidence interval of the accuracy, confusion matrix, and precision, recall and F1 per class."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054  # 97.5% quantile of the standard normal distribution


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval (low, high) of the proportion `correct` / `n`.

    The bounds lie in 0..1, and the interval is valid for small n; for n = 0 it is (0, 1).
    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22,
    1927.
    """
    if n == 0:
        return 0.0, 1.0
    proportion = correct / n
    centre = proportion + Z95**2 / (2 * n)
    half_width = Z95 * math.sqrt(proportion * (1 - proportion) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    low, high = (centre - half_width) / scale, (centre + half_width) / scale
    # Rounding must not leave the proportion outside its interval where it is 0 or 1.
    return max(0.0, min(low, proportion)), min(1.0, max(high, proportion))


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> NDArray[np.int64]:
    """Return the counts of label and predicted class, `(K, K)`: rows are labels."""
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


@dataclass(frozen=True)
class ClassMetrics:
    """Precision, recall and F1 of a class, each 0..1, and the number `n` of its images.

    A ratio with denominator 0 is 0: precision if the class is never predicted, recall if n = 0.
    """

    precision: float
    recall: float
    f1: float
    n: int


def metrics_by_class(confusion: NDArray[np.int64]) -> list[ClassMetrics]:
    """Return the metrics of every class for a confusion matrix `(K, K)`, in its order."""
    correct = np.diag(confusion)
    predicted, n = confusion.sum(axis=0), confusion.sum(axis=1)
    return [
        ClassMetrics(
            precision=_ratio(correct[k], predicted[k]),
            recall=_ratio(correct[k], n[k]),
            f1=_ratio(2 * correct[k], predicted[k] + n[k]),
            n=int(n[k]),
        )
        for k in range(len(confusion))
    ]


def worst_confusions(confusion: NDArray[np.int64], limit: int = 5) -> list[tuple[int, int, int]]:
    """Return the largest off-diagonal cells as (label, predicted class, count), largest first."""
    cells = [
        (int(confusion[i, j]), i, j) for i, j in zip(*np.nonzero(confusion), strict=True) if i != j
    ]
    cells.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    return [(int(i), int(j), count) for count, i, j in cells[:limit]]


def _ratio(numerator: int, denominator: int) -> float:
    return float(numerator / denominator) if denominator else 0.0
