"""Find the digit in an image and place it as MNIST does.

MNIST's digits were "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio" and "centered in a 28x28 image by computing the center of mass of the pixels" (LeCun, Cortes,
Burges, The MNIST database). This module does the same to any image of one digit: dark ink on paper
or light on dark, in any colour, off-centre, unevenly lit, thin or thick.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from neocog.data.decode import ImageError, ImageErrorKind

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_BILINEAR = Image.Resampling.BILINEAR
WORK_SIZE = 256  # the longer side of the image in which strokes are detected, in pixels
EDGE_PIXELS = 4  # a stroke this near to the edge continues outside
BLUR_FRACTION = 0.35  # of an original pixel: the blur of an enlarged image
MAX_RESIDUAL_VARIANCE = 0.1  # of grey levels, for an image of two tones
MAX_STROKE_FRACTION = 0.3  # of the longer side: anything broader is a shadow
PAPER_STRIDE = 6  # pixels; the paper has no detail, so it is subsampled
MIN_INK_FRACTION = 0.004  # of the image, besides a line
MIN_CONTRAST = 14.0  # of 255; lower contrast is paper
# Of a printed line: distance from the edge and thickness as fractions of the side, the fraction of
# the edge that it covers, and its slope.
MAX_LINE_DISTANCE, MAX_LINE_WIDTH, MIN_LINE_COVER, MAX_LINE_TILT = 0.15, 0.055, 0.85, 0.05
# Mean stroke width over the longer side of the digit: the middle 90% of MNIST.
MIN_STROKE_WIDTH, MAX_STROKE_WIDTH = 0.095, 0.22


def find_digit(image: NDArray[np.uint8], size: int, box: int) -> NDArray[np.uint8]:
    """Return the digit in `image` `(H, W, 3)` as light ink on black, uint8 `(size, size)`.

    Its longer side is `box` pixels and its centre of mass is in the middle. Raises ImageError if
    the image has no ink.
    """
    return _set_in_box(_normalize_stroke_width(_find_strokes(image)[1]), size, box)


def find_ink(image: NDArray[np.uint8]) -> tuple[tuple[float, float, float, float], bool]:
    """Return the digit's bounding box and whether its ink is dark.

    The box is left, top, right and bottom as fractions of the image. Raises as `find_digit` does.
    """
    work, mask = _find_strokes(image)
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    box = (
        float(columns.min() / width),
        float(rows.min() / height),
        float((columns.max() + 1) / width),
        float((rows.max() + 1) / height),
    )
    return box, bool(work[mask].mean() < work[~mask].mean())


def _find_strokes(image: NDArray[np.uint8]) -> tuple[Floats, Mask]:
    """The image at working size, and the mask of the digit's pixels."""
    height, width = image.shape[:2]
    scale = WORK_SIZE / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC
    work = np.asarray(Image.fromarray(image).resize(target, resample), dtype=np.float32)
    contrast = _ink_contrast(work, max(1.0, BLUR_FRACTION * scale))
    thickest = round(max(MAX_LINE_WIDTH * WORK_SIZE, 2.5 * scale))
    without = contrast * ~_printed_lines(contrast > _threshold(contrast), thickest)
    if (without > max(6 * _noise(contrast), MIN_CONTRAST)).mean() < MIN_INK_FRACTION:
        without = contrast  # the line was the digit
    # The threshold is computed without lines, which may be darker than the ink.
    return work, _choose_strokes(without, _threshold(without))


def _ink_contrast(work: Floats, blur: float) -> Floats:
    """The absolute contrast of each pixel to the paper around it, 0..255.

    `blur`, in pixels, removes noise, and the staircase edges of an image that was enlarged.
    """
    smooth = ndimage.gaussian_filter(work, (blur, blur, 0.0))
    two_tone = _two_tone(smooth)
    if two_tone is not None:
        return two_tone
    small = smooth[::PAPER_STRIDE, ::PAPER_STRIDE]
    # The paper's colour: a median over half the image, which preserves the edges of shadows.
    window = max(small.shape[:2]) // 2 | 1
    median = ndimage.median_filter(small, size=(window, window, 1), mode="reflect")
    difference = smooth - _upsample(median, smooth)
    # Ink is a minority with high contrast, so the longer tail is its side.
    sign = -1.0 if float(np.sum(difference * difference * difference)) < 0 else 1.0
    first = np.clip(sign * difference, 0, 255).max(axis=2)
    # Again, now without the ink: the mean of the pixels between the strokes.
    clear = (first < 0.25 * _peak(first)).astype(np.float32)[::PAPER_STRIDE, ::PAPER_STRIDE, None]
    reach = (WORK_SIZE / 16 / PAPER_STRIDE, WORK_SIZE / 16 / PAPER_STRIDE, 0)
    weight = ndimage.gaussian_filter(clear, reach)
    mean = ndimage.gaussian_filter(small * clear, reach) / (weight + 1e-3)
    paper = _upsample(np.where(weight > 0.05, mean, median), smooth)
    # The maximum selects the channel with the best contrast: red for blue ink, blue for red ink. At
    # the edge of a table, the mean of both sides differs from each of them; the median does not.
    second = np.clip(sign * (smooth - paper), 0, 255).max(axis=2)
    return np.minimum(first, second)


def _two_tone(smooth: Floats) -> Floats | None:
    """The contrast to a uniform paper colour; None if paper or light is uneven.

    In a tightly cropped image there is locally more ink than paper, so that the neighbourhood of a
    pixel does not show the paper's colour. Paper is uniform if two levels (Otsu, "A threshold
    selection method from gray-level histograms", 1979) leave less than MAX_RESIDUAL_VARIANCE of the
    variance, and the rarer level consists of strokes, not of a shadow.
    """
    grey = smooth.mean(axis=2)
    counts, edges = np.histogram(grey, 128)
    levels = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts) / grey.size
    sums = np.cumsum(counts * levels) / grey.size
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below - sums) ** 2 / (below * (1 - below))
    between = np.nan_to_num(between, nan=0.0, posinf=0.0)
    split = int(between.argmax())
    if between[split] < (1 - MAX_RESIDUAL_VARIANCE) * grey.var() or np.ptp(grey) < 4 * MIN_CONTRAST:
        return None
    dark = grey <= edges[split + 1]
    ink, sign = (dark, -1.0) if dark.mean() < 0.5 else (~dark, 1.0)
    if ndimage.distance_transform_edt(np.pad(ink, 1)).max() > MAX_STROKE_FRACTION / 2 * WORK_SIZE:
        return None
    difference: Floats = smooth - np.median(smooth[~ink], axis=0)
    return np.clip(sign * difference, 0, 255).max(axis=2)


def _upsample(small: Floats, reference: Floats) -> Floats:
    """Resize `small`, a subsampled image, to the size of `reference`."""
    size = (reference.shape[1], reference.shape[0])
    planes = (Image.fromarray(plane).resize(size, _BILINEAR) for plane in np.moveaxis(small, 2, 0))
    return np.stack([np.asarray(plane) for plane in planes], axis=2)


def _peak(contrast: Floats) -> float:
    """The typical contrast of ink: a high percentile, not the maximum."""
    inked = contrast[contrast > MIN_CONTRAST]
    return float(np.percentile(inked, 90)) if inked.size else 0.0


def _threshold(contrast: Floats) -> float:
    """The contrast above which a pixel is ink."""
    return max(0.4 * _peak(contrast), 4 * _noise(contrast), MIN_CONTRAST)


def _noise(contrast: Floats) -> float:
    """The standard deviation of the paper's contrast."""
    return 1.4826 * float(np.median(np.abs(contrast - np.median(contrast))))


def _printed_lines(ink: Mask, thickest: int) -> Mask:
    """The mask of straight lines along the edges, left by a printed box, and all beyond them.

    A line covers nearly a whole edge and is at most `thickest` pixels thick. A digit cropped so
    tightly that its own bar or foot lies along the edge also reaches the opposite edge.
    """
    lines = [_line_at_the_top(np.rot90(ink, turn), thickest) for turn in range(4)]
    lines_mask = np.zeros(ink.shape, dtype=bool)
    for turn, line in enumerate(lines):
        if line is not None:
            lines_mask |= np.rot90(line, -turn)
    rest = ink & ~lines_mask
    if sum(line is not None for line in lines) == 1:
        turn = next(k for k, line in enumerate(lines) if line is not None)
        if np.rot90(rest, turn)[-2:].any() and _touch(lines_mask & ink, rest):
            return np.zeros(ink.shape, dtype=bool)
    return lines_mask


def _line_at_the_top(ink: Mask, thickest: int) -> Mask | None:
    """The mask of a straight line near the top edge and all above it; None without one."""
    high, wide = ink.shape
    depth = min(high, round(MAX_LINE_DISTANCE * WORK_SIZE))
    if ink[:depth].any(axis=0).mean() < 0.8 * MIN_LINE_COVER:
        return None
    away = np.arange(wide) - wide // 2
    best, best_cover, best_shift = None, MIN_LINE_COVER, None
    for tilt in np.linspace(-MAX_LINE_TILT, MAX_LINE_TILT, 21):
        shift = np.rint(tilt * away).astype(int)
        rows = np.arange(depth)[:, None] + shift[None, :]
        inside = (rows >= 0) & (rows < high)
        levelled = ink[rows.clip(0, high - 1), np.arange(wide)] & inside
        # A tilted line may leave the image, and is then shorter than the edge.
        cover = levelled.sum(axis=1) / np.maximum(inside.sum(axis=1), 0.8 * wide)
        if cover.max() > best_cover:
            best, best_cover, best_shift = cover, cover.max(), shift
    if best is None or best_shift is None:
        return None
    peak = int(best.argmax())
    thin = np.flatnonzero(best < 0.6)
    begin = int(thin[thin < peak].max(initial=-1)) + 1
    end = int(thin[thin > peak].min(initial=depth))
    rows = np.arange(begin, end)[:, None] + best_shift
    level = ink[rows.clip(0, high - 1), np.arange(wide)] | (rows <= 0)
    # The bar or foot of a digit ends inside the image.
    runs_out = level[:, :EDGE_PIXELS].any() and level[:, -EDGE_PIXELS:].any()
    if end - begin > thickest or end == depth or not runs_out:
        return None
    limit: NDArray[np.int64] = end + 1 + best_shift
    return np.arange(high)[:, None] < limit[None, :]


def _touch(a: Mask, b: Mask) -> bool:
    return bool((ndimage.binary_dilation(a, np.ones((3, 3)), iterations=2) & b).any())


def _choose_strokes(contrast: Floats, low: float) -> Mask:
    """The mask of the digit: its main stroke and the strokes that belong to it."""
    peak = _peak(contrast)
    labels, count = ndimage.label(contrast > low, structure=np.ones((3, 3)))
    if count == 0:
        reason = "no digit was found: the image shows no ink that stands out"
        raise ImageError(ImageErrorKind.NO_INK, reason)
    parts = range(1, count + 1)
    area = ndimage.sum_labels(np.ones_like(contrast), labels, parts)
    depth = ndimage.maximum(contrast, labels, parts)
    rim = np.zeros(contrast.shape, dtype=bool)
    rim[:2], rim[-2:], rim[:, :2], rim[:, -2:] = True, True, True, True
    at_rim = ndimage.sum_labels(rim, labels, parts) / rim.sum()
    # A component that leaves the image is more likely the edge of a table or a shadow.
    likely = np.where(at_rim > 0, 0.25, 1) * np.where(at_rim < 0.1, 1, 0.02)
    boxes = ndimage.find_objects(labels)
    likely *= [0.02 if _is_line(box, contrast.shape) else 1.0 for box in boxes]
    weight = area * depth * (depth > 0.6 * peak) * likely
    if not weight.max() > 0:
        weight = area * depth
    main = int(np.argmax(weight))
    size = max(s.stop - s.start for s in boxes[main])
    selected = [
        part
        for part in parts
        if part - 1 == main
        or (
            weight[part - 1] > 0
            and likely[part - 1] > 0.1
            and area[part - 1] > 0.04 * area[main]
            and (at_rim[part - 1] == 0 or at_rim[main] > 0)
            and _box_distance(boxes[main], boxes[part - 1]) < 0.25 * size
        )
    ]
    return np.isin(labels, selected)


def _is_line(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether a stroke is part of a printed line: thin, long, and near an edge throughout."""
    for axis in (0, 1):
        thick = box[axis].stop - box[axis].start
        long = box[1 - axis].stop - box[1 - axis].start
        inmost = min(box[axis].stop, shape[axis] - box[axis].start)
        if (
            thick < 1.5 * MAX_LINE_WIDTH * WORK_SIZE
            and long > max(4 * thick, 0.4 * shape[1 - axis])
            and inmost < MAX_LINE_DISTANCE * WORK_SIZE
        ):
            return True
    return False


def _box_distance(a: tuple[slice, ...], b: tuple[slice, ...]) -> int:
    """The distance between two boxes in pixels, on the axis on which it is larger."""
    return max(max(p.start - q.stop, q.start - p.stop) for p, q in zip(a, b, strict=True))


def _normalize_stroke_width(mask: Mask) -> Floats:
    """The strokes with soft edges, 0..1, at a stroke width within MNIST's range."""
    pad = WORK_SIZE // 8
    rows, columns = np.nonzero(mask)
    crop = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    crop = np.pad(crop, pad)
    inside = ndimage.distance_transform_edt(crop)
    outside = ndimage.distance_transform_edt(~crop)
    signed = np.where(crop, inside - 0.5, 0.5 - outside)
    length = max(crop.shape) - 2 * pad
    width = _stroke_width(crop, inside)
    target_width = float(np.clip(width, MIN_STROKE_WIDTH * length, MAX_STROKE_WIDTH * length))
    grow = (target_width - width) / 2
    return np.clip(signed + grow + 0.5, 0, 1).astype(np.float32)


def _stroke_width(mask: Mask, inside: NDArray[np.float64]) -> float:
    """The typical stroke width in pixels: twice the distance to the edge along the ridges."""
    ridge = mask & (inside >= ndimage.maximum_filter(inside, 3))
    return 2 * float(np.median(inside[ridge])) - 1 if ridge.any() else 1.0


def _set_in_box(strokes: Floats, size: int, box: int) -> NDArray[np.uint8]:
    """Scale the longer side of the strokes to `box` and centre them by mass."""
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
