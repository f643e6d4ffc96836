"""Find a digit as `neocog.data.digits` does, in short: without the case of printed lines."""

from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps


def fit(image: Image.Image, rule: Any) -> Any:
    """Convert an RGB image to the network's input, uint8 `(H, W, 1)`: a digit on black."""
    grey, (high, wide), box = np.asarray(image.convert("L")), rule["image_size"], rule["box"]
    border, side = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]), round(box * 1.4)
    fitted = grey.shape in ((high, wide), (side, side)) and np.median(border) <= 8 < 96 < grey.max()
    if fitted and min(grey.shape) > box:
        length, y, x = _measure(grey, 32)
        off = max(abs(y - 0.5 - len(grey) // 2), abs(x - 0.5 - len(grey[0]) // 2))
        fitted = 0.9 * box <= length <= box and off <= 1
    grey = grey if fitted else find_digit(image, high, box)
    top, left = int((len(grey) - high) / 2), int((len(grey[0]) - wide) / 2)
    return np.asarray(Image.fromarray(grey).crop((left, top, left + wide, top + high)))[:, :, None]


def _measure(ink: Any, least: float) -> Any:  # the length above `least`, centre of mass
    y, x = (np.average(np.arange(n) + 0.5, weights=ink.sum(1 - a)) for a, n in enumerate(ink.shape))
    return max(map(np.ptp, np.nonzero(ink > least))) + 1, y, x


def _grown(values: Any, radius: float) -> Any:  # the maximum around each pixel
    return np.asarray(Image.fromarray(values).filter(ImageFilter.MaxFilter(2 * round(radius) + 1)))


def find_digit(image: Image.Image, side: int, box: int) -> Any:
    """Find the digit and place it as MNIST does: `box` pixels long, centred by mass."""
    scale, filters = 256 / max(image.size), Image.Resampling
    work = ImageOps.contain(image, (256, 256), filters.BOX if scale < 0.5 else filters.BICUBIC)
    work = work.filter(ImageFilter.GaussianBlur(max(1.0, 0.35 * scale)))
    paper = work.reduce(6).filter(ImageFilter.MedianFilter(21)).resize(work.size, filters.BILINEAR)
    ink = np.asarray(work, float) - np.asarray(paper)
    ink = np.clip(ink if (ink**3).sum() > 0 else -ink, 0, 255).max(2)
    assert ink.max() > 14, "no digit was found: the image shows no ink that stands out"
    strokes = ink > max(0.4 * np.percentile(ink[ink > 14], 90), 6 * np.median(ink))
    labels = np.arange(1, ink.size + 1, dtype=np.int32).reshape(ink.shape) * strokes
    for _ in range(50):  # every pixel takes the largest number that its stroke has
        labels = labels.flat[_grown(labels, 1) * strokes - 1] * strokes
    parts = np.array([labels == label for label in np.unique(labels[strokes])])
    weights = np.array([ink[p].sum() * (p[2:-2, 2:-2].sum() == p.sum() or 0.02) for p in parts])
    main = parts[weights.argmax()].astype(np.uint8)
    near = _grown(main, _measure(main, 0)[0] / 8) > 0
    kept = parts[(weights > weights.max() / 50) & parts[:, near].any(axis=1)]
    mask = np.pad(kept.any(axis=0), 256).astype(np.uint8)
    length, outlines = _measure(mask, 0)[0], [np.diff(m) != 0 for m in (mask, mask.T)]
    width = 8 / np.pi * mask.sum() / sum(outline.sum() for outline in outlines)
    grow = (np.clip(width, 0.095 * length, 0.22 * length) - width) / 2
    mask = _grown(mask, grow) if grow > 0 else 1 - _grown(1 - mask, -grow)
    length, y, x = _measure(mask, 0)
    half, canvas = length * side / box / 2, Image.fromarray(mask * np.uint8(255))
    edges = x - half, y - half, x + half, y + half
    return np.asarray(canvas.resize((side, side), filters.BOX, edges))
