"""Choosing between fits by held-out images: a log-loss that doubts, and fits that are equal."""

import numpy as np
from numpy.typing import NDArray


def log_losses(
    logits: NDArray[np.floating], labels: NDArray[np.int64], smoothing: float = 0.0
) -> NDArray[np.float64]:
    """The log-loss of each of N images, for logits N x K, K at least 2.

    With `smoothing` e the label counts 1 - e and the other classes share e: what is expected where
    a label is wrong with probability e.
    """
    outputs = np.asarray(logits, dtype=np.float64)
    logs = outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True)
    right = logs[np.arange(len(labels)), labels]
    others = (logs.sum(1) - right) / (logs.shape[1] - 1)
    smoothed: NDArray[np.float64] = -(1 - smoothing) * right - (smoothing * others)
    return smoothed


def one_more_wrong(n: int) -> float:
    """The smoothing that counts one image more than `n`, answered wrongly: 1 / (n + 1).

    Where all of n held-out images are right, plain log-loss falls as long as the answers become
    more certain, though n right answers show no more than an error below about 1 / n.
    """
    return 1 / (n + 1)


def differences(losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much more each of P fits loses than the best, by losses P x N of the same N images.

    The mean difference, P, and its standard error, P: the differences are paired, image by image.
    """
    gaps = losses - losses[losses.mean(1).argmin()]
    n = gaps.shape[1]
    errors = gaps.std(1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(gaps))
    return gaps.mean(1), errors


def first_of_equals(losses: NDArray[np.float64]) -> int:
    """The first of P fits whose losses, P x N, are within one standard error of the best's.

    Sorted from the strongest penalty to the weakest, that is the one-standard-error rule of
    Breiman et al. 1984 (section 3.4.3), with the standard error of the paired difference.
    """
    means, errors = differences(losses)
    return int(np.flatnonzero(means <= errors)[0])
