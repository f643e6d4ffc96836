"""Model selection on validation images: smoothed log loss and the one-standard-error rule."""

import numpy as np
from numpy.typing import NDArray


def log_losses(
    logits: NDArray[np.floating], labels: NDArray[np.int64], smoothing: float = 0.0
) -> NDArray[np.float64]:
    """Return the log loss of each image, `(N,)`, for logits `(N, K)` with K >= 2.

    With `smoothing` e the label has weight 1 - e and the other classes share e. This is the
    expected log loss if a label is wrong with probability e.
    """
    exact = np.asarray(logits, dtype=np.float64)
    log_probabilities = exact - np.logaddexp.reduce(exact, axis=1, keepdims=True)
    of_label = log_probabilities[np.arange(len(labels)), labels]
    of_others = (log_probabilities.sum(1) - of_label) / (log_probabilities.shape[1] - 1)
    losses: NDArray[np.float64] = -(1 - smoothing) * of_label - (smoothing * of_others)
    return losses


def smoothing_for(n: int) -> float:
    """Return the smoothing that adds one wrong prediction to `n` images: 1 / (n + 1).

    If all n validation images are correct, plain log loss keeps falling as predictions become more
    confident, although n correct predictions only show that the error is below about 1 / n.
    """
    return 1 / (n + 1)


def paired_differences(
    losses: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean loss difference to the best of P fits, and its standard error, both `(P,)`.

    `losses`, `(P, N)`, are those of the same N images, so that differences are paired by image.
    """
    excess = losses - losses[losses.mean(1).argmin()]
    n = excess.shape[1]
    errors = excess.std(1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(excess))
    return excess.mean(1), errors


def one_standard_error(losses: NDArray[np.float64]) -> int:
    """Return the index of the first of P fits within one standard error of the best.

    `losses` has shape `(P, N)`; the fits are sorted from the strongest penalty to the weakest. This
    is the rule of Breiman et al. 1984 (section 3.4.3) with the standard error of the paired
    difference.
    """
    means, errors = paired_differences(losses)
    return int(np.flatnonzero(means <= errors)[0])
