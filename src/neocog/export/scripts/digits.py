"""Find a digit as `neocog.data.digits` does, in short: without the case of printed lines."""

from typing import Any

import numpy as np
from PIL import Image, ImageFilter


def fit(image: Image.Image, rule: Any) -> Any:
    """Convert an RGB image to the network's input, uint8 `(H, W, 1)`: a digit on black."""
    box, (high, wide), grey = rule["box"], rule["image_size"], np.asarray(image.convert("L"))
    side = round(box * 28 / 20)
    border, fitted = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]), False
    if grey.shape in ((high, wide), (side, side)) and np.median(border) <= 8 and grey.max() > 96:
        length = max(map(np.ptp, np.nonzero(grey > 32))) + 1
        middle = [
            np.average(np.arange(n), weights=grey.sum(1 - a)) for a, n in enumerate(grey.shape)
        ]
        off = max(abs(m - n // 2) for m, n in zip(middle, grey.shape, strict=True))
        fitted = min(grey.shape) <= box or (0.9 * box <= length <= box and off <= 1)
    if not fitted:
        return find_digit(image, high, box)[:, :, None]
    room = [
        ((max(0, n - m)) // 2, max(0, n - m) - max(0, n - m) // 2)
        for n, m in zip((high, wide), grey.shape, strict=True)
    ]
    return np.pad(grey, room)[:high, :wide, None]


def largest(x: Any, side: int = 3) -> Any:
    """The maximum of the `side` x `side` neighbours of each pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, side // 2), (side, side))
    return windows.max((2, 3))


def distance(inside: Any) -> Any:
    """The distance of each pixel of a mask to the nearest pixel outside."""
    for _ in range(2):
        rows = np.arange(len(inside))
        inside = np.array([(inside + (rows[:, None] - k) ** 2).min(0) for k in rows]).T
    return np.sqrt(inside)


def find_digit(image: Image.Image, box: int, side: int) -> Any:
    """Find the digit and place it as MNIST does: `box` pixels long, centred by mass."""
    scale = 256 / max(image.size)
    size = [max(1, round(length * scale)) for length in image.size]
    work = image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC)
    work = work.filter(ImageFilter.GaussianBlur(max(1.0, 0.35 * scale)))
    paper = work.resize([-(-length // 6) for length in size], Image.Resampling.NEAREST)
    paper = paper.filter(ImageFilter.MedianFilter(max(paper.size) // 2 | 1)).resize(
        size, Image.Resampling.BILINEAR
    )
    ink = np.asarray(work, float) - np.asarray(paper)
    ink = np.clip(ink if (ink**3).sum() > 0 else -ink, 0, 255).max(2)
    peak = np.percentile(ink[ink > min(14, ink.max() - 1)], 90)
    strokes = ink > max(0.4 * peak, 6 * np.median(ink), 14)
    labels = np.arange(1, ink.size + 1).reshape(ink.shape) * strokes
    for _ in range(40):
        labels = largest(labels) * strokes
        labels = labels.flat[labels - 1] * strokes
    rim = np.pad(np.zeros(np.array(ink.shape) - 4, bool), 2, constant_values=True)
    parts = [labels == label for label in np.unique(labels[strokes])]
    weights = [ink[p].max() * p.sum() * (1 - 0.98 * (p & rim).any()) for p in parts]
    mask = parts[int(np.argmax(weights))]
    length = max(map(np.ptp, np.nonzero(mask))) + 1
    around = largest(mask, int(length / 4) * 2 + 1)
    parts = [
        p
        for p, w in zip(parts, weights, strict=True)
        if w > 0.02 * max(weights) and (p & around).any()
    ]
    mask = np.pad(np.any(parts, 0), 32)
    inside, outside = distance(mask * 1e6), distance(~mask * 1e6)
    width = 2 * np.median(inside[mask & (inside >= largest(inside))]) - 1
    length = max(map(np.ptp, np.nonzero(mask))) + 1
    grow = (np.clip(width, 0.095 * length, 0.22 * length) - width) / 2
    soft = np.clip(np.where(mask, inside - 0.5, 0.5 - outside) + grow + 0.5, 0, 1)
    span = (max(map(np.ptp, np.nonzero(soft > 0.5))) + 1) * side / box
    y, x = (
        np.average(np.arange(n) + 0.5, weights=soft.sum(1 - a)) for a, n in enumerate(soft.shape)
    )
    edges = (x + 256 - span / 2, y + 256 - span / 2, x + 256 + span / 2, y + 256 + span / 2)
    placed = Image.fromarray(np.pad(soft, 256).astype(np.float32)).resize(
        (side, side), Image.Resampling.BOX, edges
    )
    return np.rint(np.clip(np.asarray(placed), 0, 1) * 255).astype(np.uint8)
