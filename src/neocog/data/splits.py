"""Cut a set of labels into parts: stratified, seeded, no file copied."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neocog.errors import NeocogError
from neocog.wording import counted

SPLIT_SEED = 0  # the same images are kept back whatever the run's seed: runs can be compared


def stratified(labels: NDArray[np.int64], sizes: list[int], seed: int) -> list[NDArray[np.int64]]:
    """Indices of disjoint parts with `sizes` images each, plus the rest as the last part.

    Every class has the same share in every part, to within one image; each part is in ascending
    order. The same labels, sizes and seed give the same parts on every machine. Raises NeocogError
    where the sizes do not fit or leave nothing for the last part.
    """
    if sum(sizes) >= len(labels):
        raise NeocogError(
            f"{counted(sum(sizes), 'image')} cannot be set apart from {len(labels):,} and leave "
            "any to train on.",
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
    batch_bounds = np.cumsum(sizes)
    return [np.sort(part).astype(np.int64) for part in np.split(order, batch_bounds)]


def by_content(
    digests: Sequence[str],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    shares: Sequence[float],
    seed: int,
) -> list[NDArray[np.int64]]:
    """Indices of disjoint parts with these `shares` of every class, plus the rest as the last part.

    Which part an image goes to is decided by its content's digest, so that adding images moves
    almost no other. Images of one group stay together; a group counts for the class that most of
    it has. A class of few groups has one in each part, as far as they reach, the rest first.
    """
    parts: list[list[int]] = [[] for _ in range(len(shares) + 1)]
    for stratum in _strata(digests, labels, groups, seed):
        total = sum(map(len, stratum))
        wanted = [share * total for share in shares]
        filled = [0] * len(parts)
        places = []
        for inside in stratum:
            # The first part that this group brings nearer to its share, else the rest.
            room = (k for k, share in enumerate(wanted) if filled[k] + len(inside) / 2 <= share)
            places.append(next(room, len(shares)))
            filled[places[-1]] += len(inside)
        for k, share in enumerate(shares):
            largest = max(range(len(parts)), key=places.count)
            if share and k not in places and places.count(largest) > 1:
                places[places.index(largest)] = k
        for inside, place in zip(stratum, places, strict=True):
            parts[place] += inside
    return [np.sort(np.array(part, dtype=np.int64)) for part in parts]


def folds(
    digests: Sequence[str], labels: NDArray[np.int64], groups: NDArray[np.int64], count: int
) -> list[NDArray[np.int64]]:
    """Indices of `count` disjoint parts of about equal size, every class in proportion.

    Decided by the digests, groups kept together, as `by_content` does; a part is empty only where
    there are fewer groups than parts.
    """
    parts: list[list[int]] = [[] for _ in range(count)]
    for stratum in _strata(digests, labels, groups, seed=count):
        filled = [0] * count
        for inside in sorted(stratum, key=len, reverse=True):
            place = min(range(count), key=lambda k: (filled[k], len(parts[k]), k))
            filled[place] += len(inside)
            parts[place] += inside
    return [np.sort(np.array(part, dtype=np.int64)) for part in parts]


def _strata(
    digests: Sequence[str], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> list[list[list[int]]]:
    """The groups of each class, in the order that their digests and the seed decide."""
    members: dict[int, list[int]] = {}
    for n, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(n)
    strata: dict[int, list[tuple[str, list[int]]]] = {}
    for inside in members.values():
        key = min(_key(digests[n], seed) for n in inside)
        label = int(np.bincount(labels[inside]).argmax())
        strata.setdefault(label, []).append((key, inside))
    return [[inside for _, inside in sorted(strata[label])] for label in sorted(strata)]


def _key(digest: str, seed: int) -> str:
    text = f"{seed} {digest}".encode(errors="surrogateescape")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
