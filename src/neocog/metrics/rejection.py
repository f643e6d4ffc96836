"""Rejection: which predictions to reject as too uncertain, and how many that costs."""

import numpy as np
from numpy.typing import NDArray


def rejected(
    outputs: NDArray[np.floating],
    threshold: float,
    max_second: float = np.inf,
    min_margin: float = 0.0,
) -> NDArray[np.bool_]:
    """Return which images the rule of LeCun et al. rejects, as a boolean array `(N,)`.

    `outputs` has shape `(N, K)` with K >= 2. The rule of 1998 rejects an image if its largest
    output is below `threshold`; the outputs of LeNet-5 are negated RBF penalties, so that it
    rejects images far from all ten codes. The rule of 1990 also rejects an image if the second
    largest output is above `max_second` or closer to the largest than `min_margin`.
    """
    second, first = np.sort(outputs, axis=1)[:, -2:].T
    return (first < threshold) | (second > max_second) | (first - second < min_margin)


def rejection_for_error(
    largest: NDArray[np.floating], correct: NDArray[np.bool_], error: float
) -> tuple[float, float] | None:
    """Return the smallest fraction to reject, and the threshold, for a given error rate.

    `largest`, `(N,)`, is the largest output of each image and `correct`, `(N,)`, tells which
    predictions are correct. Rejecting the images below the threshold leaves an error rate of at
    most `error`, 0..1, among the others; images with equal outputs are rejected together. Returns
    None if no threshold suffices. As in the papers, the threshold is fitted to the test images
    themselves: it describes them and does not generalise to others.
    """
    order = np.argsort(-largest, kind="stable")
    wrong = np.cumsum(~correct[order])
    accepted = np.arange(1, len(order) + 1)
    last_of_ties = np.append(np.diff(largest[order]) != 0, True)
    valid = np.flatnonzero(last_of_ties & (wrong <= error * accepted))
    if not len(valid):
        return None
    last = valid[-1]
    return float(1 - accepted[last] / len(order)), float(largest[order[last]])
