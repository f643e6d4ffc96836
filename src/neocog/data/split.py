"""Cut a set of labels into parts: stratified, seeded, no file copied."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neocog.errors import NeocogError

SPLIT_SEED = 0  # the same pictures are kept back whatever the run's seed: runs can be compared


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


def by_content(
    digests: Sequence[str],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    shares: Sequence[float],
    seed: int,
) -> list[NDArray[np.int64]]:
    """Indices of disjoint parts with these `shares` of every class, plus the rest as the last part.

    Which part a picture goes to is decided by its content's digest, so that adding pictures moves
    almost no other. Pictures of one group stay together; a group counts for the class that most of
    it has. A class of few groups has one in each part, as far as they reach, the rest first.
    """
    members: dict[int, list[int]] = {}
    for n, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(n)
    strata: dict[int, list[tuple[str, list[int]]]] = {}
    for inside in members.values():
        key = min(_key(digests[n], seed) for n in inside)
        label = int(np.bincount(labels[inside]).argmax())
        strata.setdefault(label, []).append((key, inside))
    parts: list[list[int]] = [[] for _ in range(len(shares) + 1)]
    for stratum in strata.values():
        stratum.sort()
        total = sum(len(inside) for _, inside in stratum)
        wanted = [share * total for share in shares]
        filled = [0] * len(shares)
        for _, inside in stratum:
            # The first part that this group brings nearer to its share, else the rest.
            room = (k for k, n in enumerate(filled) if n + len(inside) / 2 <= wanted[k])
            place = next(room, len(shares))
            if place < len(shares):
                filled[place] += len(inside)
            parts[place] += inside
        _spread(stratum, parts)
    return [np.sort(np.array(part, dtype=np.int64)) for part in parts]


def _spread(stratum: list[tuple[str, list[int]]], parts: list[list[int]]) -> None:
    """Give a class with two groups or more one in each part, the last first, where it has none."""
    where = (
        [next(k for k, part in enumerate(parts) if inside[0] in set(part)) for _, inside in stratum]
        if len(stratum) < 20
        else []
    )
    for wanted in range(len(parts) - 1) if where else ():
        most = max(range(len(parts)), key=where.count)
        if wanted in where or where.count(most) < 2:
            continue
        n = where.index(most)
        where[n] = wanted
        inside = stratum[n][1]
        parts[most][:] = [i for i in parts[most] if i not in inside]
        parts[wanted] += inside


def _key(digest: str, seed: int) -> str:
    return hashlib.blake2b(f"{seed} {digest}".encode(), digest_size=8).hexdigest()
