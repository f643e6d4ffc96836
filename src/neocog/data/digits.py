"""Find the digit in an image and set it as MNIST set its digits.

MNIST's digits were "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio" and "centered in a 28x28 image by computing the center of mass of the pixels" (LeCun, Cortes,
Burges, The MNIST database). Here the same is done to any image of one digit: dark ink on paper or
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
OUT = 4  # pixels from the edge: what comes as near runs out of the image
SOFTEN = 0.35  # of its own pixel: how much an enlarged image is blurred against steps in lines
TONES = 0.1  # of the variance of grey levels: less beside two levels is an even image
BROADEST = 0.3  # of the longest side: what is broader is a shadow, not a stroke
STEP = 6  # the paper, which has no detail, is measured at every STEP-th pixel
LEAST_INK = 0.004  # of the image: less beside a line is no digit
LEAST_CONTRAST = 14.0  # of 255: what differs less from its surroundings is paper
# A printed line: how near to the edge and how thick, as shares of the side, how much of the edge it
# runs along, and how far it rises on the way.
LINE_REACH, LINE_WIDTH, LINE_COVER, LINE_TILT = 0.15, 0.055, 0.85, 0.05
# Mean stroke width over the longer side of the digit: MNIST's middle 90% lies between these.
THINNEST, THICKEST = 0.095, 0.22


def find_digit(image: NDArray[np.uint8], size: int, box: int) -> NDArray[np.uint8]:
    """The digit in `image` (H x W x 3) as light ink on black, size x size, uint8.

    Its longer side measures `box` pixels and its centre of mass lies in the middle. Raises
    NeocogError where the image shows no ink.
    """
    return _set_in_box(_even_strokes(_strokes(image)[1]), size, box)


def find_ink(image: NDArray[np.uint8]) -> tuple[tuple[float, float, float, float], bool]:
    """Where the digit is - left, top, right, bottom as shares of the image - and if it is dark.

    Raises as `find_digit` does.
    """
    work, mask = _strokes(image)
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    box = (
        float(columns.min() / width),
        float(rows.min() / height),
        float((columns.max() + 1) / width),
        float((rows.max() + 1) / height),
    )
    return box, bool(work[mask].mean() < work[~mask].mean())


def _strokes(image: NDArray[np.uint8]) -> tuple[Floats, Mask]:
    """The image at the size it is worked at, and which of its pixels are the digit's."""
    height, width = image.shape[:2]
    scale = WORK_SIZE / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC
    work = np.asarray(Image.fromarray(image).resize(target, resample), dtype=np.float32)
    contrast = _ink_contrast(work, max(1.0, SOFTEN * scale))
    thickest = round(max(LINE_WIDTH * WORK_SIZE, 2.5 * scale))
    without = contrast * ~_printed_lines(contrast > _threshold(contrast), thickest)
    if (without > max(6 * _noise(contrast), LEAST_CONTRAST)).mean() < LEAST_INK:
        without = contrast  # what looked like a line was the digit
    # Lines darker than the ink must not say how dark ink is.
    return work, _choose_strokes(without, _threshold(without))


def _ink_contrast(work: Floats, blur: float) -> Floats:
    """How far each pixel departs from the paper around it, 0..255, either way.

    `blur`, in pixels, takes the grain out, and the steps of an image that was enlarged.
    """
    smooth = ndimage.gaussian_filter(work, (blur, blur, 0.0))
    two_tone = _two_tone(smooth)
    if two_tone is not None:
        return two_tone
    small = smooth[::STEP, ::STEP]
    # The paper's colour: a median over half the image, which keeps the edges of shadows.
    window = max(small.shape[:2]) // 2 | 1
    median = ndimage.median_filter(small, size=(window, window, 1), mode="reflect")
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
    # crosses the image, the mean of both sides stands out from each; the median does not.
    second = np.clip(sign * (smooth - paper), 0, 255).max(axis=2)
    return np.minimum(first, second)


def _two_tone(smooth: Floats) -> Floats | None:
    """The contrast to the one colour of all paper; None where paper or light is not even.

    In an image that is cut out tightly there is more ink than paper in places, so that what lies
    around a pixel cannot say what paper is there. Even is where two levels (Otsu, "A threshold
    selection method from gray-level histograms", 1979) leave less than TONES of the variance, and
    the rarer one is strokes, not a shadow.
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
    if between[split] < (1 - TONES) * grey.var() or np.ptp(grey) < 4 * LEAST_CONTRAST:
        return None
    dark = grey <= edges[split + 1]
    ink, sign = (dark, -1.0) if dark.mean() < 0.5 else (~dark, 1.0)
    if ndimage.distance_transform_edt(np.pad(ink, 1)).max() > BROADEST / 2 * WORK_SIZE:
        return None
    difference: Floats = smooth - np.median(smooth[~ink], axis=0)
    return np.clip(sign * difference, 0, 255).max(axis=2)


def _enlarged(small: Floats, like: Floats) -> Floats:
    """`small`, every STEP-th pixel of an image, stretched to the size of `like`."""
    size = (like.shape[1], like.shape[0])
    planes = (Image.fromarray(plane).resize(size, _BILINEAR) for plane in np.moveaxis(small, 2, 0))
    return np.stack([np.asarray(plane) for plane in planes], axis=2)


def _peak(contrast: Floats) -> float:
    """The contrast of plain ink: high, but not its highest pixel."""
    inked = contrast[contrast > LEAST_CONTRAST]
    return float(np.percentile(inked, 90)) if inked.size else 0.0


def _threshold(contrast: Floats) -> float:
    """The contrast from which on a pixel is ink."""
    return max(0.4 * _peak(contrast), 4 * _noise(contrast), LEAST_CONTRAST)


def _noise(contrast: Floats) -> float:
    """The standard deviation of what is paper."""
    return 1.4826 * float(np.median(np.abs(contrast - np.median(contrast))))


def _printed_lines(ink: Mask, thickest: int) -> Mask:
    """The straight lines along the edges, which the cut out of a printed square left, and beyond.

    A line runs along nearly a whole edge and is thin: at most `thickest` pixels. A digit cut out
    so tightly that its own bar or foot lies along the edge reaches the opposite edge as well.
    """
    lines = [_line_at_the_top(np.rot90(ink, turn), thickest) for turn in range(4)]
    found = np.zeros(ink.shape, dtype=bool)
    for turn, line in enumerate(lines):
        if line is not None:
            found |= np.rot90(line, -turn)
    rest = ink & ~found
    if sum(line is not None for line in lines) == 1:
        turn = next(k for k, line in enumerate(lines) if line is not None)
        if np.rot90(rest, turn)[-2:].any() and _touch(found & ink, rest):
            return np.zeros(ink.shape, dtype=bool)
    return found


def _line_at_the_top(ink: Mask, thickest: int) -> Mask | None:
    """A straight line near the upper edge and what lies above it; None where there is none."""
    high, wide = ink.shape
    depth = min(high, round(LINE_REACH * WORK_SIZE))
    if ink[:depth].any(axis=0).mean() < 0.8 * LINE_COVER:
        return None
    away = np.arange(wide) - wide // 2
    best, best_cover, best_shift = None, LINE_COVER, None
    for tilt in np.linspace(-LINE_TILT, LINE_TILT, 21):
        shift = np.rint(tilt * away).astype(int)
        rows = np.arange(depth)[:, None] + shift[None, :]
        inside = (rows >= 0) & (rows < high)
        levelled = ink[rows.clip(0, high - 1), np.arange(wide)] & inside
        # Where a tilted line has left the image there is nothing to cover.
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
    # A digit's own bar or foot ends within the image.
    runs_out = level[:, :OUT].any() and level[:, -OUT:].any()
    if end - begin > thickest or end == depth or not runs_out:
        return None
    limit: NDArray[np.int64] = end + 1 + best_shift
    return np.arange(high)[:, None] < limit[None, :]


def _touch(a: Mask, b: Mask) -> bool:
    return bool((ndimage.binary_dilation(a, np.ones((3, 3)), iterations=2) & b).any())


def _choose_strokes(contrast: Floats, low: float) -> Mask:
    """Which pixels are the digit's: its main stroke and the strokes that belong to it."""
    peak = _peak(contrast)
    labels, count = ndimage.label(contrast > low, structure=np.ones((3, 3)))
    if count == 0:
        raise NeocogError("no digit was found: the image shows no ink that stands out")
    parts = range(1, count + 1)
    area = ndimage.sum_labels(np.ones_like(contrast), labels, parts)
    depth = ndimage.maximum(contrast, labels, parts)
    rim = np.zeros(contrast.shape, dtype=bool)
    rim[:2], rim[-2:], rim[:, :2], rim[:, -2:] = True, True, True, True
    at_rim = ndimage.sum_labels(rim, labels, parts) / rim.sum()
    # What runs out of the image is more likely a table's edge or a shadow than the digit.
    likely = np.where(at_rim > 0, 0.25, 1) * np.where(at_rim < 0.1, 1, 0.02)
    boxes = ndimage.find_objects(labels)
    likely *= [0.02 if _is_line(box, contrast.shape) else 1.0 for box in boxes]
    weight = area * depth * (depth > 0.6 * peak) * likely
    if not weight.max() > 0:
        weight = area * depth
    main = int(np.argmax(weight))
    size = max(s.stop - s.start for s in boxes[main])
    keep = [
        part
        for part in parts
        if part - 1 == main
        or (
            weight[part - 1] > 0
            and likely[part - 1] > 0.1
            and area[part - 1] > 0.04 * area[main]
            and (at_rim[part - 1] == 0 or at_rim[main] > 0)
            and _gap(boxes[main], boxes[part - 1]) < 0.25 * size
        )
    ]
    return np.isin(labels, keep)


def _is_line(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether a stroke is a piece of a printed line: thin, long, and near an edge all along."""
    for axis in (0, 1):
        thick = box[axis].stop - box[axis].start
        long = box[1 - axis].stop - box[1 - axis].start
        inmost = min(box[axis].stop, shape[axis] - box[axis].start)
        if (
            thick < 1.5 * LINE_WIDTH * WORK_SIZE
            and long > max(4 * thick, 0.4 * shape[1 - axis])
            and inmost < LINE_REACH * WORK_SIZE
        ):
            return True
    return False


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
