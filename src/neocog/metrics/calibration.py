"""Whether probabilities can be taken at their word: reliability by bins, and the mean gap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neocog.metrics.accuracy import wilson_interval

BINS = 10


@dataclass(frozen=True)
class Bin:
    """The answers whose probability lies above `low` and up to `high`; the first bin has 0 as well.

    `probability` is their mean, what they claim; `accuracy` the share that is right, with its 95%
    Wilson `interval`; `n` how many they are, at least one.
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
    """What the answers of each bin claim and how many are right; empty bins are left out.

    `probabilities`, N, are those of the answers that were given, `correct` whether they are right.
    The bins are `bins` equal parts of 0..1.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    claimed = np.asarray(probabilities, dtype=np.float64)
    place = np.searchsorted(edges[1:-1], claimed)
    found = []
    for k in np.unique(place):
        inside = place == k
        n, right = int(inside.sum()), int(correct[inside].sum())
        found.append(
            Bin(
                low=float(edges[k]),
                high=float(edges[k + 1]),
                n=n,
                probability=float(claimed[inside].mean()),
                accuracy=right / n,
                interval=wilson_interval(right, n),
            )
        )
    return found


def expected_calibration_error(bins: list[Bin]) -> float:
    """How far accuracy lies from probability, 0..1: the mean over the bins, by their images.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017. 0 for no bins.
    """
    n = sum(b.n for b in bins)
    return sum(b.n * abs(b.accuracy - b.probability) for b in bins) / n if n else 0.0


def uncertainty(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """What each row of N x K leaves to all but its largest probability, N.

    It is 1 minus the largest, but tells answers apart that are rounded to certainty.
    """
    rest = probabilities.astype(np.float64)
    rest[np.arange(len(rest)), probabilities.argmax(1)] = 0
    return rest.sum(1)
