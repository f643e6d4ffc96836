"""Cut a set of labels into parts: stratified, seeded, no file copied."""

import numpy as np
from numpy.typing import NDArray

from neocog.errors import NeocogError


def stratified(labels: NDArray[np.int64], sizes: list[int], seed: int) -> list[NDArray[np.int64]]:
    """Indices of disjoint parts with `sizes` pictures each, plus the rest as the last part.

    Every class has the same share in every part, to within one picture; each part is in ascending
    order. The same labels, sizes and seed give the same parts on every machine. Raises NeocogError
    where the sizes do not fit or leave nothing for the last part.
    """
    if sum(sizes) >= len(labels):
        raise NeocogError(
            f"{sum(sizes):,} pictures cannot be set apart from {len(labels):,} and leave any to "
            "train on.",
            "Say: --set validation_size=N with a smaller N.",
        )
    # RandomState's streams are frozen by NumPy's own promise; Generator's are not.
    shuffle = np.random.RandomState(seed).permutation(len(labels))
    # Rank within the class, as a fraction, interleaves the classes evenly: every prefix of this
    # order holds each class in proportion.
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffle[labels[shuffle] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = shuffle[np.argsort(place[shuffle], kind="stable")]
    cuts = np.cumsum(sizes)
    return [np.sort(part).astype(np.int64) for part in np.split(order, cuts)]
