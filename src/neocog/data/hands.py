"""Continental handwriting: strokes that MNIST's American writers left out, added to its digits.

MNIST's 1 is a plain stroke, its 9 ends in one, and few of its 7s are crossed. Elsewhere a 1 has a
long upstroke and perhaps a foot, a 9 has a curved or flat foot, and a 7 has a bar. Each is drawn
where the strokes of the digit place it, with a pen width of its own. Digits are light on black
(0..255), shape `(N, 1, H, W)`; lengths are fractions of H.
"""

import math

import torch
from torch import Tensor

INK = 100.0  # grey level above which a pixel belongs to a stroke


def add_continental_strokes(
    batch: Tensor, labels: Tensor, fraction: float, generator: torch.Generator
) -> Tensor:
    """Write a `fraction` of the ones, sevens and nines as continental writers do.

    Changed digits are centred by mass again; the others are returned unchanged.
    """
    u = torch.rand(len(batch), 8, generator=generator).to(batch.device)
    changed = batch.clone()
    for digit, strokes_of in ((1, _upstroke), (7, _bar), (9, _foot)):
        chosen = torch.nonzero((labels == digit) & (u[:, 0] < fraction))[:, 0]
        if len(chosen):
            digits, random = batch[chosen, 0], u[chosen]
            points = strokes_of(digits, random)
            pen = (0.05 + 0.07 * random[:, 7]) * digits.shape[1]
            drawn = 255 * torch.stack([stroke_coverage(digits, *p, pen) for p in points]).amax(0)
            changed[chosen, 0] = centre_digits(torch.maximum(digits, drawn))
    return changed


def stroke_coverage(like: Tensor, begin: Tensor, end: Tensor, pen: Tensor) -> Tensor:
    """The fraction of each pixel covered by straight strokes, 0..1, shape `(N, H, W)`.

    `begin` and `end` are (x, y) in pixels, shape `(N, 2)`; `pen` has the widths, shape `(N,)`.
    """
    height, width = like.shape[1:]
    ys = torch.arange(height, device=like.device)[None, :, None] - begin[:, 1, None, None]
    xs = torch.arange(width, device=like.device)[None, None, :] - begin[:, 0, None, None]
    way = end - begin
    dx, dy = way[:, 0, None, None], way[:, 1, None, None]
    along = ((xs * dx + ys * dy) / (dx * dx + dy * dy).clamp(min=1e-6)).clamp(0, 1)
    distance = torch.hypot(xs - along * dx, ys - along * dy)
    return (pen[:, None, None] / 2 + 0.5 - distance).clamp(0, 1)


def centre_digits(digits: Tensor) -> Tensor:
    """Shift digits `(N, H, W)` by whole pixels to bring their centre of mass to the middle."""
    height, width = digits.shape[1:]
    total = digits.sum((1, 2)).clamp(min=1)
    rows, columns = torch.arange(height).to(digits), torch.arange(width).to(digits)
    down = ((digits.sum(2) * rows).sum(1) / total - (height // 2)).round().long()
    right = ((digits.sum(1) * columns).sum(1) / total - (width // 2)).round().long()
    y = rows.long()[None, :] + down[:, None]
    x = columns.long()[None, :] + right[:, None]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    which = torch.arange(len(digits), device=digits.device)[:, None, None]
    moved = digits[which, y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None, :]]
    return moved * inside


Strokes = list[tuple[Tensor, Tensor]]


def _upstroke(ones: Tensor, u: Tensor) -> Strokes:
    """A stroke from the top of a 1 down to the left, and a foot under some."""
    side = ones.shape[1]
    top, bottom = _end(ones, top=True), _end(ones, top=False)
    stem = torch.atan2(top[:, 0] - bottom[:, 0], bottom[:, 1] - top[:, 1])  # 0: upright
    angle = math.radians(22) + math.radians(48) * u[:, 1] - stem
    length = (0.12 + 0.33 * u[:, 2]) * side
    left = top + torch.stack([-torch.sin(angle), torch.cos(angle)], 1) * length[:, None]
    half = (0.08 + 0.16 * u[:, 3]) * side * (u[:, 4] < 0.3)
    slope = torch.stack([half, (u[:, 5] - 0.5) * 0.3 * half], 1)
    return [(top, left), (bottom - slope, bottom + slope)]


def _bar(sevens: Tensor, u: Tensor) -> Strokes:
    """A bar across the stem of a 7, a little below its middle."""
    side = sevens.shape[1]
    top, bottom = _end(sevens, top=True), _end(sevens, top=False)
    y = top[:, 1] + (0.42 + 0.25 * u[:, 1]) * (bottom[:, 1] - top[:, 1])
    row = sevens[torch.arange(len(sevens), device=y.device), y.round().long()]
    x = (row * torch.arange(row.shape[1]).to(row)).sum(1) / row.sum(1).clamp(min=1)
    half = (0.1 + 0.12 * u[:, 2]) * side
    slope = torch.stack([half, (0.1 - 0.5 * u[:, 3]) * half], 1)
    middle = torch.stack([x + (u[:, 4] - 0.5) * 0.1 * side, y], 1)
    return [(middle - slope, middle + slope)]


def _foot(nines: Tensor, u: Tensor) -> Strokes:
    """A foot from the lower end of a 9 to the left, flat or curved upwards."""
    side = nines.shape[1]
    bottom = _end(nines, top=False)
    length = (0.12 + 0.28 * u[:, 1]) * side
    rise = u[:, 2] * (u[:, 3] < 0.6) * 0.45 * length
    middle = bottom + torch.stack([-0.5 * length, (0.04 * u[:, 4]) * side - 0.1 * rise], 1)
    end = bottom + torch.stack([-length, -rise], 1)
    return [(bottom, middle), (middle, end)]


def _end(digits: Tensor, top: bool) -> Tensor:
    """The middle of the highest or lowest row with ink, (x, y), shape `(N, 2)`."""
    ink = (digits > INK).float()
    height, width = digits.shape[1:]
    rows = torch.arange(height).to(digits)
    has = ink.amax(2) > 0
    y = torch.where(has, rows, height).amin(1) if top else torch.where(has, rows, 0).amax(1)
    y = y.clamp(0, height - 1)
    row = digits[torch.arange(len(digits), device=digits.device), y.long()]
    x = (row * torch.arange(width).to(row)).sum(1) / row.sum(1).clamp(min=1)
    return torch.stack([x, y], 1)
