"""Calibration: how well predicted probabilities agree with the accuracy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neocog.metrics.accuracy import wilson_interval

BINS = 10


@dataclass(frozen=True)
class Bin:
    """The predictions with a probability in (low, high]; the first bin also contains 0.

    `n`, at least 1, is the number of predictions, `probability` their mean probability and
    `accuracy` the fraction that is correct, 0..1, with its 95% Wilson `interval`.
    """

    low: float
    high: float
    n: int
    probability: float
    accuracy: float
    interval: tuple[float, float]


def reliability(
    probabilities: NDArray[np.floating], correct: NDArray[np.bool_], bins: int = BINS
) -> list[Bin]:
    """Return the non-empty bins of a reliability diagram, in ascending order.

    `probabilities`, `(N,)`, are those of the predicted classes and `correct`, `(N,)`, tells which
    predictions are correct. `bins` is the number of bins of equal width in 0..1.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    confidence = np.asarray(probabilities, dtype=np.float64)
    bin_of = np.searchsorted(edges[1:-1], confidence)
    diagram = []
    for k in np.unique(bin_of):
        members = bin_of == k
        n, hits = int(members.sum()), int(correct[members].sum())
        diagram.append(
            Bin(
                low=float(edges[k]),
                high=float(edges[k + 1]),
                n=n,
                probability=float(confidence[members].mean()),
                accuracy=hits / n,
                interval=wilson_interval(hits, n),
            )
        )
    return diagram


def expected_calibration_error(bins: list[Bin]) -> float:
    """Return the mean gap between accuracy and probability, 0..1, weighted by the size of the bins.

    It is 0 without bins. Source: Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    n = sum(b.n for b in bins)
    return sum(b.n * abs(b.accuracy - b.probability) for b in bins) / n if n else 0.0


def uncertainty(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return one minus the top probability of each row of `(N, K)`, as `(N,)`.

    It is the sum of the other probabilities, so that predictions whose top probability is rounded
    to 1 remain comparable.
    """
    others = probabilities.astype(np.float64)
    others[np.arange(len(others)), probabilities.argmax(1)] = 0
    return others.sum(1)
