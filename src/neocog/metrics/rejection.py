"""Answering only where the network is sure: which images to refuse, and what that costs."""

import numpy as np
from numpy.typing import NDArray


def rejected(
    outputs: NDArray[np.floating], least: float, most_second: float = np.inf, apart: float = 0.0
) -> NDArray[np.bool_]:
    """Which images are refused, by the rule of LeCun et al.; `outputs` is N x K, K at least 2.

    1998: those whose largest output is smaller than `least`. For LeNet-5 the outputs are minus the
    penalties of its RBF units, so that an image far from all ten codes is refused. 1990 adds: the
    second largest must be at most `most_second`, and the two at least `apart`.
    """
    second, first = np.sort(outputs, axis=1)[:, -2:].T
    return (first < least) | (second > most_second) | (first - second < apart)


def rejection_for_error(
    largest: NDArray[np.floating], correct: NDArray[np.bool_], error: float
) -> tuple[float, float] | None:
    """The share of images to refuse so that at most `error` of the answers are wrong.

    `largest` is each image's largest output, `correct` whether its answer is right, `error` in
    0..1. Comes with the threshold: what lies below it is refused. Images of the same output are
    refused together. None where no threshold is enough. The papers state their figures so, on the
    test images themselves: a description of them, not a promise for others.
    """
    order = np.argsort(-largest, kind="stable")
    wrong = np.cumsum(~correct[order])
    answered = np.arange(1, len(order) + 1)
    ends = np.append(np.diff(largest[order]) != 0, True)
    enough = np.flatnonzero(ends & (wrong <= error * answered))
    if not len(enough):
        return None
    last = enough[-1]
    return float(1 - answered[last] / len(order)), float(largest[order[last]])
