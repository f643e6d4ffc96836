"""Near-duplicates: images that show the same, saved anew, resized, mirrored or cropped."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.985  # correlation of two images' small grey forms, from which they are near-duplicates
FLAT = 4.0  # standard deviation of grey levels, below which a small grey form says nothing
TILE = 2048
# A crop is compared with windows of the other image: the sides that windows have, as shares of
# the image's, and how many of them lie side by side.
WINDOWS = ((1.0, 1), (0.9, 2), (0.8, 3))
LOW = 8  # frequencies a side that a window is found by
FOUND = 0.75  # correlation of those, each weighted by its frequency, from which one is looked at
FITTED = 0.92  # correlation of a crop with the window that fits it best
DETAILED = 0.95  # the same of their low frequencies, weighted as above
# By how much a window is moved to fit, as shares of the side, and what it must have reached then.
FITTING = ((0, 0.5), (0.05, 0.65), (0.025, 0.8), (0.025, 0.85), (0.0125, 0.9), (0.00625, 0))
GRID = 24  # points a side that a crop is fitted at
FITTED_AT_ONCE = 2048
MOST = 20_000  # images that are searched for crops
# Images are not searched for crops where most of them is plain, as the paper around a digit is:
# digits of one class are as like each other as crops are. Plain is what changes by less than STEP
# grey levels from one place of the small grey form to the next.
PLAIN, STEP = 0.5, 4
PER_IMAGE = 5  # candidates in one window, above which a likeness says nothing
# Left, up and larger about the middle, and their opposites.
_MOVES = np.array(
    [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [-0.5, -0.5, 1], [0.5, 0.5, -1]],
    dtype=np.float32,
)


def near_duplicates(thumbnails: NDArray[np.uint8], names: NDArray[np.int64]) -> list[list[int]]:
    """Groups of images that look alike: saved anew, resized, made lighter, mirrored or cropped.

    `thumbnails`, N x 32 x 32, are their small grey forms; `names` are what they are called in the
    answer. Two are alike where the grey levels correlate at both 16 x 16 and 32 x 32, as they are
    or mirrored, or where one correlates with a window of the other. Crops are looked for among up
    to MOST images, and only among those with detail in at least half of them.
    """
    if len(thumbnails) < 2:
        return []
    usable = np.nonzero(_rows(thumbnails).std(1) >= FLAT)[0]
    some = thumbnails[usable]
    pairs = [*_alike(some, some), *_alike(some, some[:, :, ::-1])]
    detailed = np.nonzero(_plain_share(some) <= PLAIN)[0]
    if 1 < len(detailed) <= MOST:
        place = {int(n): k for k, n in enumerate(detailed)}
        known = [(place[a], place[b]) for a, b in pairs if a in place and b in place]
        pairs += [(int(detailed[a]), int(detailed[b])) for a, b in _crops(some[detailed], known)]
    return components(names[usable[list(pair)]].tolist() for pair in pairs)


def _plain_share(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The share of each small grey form, (N, S, S), where neighbours hardly differ."""
    grey = thumbnails.astype(np.int16)
    across = np.abs(np.diff(grey, axis=2))[:, :-1]
    down = np.abs(np.diff(grey, axis=1))[:, :, :-1]
    return np.asarray(((across < STEP) & (down < STEP)).mean((1, 2)))


def _alike(ones: NDArray[np.uint8], others: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Pairs of places whose grey levels correlate, the first below the second."""
    coarse, fine = (
        [_standardised(form(thumbnails)) for thumbnails in (ones, others)]
        for form in (_halved, _rows)
    )
    for a, b in _close(coarse[0], coarse[1], ALIKE, symmetric=True):
        sure = np.einsum("ij,ij->i", fine[0][a], fine[1][b]) >= ALIKE
        yield from zip(a[sure].tolist(), b[sure].tolist(), strict=True)


def _close(
    ones: NDArray[np.float32], others: NDArray[np.float32], least: float, symmetric: bool = False
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places of rows whose product is `least` or more; with `symmetric` each pair once."""
    for top in range(0, len(ones), TILE):
        for left in range(top if symmetric else 0, len(others), TILE):
            close = ones[top : top + TILE] @ others[left : left + TILE].T >= least
            a, b = np.nonzero(close)
            a, b = a + top, b + left
            keep = a < b if symmetric else a != b
            a, b = a[keep], b[keep]
            for begin in range(0, len(a), 65536):
                yield a[begin : begin + 65536], b[begin : begin + 65536]


def _crops(
    thumbnails: NDArray[np.uint8], known: Sequence[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Pairs of places, beside those known, of which one is a window of the other's mirror or image.

    None where so much looks like something else that a likeness says nothing: digits, say.
    """
    whole, everything = thumbnails.astype(np.float32), np.array([[0, 0, 1]], dtype=np.float32)
    count = len(thumbnails)
    joined = np.array([(a * count + b, b * count + a) for a, b in known], dtype=np.int64).ravel()
    sides = [(crops, _low(_sampled(crops, everything))) for crops in (whole, whole[:, :, ::-1])]
    pairs = []
    for box in _boxes():
        windows = _low(_sampled(whole, box))
        for crops, wanted in sides:
            new, places = 0, []
            for a, b in _close(windows, wanted, FOUND):
                unknown = ~np.isin(a * count + b, joined)
                places.append((a[unknown], b[unknown]))
                new += len(places[-1][0])
                if new > PER_IMAGE * count:
                    return []
            for a, b in places:
                few = range(0, len(a), FITTED_AT_ONCE)
                parts = [slice(begin, begin + FITTED_AT_ONCE) for begin in few]
                sure = [_fits(whole[a[part]], crops[b[part]], box) for part in parts]
                fits = np.concatenate([*sure, np.zeros(0, dtype=bool)])
                a, b = a[fits], b[fits]
                joined = np.concatenate([joined, a * count + b, b * count + a])
                pairs += list(zip(a.tolist(), b.tolist(), strict=True))
    return pairs


def _boxes() -> Iterator[NDArray[np.float32]]:
    """Left, top and side of every window, as shares of the image's side, 1 x 3."""
    for share, count in WINDOWS:
        places = (np.arange(count) + 0.5) / count * (1 - share)
        for y, x in product(places, places):
            yield np.array([[x, y, share]], dtype=np.float32)


def _fits(
    images: NDArray[np.float32], crops: NDArray[np.float32], box: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Whether each crop correlates with the window of its image, near `box`, that fits it best."""
    wanted = _standardised(_rows(_sampled(crops, np.array([[0, 0, 1]], dtype=np.float32))))
    boxes = np.repeat(box, len(images), axis=0)
    best = np.full(len(images), -1.0, dtype=np.float32)
    alive = np.arange(len(images))
    for step, least in FITTING:
        if not len(alive):
            return np.zeros(len(images), dtype=bool)
        for move in step * _MOVES:
            moved = boxes[alive] + move
            moved[:, 2] = np.clip(moved[:, 2], 0.6, 1)
            moved[:, :2] = np.clip(moved[:, :2], 0, 1 - moved[:, 2:])
            rows = _standardised(_rows(_sampled(images[alive], moved)))
            value = np.einsum("ij,ij->i", rows, wanted[alive])
            better = value > best[alive]
            best[alive[better]], boxes[alive[better]] = value[better], moved[better]
        alive = alive[best[alive] >= least]
    fitted = best >= FITTED
    found = np.nonzero(fitted)[0]
    everything = np.array([[0, 0, 1]], dtype=np.float32)
    detail = _low(_sampled(images[found], boxes[found])) * _low(_sampled(crops[found], everything))
    fitted[found] = detail.sum(1) >= DETAILED
    return fitted


def _sampled(images: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """A window of each image, N x GRID x GRID; boxes are left, top and side as shares.

    There are N of them, or one for all.
    """
    side = images.shape[1]
    pixels = np.arange(side, dtype=np.float32)
    steps = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
    x = ((boxes[:, :1] + steps * boxes[:, 2:]) * side - 0.5).clip(0, side - 1)
    y = ((boxes[:, 1:2] + steps * boxes[:, 2:]) * side - 0.5).clip(0, side - 1)
    weights = [np.maximum(0, 1 - np.abs(at[:, :, None] - pixels)) for at in (y, x)]
    return np.asarray(weights[0] @ images @ weights[1].transpose(0, 2, 1), dtype=np.float32)


@cache
def _waves() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines, LOW x GRID, and the weight of each pair of them: photos have less of the fine."""
    n, k = np.arange(GRID), np.arange(LOW)
    cosines = np.cos(np.pi * k[:, None] * (n + 0.5) / GRID)
    return cosines.astype(np.float32), np.hypot(k[:, None], k).astype(np.float32)


def _low(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """LazyImages of length 1 that are alike where windows are: their low frequencies, weighted."""
    cosines, weights = _waves()
    rows = _rows((cosines @ windows @ cosines.T) * weights)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _rows(thumbnails: NDArray[Any]) -> NDArray[Any]:
    return thumbnails.reshape(
        len(thumbnails), thumbnails.shape[1] * thumbnails.shape[2]
    )  # there may be none


def _halved(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    n, side = len(thumbnails), thumbnails.shape[1]
    blocks = thumbnails.reshape(n, side // 2, 2, side // 2, 2)
    return _rows(blocks.mean((2, 4), dtype=np.float32))


def _standardised(rows: NDArray[Any]) -> NDArray[np.float32]:
    centred = rows.astype(np.float32)
    centred -= centred.mean(1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(norms, 1e-6)


def components(links: Iterable[Sequence[int]]) -> list[list[int]]:
    """The sets that overlapping links join, each in ascending order."""
    parent: dict[int, int] = {}

    def root(n: int) -> int:
        parent.setdefault(n, n)
        while parent[n] != n:
            parent[n] = n = parent[parent[n]]
        return n

    for first, *rest in links:
        for other in rest:
            a, b = sorted((root(first), root(other)))
            parent[b] = a
    sets = defaultdict(list)
    for n in sorted(parent):
        sets[root(n)].append(n)
    return list(sets.values())
