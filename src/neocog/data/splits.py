"""Split labelled images: stratified or by content, and reproducible."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neocog.errors import DataError
from neocog.wording import counted

SPLIT_SEED = 0  # independent of the run's seed, so that runs can be compared


def stratified(labels: NDArray[np.int64], sizes: list[int], seed: int) -> list[NDArray[np.int64]]:
    """Return the indices of disjoint parts of the given `sizes`, and the rest as the last part.

    Each class has the same fraction in every part, to within one image; indices are ascending. The
    result depends only on labels, sizes and seed, on every machine. Raises NeocogError if nothing
    is left for the last part.
    """
    if sum(sizes) >= len(labels):
        raise DataError(
            f"Holding out {counted(sum(sizes), 'image')} of {len(labels):,} leaves none for "
            "training.",
            "Hold out fewer: {settings}",
            [("validation_size", ...)],
        )
    # NumPy guarantees the streams of RandomState for ever, but not those of Generator.
    shuffle = np.random.RandomState(seed).permutation(len(labels))
    # Sorting by the rank within the class, as a fraction, interleaves the classes evenly: every
    # prefix of this order is stratified.
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffle[labels[shuffle] == label]
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = shuffle[np.argsort(rank[shuffle], kind="stable")]
    bounds = np.cumsum(sizes)
    return [np.sort(part).astype(np.int64) for part in np.split(order, bounds)]


def by_content(
    digests: Sequence[str],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    shares: Sequence[float],
    seed: int,
) -> list[NDArray[np.int64]]:
    """Return the indices of disjoint parts with `shares` of each class, and the rest as the last.

    The digest of an image's content determines its part, so that adding images moves few others.
    The images of a group stay together, in the stratum of its most frequent class. If a class has
    few groups, each part gets one as far as they go, the rest first.
    """
    parts: list[list[int]] = [[] for _ in range(len(shares) + 1)]
    for stratum in _strata(digests, labels, groups, seed):
        total = sum(map(len, stratum))
        targets = [share * total for share in shares]
        filled = [0] * len(parts)
        part_of = []
        for members in stratum:
            # The first part that this group brings closer to its target size, else the rest.
            room = (k for k, share in enumerate(targets) if filled[k] + len(members) / 2 <= share)
            part_of.append(next(room, len(shares)))
            filled[part_of[-1]] += len(members)
        for k, share in enumerate(shares):
            largest = max(range(len(parts)), key=part_of.count)
            if share and k not in part_of and part_of.count(largest) > 1:
                part_of[part_of.index(largest)] = k
        for members, k in zip(stratum, part_of, strict=True):
            parts[k] += members
    return [np.sort(np.array(part, dtype=np.int64)) for part in parts]


def folds(
    digests: Sequence[str], labels: NDArray[np.int64], groups: NDArray[np.int64], count: int
) -> list[NDArray[np.int64]]:
    """Return the indices of `count` disjoint folds of about equal size, stratified by class.

    The digests determine the folds, and groups stay together, as in `by_content`. A fold is empty
    only if there are fewer groups than folds.
    """
    parts: list[list[int]] = [[] for _ in range(count)]
    for stratum in _strata(digests, labels, groups, seed=count):
        filled = [0] * count
        for members in sorted(stratum, key=len, reverse=True):
            smallest = min(range(count), key=lambda k: (filled[k], len(parts[k]), k))
            filled[smallest] += len(members)
            parts[smallest] += members
    return [np.sort(np.array(part, dtype=np.int64)) for part in parts]


def _strata(
    digests: Sequence[str], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> list[list[list[int]]]:
    """The groups of each class, in the order that their digests and the seed determine."""
    members: dict[int, list[int]] = {}
    for n, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(n)
    strata: dict[int, list[tuple[str, list[int]]]] = {}
    for rows in members.values():
        key = min(_key(digests[n], seed) for n in rows)
        label = int(np.bincount(labels[rows]).argmax())
        strata.setdefault(label, []).append((key, rows))
    return [[rows for _, rows in sorted(strata[label])] for label in sorted(strata)]


def _key(digest: str, seed: int) -> str:
    text = f"{seed} {digest}".encode(errors="surrogateescape")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
