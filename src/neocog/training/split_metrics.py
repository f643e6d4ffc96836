"""The metrics of a split, from logits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neocog.metrics.selection import log_losses

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class SplitMetrics:
    """The metrics of a split.

    `loss` is the loss that training minimises, label smoothing included. If that is not the plain
    cross-entropy, `cross_entropy` is there, too, which is comparable across recipes.
    """

    loss: float
    accuracy: float
    cross_entropy: float | None = None


def plain_metrics(logits: Floats, labels: Labels) -> SplitMetrics:
    """Cross-entropy and accuracy of a split, from logits, `(N, K)`, and labels, `(N,)`."""
    correct = logits.argmax(1) == labels
    return SplitMetrics(float(log_losses(logits, labels).mean()), float(correct.mean()))
