"""Near-duplicates: images saved again, resized, relit, mirrored or cropped.

The grey levels of two thumbnails are correlated directly. A perceptual hash with a Hamming distance
either misses such copies or joins everything that is mostly white. Crops are matched with windows
of the other image by their low frequencies first; `benchmarks/duplicates.py` plants them and counts
the matches. All pairs are compared by matrix products, so the time grows with the square of the
number of images.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_CORRELATION = 0.985  # of the grey levels of two thumbnails
MIN_STD = 4.0  # of grey levels; the correlation of flatter thumbnails is noise
TILE_ROWS = 2048  # of a matrix product, which bounds its memory
# A crop is compared with windows of the other image: (side as a fraction, number of positions per
# axis).
WINDOWS = ((1.0, 1), (0.9, 2), (0.8, 3))
LOW_FREQUENCIES = 8  # per axis, by which candidate windows are selected
MIN_LOW_CORRELATION = 0.75  # of the weighted low frequencies of a candidate window
MIN_CROP_CORRELATION = 0.92  # of a crop with the best window
MIN_DETAIL_CORRELATION = 0.95  # of their weighted low frequencies
# Steps by which a window is moved, as fractions of the side, and the correlation required after it.
FIT_STEPS = ((0, 0.5), (0.05, 0.65), (0.025, 0.8), (0.025, 0.85), (0.0125, 0.9), (0.00625, 0))
CROP_GRID = 24  # points per side at which a crop is compared
FIT_BATCH = 2048
MAX_CROP_IMAGES = 20_000  # above it, crops are not searched for
# Images that are mostly plain, such as digits on paper, are not searched for crops: digits of one
# class resemble each other as much as crops do. A thumbnail is plain where neighbouring pixels
# differ by less than PLAIN_STEP grey levels.
MAX_PLAIN_FRACTION, PLAIN_STEP = 0.5, 4
MAX_CANDIDATES_PER_IMAGE = 5  # per window; above it, a match means nothing
# Moves of (left, top, side): horizontally, vertically, and scaling about the middle.
_BOX_MOVES = np.array(
    [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [-0.5, -0.5, 1], [0.5, 0.5, -1]],
    dtype=np.float32,
)


def near_duplicates(thumbnails: NDArray[np.uint8], ids: NDArray[np.int64]) -> list[list[int]]:
    """Return groups of near-duplicates: saved again, resized, relit, mirrored or cropped.

    `thumbnails` are uint8 of shape `(N, 32, 32)`; `ids`, `(N,)`, name the images in the result. Two
    images match if their grey levels correlate at both 16 x 16 and 32 x 32, directly or mirrored,
    or if one correlates with a window of the other. Crops are searched for only among thumbnails
    with enough detail, and only if there are at most MAX_CROP_IMAGES of them.
    """
    if len(thumbnails) < 2:
        return []
    usable = np.nonzero(_flatten(thumbnails).std(1) >= MIN_STD)[0]
    candidates = thumbnails[usable]
    pairs = [
        *_similar_pairs(candidates, candidates),
        *_similar_pairs(candidates, candidates[:, :, ::-1]),
    ]
    detailed = np.nonzero(_plain_fraction(candidates) <= MAX_PLAIN_FRACTION)[0]
    if 1 < len(detailed) <= MAX_CROP_IMAGES:
        place = {int(n): k for k, n in enumerate(detailed)}
        known_pairs = [(place[a], place[b]) for a, b in pairs if a in place and b in place]
        pairs += [
            (int(detailed[a]), int(detailed[b]))
            for a, b in _crop_pairs(candidates[detailed], known_pairs)
        ]
    return components(ids[usable[list(pair)]].tolist() for pair in pairs)


def _plain_fraction(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The fraction of each thumbnail, `(N, S, S)`, where neighbours hardly differ."""
    grey = thumbnails.astype(np.int16)
    across = np.abs(np.diff(grey, axis=2))[:, :-1]
    down = np.abs(np.diff(grey, axis=1))[:, :, :-1]
    return np.asarray(((across < PLAIN_STEP) & (down < PLAIN_STEP)).mean((1, 2)))


def _similar_pairs(ones: NDArray[np.uint8], others: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Yield index pairs (a, b), a < b, of thumbnails whose grey levels correlate."""
    coarse, fine = (
        [_standardised(shrink(thumbnails)) for thumbnails in (ones, others)]
        for shrink in (_halved, _flatten)
    )
    for a, b in _pairs_above(coarse[0], coarse[1], MIN_CORRELATION, symmetric=True):
        confirmed = np.einsum("ij,ij->i", fine[0][a], fine[1][b]) >= MIN_CORRELATION
        yield from zip(a[confirmed].tolist(), b[confirmed].tolist(), strict=True)


def _pairs_above(
    ones: NDArray[np.float32], others: NDArray[np.float32], least: float, symmetric: bool = False
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield index pairs of rows whose product is at least `least`; symmetric pairs once."""
    for top in range(0, len(ones), TILE_ROWS):
        for left in range(top if symmetric else 0, len(others), TILE_ROWS):
            close = ones[top : top + TILE_ROWS] @ others[left : left + TILE_ROWS].T >= least
            a, b = np.nonzero(close)
            a, b = a + top, b + left
            keep = a < b if symmetric else a != b
            a, b = a[keep], b[keep]
            for begin in range(0, len(a), 65536):
                yield a[begin : begin + 65536], b[begin : begin + 65536]


def _crop_pairs(
    thumbnails: NDArray[np.uint8], known_pairs: Sequence[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Return new index pairs in which one image is a crop of the other or of its mirror image.

    Returns none if there are too many candidates for a match to mean anything, as with digits.
    """
    whole, full_box = thumbnails.astype(np.float32), np.array([[0, 0, 1]], dtype=np.float32)
    count = len(thumbnails)
    joined = np.array(
        [(a * count + b, b * count + a) for a, b in known_pairs], dtype=np.int64
    ).ravel()
    sides = [
        (crops, _low_frequencies(_sample_windows(crops, full_box)))
        for crops in (whole, whole[:, :, ::-1])
    ]
    pairs = []
    for box in _window_boxes():
        windows = _low_frequencies(_sample_windows(whole, box))
        for crops, crop_frequencies in sides:
            new, places = 0, []
            for a, b in _pairs_above(windows, crop_frequencies, MIN_LOW_CORRELATION):
                unknown = ~np.isin(a * count + b, joined)
                places.append((a[unknown], b[unknown]))
                new += len(places[-1][0])
                if new > MAX_CANDIDATES_PER_IMAGE * count:
                    return []
            for a, b in places:
                starts = range(0, len(a), FIT_BATCH)
                batches = [slice(begin, begin + FIT_BATCH) for begin in starts]
                confirmed = [
                    _crop_matches(whole[a[batch]], crops[b[batch]], box) for batch in batches
                ]
                fits = np.concatenate([*confirmed, np.zeros(0, dtype=bool)])
                a, b = a[fits], b[fits]
                joined = np.concatenate([joined, a * count + b, b * count + a])
                pairs += list(zip(a.tolist(), b.tolist(), strict=True))
    return pairs


def _window_boxes() -> Iterator[NDArray[np.float32]]:
    """Yield left, top and side of every window as fractions of the side, shape `(1, 3)`."""
    for share, count in WINDOWS:
        places = (np.arange(count) + 0.5) / count * (1 - share)
        for y, x in product(places, places):
            yield np.array([[x, y, share]], dtype=np.float32)


def _crop_matches(
    images: NDArray[np.float32], crops: NDArray[np.float32], box: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Whether each crop correlates with the best window of its image near `box`: bool `(N,)`."""
    crop_rows = _standardised(
        _flatten(_sample_windows(crops, np.array([[0, 0, 1]], dtype=np.float32)))
    )
    boxes = np.repeat(box, len(images), axis=0)
    best = np.full(len(images), -1.0, dtype=np.float32)
    alive = np.arange(len(images))
    for step, least in FIT_STEPS:
        if not len(alive):
            return np.zeros(len(images), dtype=bool)
        for move in step * _BOX_MOVES:
            moved = boxes[alive] + move
            moved[:, 2] = np.clip(moved[:, 2], 0.6, 1)
            moved[:, :2] = np.clip(moved[:, :2], 0, 1 - moved[:, 2:])
            rows = _standardised(_flatten(_sample_windows(images[alive], moved)))
            value = np.einsum("ij,ij->i", rows, crop_rows[alive])
            better = value > best[alive]
            best[alive[better]], boxes[alive[better]] = value[better], moved[better]
        alive = alive[best[alive] >= least]
    fitted = best >= MIN_CROP_CORRELATION
    candidates = np.nonzero(fitted)[0]
    full_box = np.array([[0, 0, 1]], dtype=np.float32)
    detail = _low_frequencies(
        _sample_windows(images[candidates], boxes[candidates])
    ) * _low_frequencies(_sample_windows(crops[candidates], full_box))
    fitted[candidates] = detail.sum(1) >= MIN_DETAIL_CORRELATION
    return fitted


def _sample_windows(images: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sample a window of each image, shape `(N, CROP_GRID, CROP_GRID)`.

    `boxes` has left, top and side as fractions, shape `(N, 3)`, or `(1, 3)` for all.
    """
    side = images.shape[1]
    pixels = np.arange(side, dtype=np.float32)
    steps = (np.arange(CROP_GRID, dtype=np.float32) + 0.5) / CROP_GRID
    x = ((boxes[:, :1] + steps * boxes[:, 2:]) * side - 0.5).clip(0, side - 1)
    y = ((boxes[:, 1:2] + steps * boxes[:, 2:]) * side - 0.5).clip(0, side - 1)
    weights = [np.maximum(0, 1 - np.abs(at[:, :, None] - pixels)) for at in (y, x)]
    return np.asarray(weights[0] @ images @ weights[1].transpose(0, 2, 1), dtype=np.float32)


@cache
def _cosines() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines `(LOW_FREQUENCIES, CROP_GRID)`, and the weights of their products.

    Photos have less energy at high frequencies. Without weights every sky resembles every other.
    """
    n, k = np.arange(CROP_GRID), np.arange(LOW_FREQUENCIES)
    cosines = np.cos(np.pi * k[:, None] * (n + 0.5) / CROP_GRID)
    return cosines.astype(np.float32), np.hypot(k[:, None], k).astype(np.float32)


def _low_frequencies(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors of weighted low frequencies, which are similar if windows are."""
    cosines, weights = _cosines()
    rows = _flatten((cosines @ windows @ cosines.T) * weights)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _flatten(thumbnails: NDArray[Any]) -> NDArray[Any]:
    # Not -1, which is ambiguous for an empty array.
    return thumbnails.reshape(len(thumbnails), thumbnails.shape[1] * thumbnails.shape[2])


def _halved(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    n, side = len(thumbnails), thumbnails.shape[1]
    blocks = thumbnails.reshape(n, side // 2, 2, side // 2, 2)
    return _flatten(blocks.mean((2, 4), dtype=np.float32))


def _standardised(rows: NDArray[Any]) -> NDArray[np.float32]:
    centred = rows.astype(np.float32)
    centred -= centred.mean(1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(norms, 1e-6)


def components(links: Iterable[Sequence[int]]) -> list[list[int]]:
    """Return the connected components of overlapping links, each sorted, by their first member."""
    pairs = [(first, other) for first, *rest in links for other in rest]
    if not pairs:
        return []
    from scipy.sparse import coo_array  # slow to import, and needed here alone
    from scipy.sparse.csgraph import connected_components

    members, ends = np.unique(np.array(pairs), return_inverse=True)
    first, other = ends.reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, other)), (len(members),) * 2)
    count, component = connected_components(graph, directed=False)
    sets: list[list[int]] = [[] for _ in range(count)]
    for member, number in zip(members.tolist(), component.tolist(), strict=True):
        sets[number].append(member)
    return sorted(sets)
