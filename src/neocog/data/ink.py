"""Find the digit in a picture and set it as MNIST set its digits.

MNIST's digits were "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio" and "centered in a 28x28 image by computing the center of mass of the pixels" (LeCun, Cortes,
Burges, The MNIST database). Here the same is done to any picture of one digit: dark ink on paper or
light on dark, any colour, off-centre, unevenly lit, thin or thick.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from neocog.errors import NeocogError

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_BILINEAR = Image.Resampling.BILINEAR
WORK_SIZE = 256  # the longest side that strokes are looked for at, in pixels
STEP = 6  # the paper, which has no detail, is measured at every STEP-th pixel
LEAST_CONTRAST = 14.0  # of 255: what differs less from its surroundings is paper
# Mean stroke width over the longer side of the digit: MNIST's middle 90% lies between these.
THINNEST, THICKEST = 0.095, 0.22


def find_digit(picture: NDArray[np.uint8], size: int, box: int) -> NDArray[np.uint8]:
    """The digit in `picture` (H x W x 3) as light ink on black, size x size, uint8.

    Its longer side measures `box` pixels and its centre of mass lies in the middle. Raises
    NeocogError where the picture shows no ink.
    """
    work = _to_work_size(picture)
    contrast = _ink_contrast(work)
    mask = _choose_strokes(contrast)
    return _set_in_box(_even_strokes(mask), size, box)


def find_ink(picture: NDArray[np.uint8]) -> tuple[tuple[float, float, float, float], bool]:
    """Where the digit is - left, top, right, bottom as shares of the picture - and if it is dark.

    Raises as `find_digit` does.
    """
    work = _to_work_size(picture)
    mask = _choose_strokes(_ink_contrast(work))
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    box = (
        float(columns.min() / width),
        float(rows.min() / height),
        float((columns.max() + 1) / width),
        float((rows.max() + 1) / height),
    )
    return box, bool(work[mask].mean() < work[~mask].mean())


def _to_work_size(picture: NDArray[np.uint8]) -> Floats:
    height, width = picture.shape[:2]
    scale = WORK_SIZE / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize(target, resample), dtype=np.float32)


def _ink_contrast(work: Floats) -> Floats:
    """How far each pixel departs from the paper around it, 0..255, either way."""
    smooth = ndimage.gaussian_filter(work, (1.0, 1.0, 0.0))
    small = smooth[::STEP, ::STEP]
    # The paper's colour: a median over half the picture, which keeps the edges of shadows.
    window = max(small.shape[:2]) // 2 | 1
    median = ndimage.median_filter(small, size=(window, window, 1), mode="nearest")
    difference = smooth - _enlarged(median, smooth)
    # Ink is the minority that departs far, so the longer tail tells which side it is on.
    sign = -1.0 if float(np.sum(difference * difference * difference)) < 0 else 1.0
    first = np.clip(sign * difference, 0, 255).max(axis=2)
    # Once more, now that it is known where the ink is: the mean of what lies between the strokes.
    clear = (first < 0.25 * _peak(first)).astype(np.float32)[::STEP, ::STEP, None]
    reach = (WORK_SIZE / 16 / STEP, WORK_SIZE / 16 / STEP, 0)
    weight = ndimage.gaussian_filter(clear, reach)
    mean = ndimage.gaussian_filter(small * clear, reach) / (weight + 1e-3)
    paper = _enlarged(np.where(weight > 0.05, mean, median), smooth)
    # The channel that shows the ink best: red for blue ink, blue for red ink. Where a table's edge
    # crosses the picture, the mean of both sides stands out from each; the median does not.
    second = np.clip(sign * (smooth - paper), 0, 255).max(axis=2)
    return np.minimum(first, second)


def _enlarged(small: Floats, like: Floats) -> Floats:
    """`small`, every STEP-th pixel of a picture, stretched to the size of `like`."""
    size = (like.shape[1], like.shape[0])
    planes = (Image.fromarray(plane).resize(size, _BILINEAR) for plane in np.moveaxis(small, 2, 0))
    return np.stack([np.asarray(plane) for plane in planes], axis=2)


def _peak(contrast: Floats) -> float:
    """The contrast of plain ink: high, but not its highest pixel."""
    inked = contrast[contrast > LEAST_CONTRAST]
    return float(np.percentile(inked, 90)) if inked.size else 0.0


def _choose_strokes(contrast: Floats) -> Mask:
    """Which pixels are the digit's: its main stroke and the strokes that belong to it."""
    peak = _peak(contrast)
    noise = 1.4826 * float(np.median(np.abs(contrast - np.median(contrast))))
    low = max(0.4 * peak, 4 * noise, LEAST_CONTRAST)
    labels, count = ndimage.label(contrast > low, structure=np.ones((3, 3)))
    if count == 0:
        raise NeocogError("no digit was found: the picture shows no ink that stands out")
    parts = range(1, count + 1)
    area = ndimage.sum_labels(np.ones_like(contrast), labels, parts)
    depth = ndimage.maximum(contrast, labels, parts)
    rim = np.zeros(contrast.shape, dtype=bool)
    rim[:2], rim[-2:], rim[:, :2], rim[:, -2:] = True, True, True, True
    at_rim = ndimage.sum_labels(rim, labels, parts) / rim.sum()
    # What runs out of the picture is more likely a table's edge or a shadow than the digit.
    weight = area * depth * (depth > 0.6 * peak) * np.where(at_rim > 0, 0.25, 1) * (at_rim < 0.1)
    if not weight.max() > 0:
        weight = area * depth
    main = int(np.argmax(weight))
    boxes = ndimage.find_objects(labels)
    reach = 0.25 * max(s.stop - s.start for s in boxes[main])
    keep = [
        part
        for part in parts
        if part - 1 == main
        or (
            weight[part - 1] > 0
            and area[part - 1] > 0.04 * area[main]
            and (at_rim[part - 1] == 0 or at_rim[main] > 0)
            and _gap(boxes[main], boxes[part - 1]) < reach
        )
    ]
    return np.isin(labels, keep)


def _gap(a: tuple[slice, ...], b: tuple[slice, ...]) -> int:
    """Pixels between two boxes, along the axis where they are further apart."""
    return max(max(p.start - q.stop, q.start - p.stop) for p, q in zip(a, b, strict=True))


def _even_strokes(mask: Mask) -> Floats:
    """The strokes with soft edges, 0..1, thickened or thinned into the range that MNIST has."""
    pad = WORK_SIZE // 8
    rows, columns = np.nonzero(mask)
    crop = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    crop = np.pad(crop, pad)
    inside = ndimage.distance_transform_edt(crop)
    outside = ndimage.distance_transform_edt(~crop)
    signed = np.where(crop, inside - 0.5, 0.5 - outside)
    length = max(crop.shape) - 2 * pad
    width = _stroke_width(crop, inside)
    wanted = float(np.clip(width, THINNEST * length, THICKEST * length))
    grow = (wanted - width) / 2
    return np.clip(signed + grow + 0.5, 0, 1).astype(np.float32)


def _stroke_width(mask: Mask, inside: NDArray[np.float64]) -> float:
    """Mean stroke width in pixels: twice the depth along the strokes' ridges."""
    ridge = mask & (inside >= ndimage.maximum_filter(inside, 3))
    return 2 * float(np.median(inside[ridge])) - 1 if ridge.any() else 1.0


def _set_in_box(strokes: Floats, size: int, box: int) -> NDArray[np.uint8]:
    """Scale the strokes' longer side to `box` and put their centre of mass in the middle."""
    rows, columns = np.nonzero(strokes > 0.5)
    length = max(np.ptp(rows), np.ptp(columns)) + 1
    side = length * size / box
    total = strokes.sum()
    middle_y = float((strokes.sum(axis=1) * (np.arange(strokes.shape[0]) + 0.5)).sum() / total)
    middle_x = float((strokes.sum(axis=0) * (np.arange(strokes.shape[1]) + 0.5)).sum() / total)
    margin = int(np.ceil(side))
    canvas = Image.fromarray(np.pad(strokes, margin))
    left, top = middle_x + margin - side / 2, middle_y + margin - side / 2
    placed = canvas.resize(
        (size, size), Image.Resampling.BOX, box=(left, top, left + side, top + side)
    )
    return np.rint(np.clip(np.asarray(placed), 0, 1) * 255).astype(np.uint8)
