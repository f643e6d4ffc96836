"""Random augmentations: pure functions of a batch and a generator.

A batch is float32 of shape `(N, C, H, W)` with values 0..255 on a black background; so is the
result.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from neocog.data.hands import add_continental_strokes
from neocog.data.loader import seeded
from neocog.recipes import Recipe

ELASTIC_GRID = 7  # pixels between the control points of `elastic`
CROP_GROWTH = 1.15  # by which `view` enlarges an image before cropping


def shift(batch: Tensor, pixels: int, generator: torch.Generator, edge: str = "black") -> Tensor:
    """Shift each image by a random whole number of pixels, -pixels..pixels in both directions.

    Exposed pixels are 0, or the reflected edge of the image if `edge` is "reflect".
    """
    mode = "reflect" if edge == "reflect" else "constant"
    padded = F.pad(batch, (pixels, pixels, pixels, pixels), mode=mode)
    return _crop(padded, batch.shape[2], batch.shape[3], generator)


def grow_and_crop(batch: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Enlarge each image to `side` x `side` (bilinear) and take a random crop of the original size.

    Grey levels are rounded, as in images that are resized as uint8.
    """
    grown = F.interpolate(batch, size=(side, side), mode="bilinear", align_corners=False)
    return _crop(grown.round_(), batch.shape[2], batch.shape[3], generator)


def _crop(batch: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Take a random window of height x width from each image."""
    n = len(batch)
    top = torch.randint(0, batch.shape[2] - height + 1, (n, 1), generator=generator)
    left = torch.randint(0, batch.shape[3] - width + 1, (n, 1), generator=generator)
    rows = (top + torch.arange(height)).to(batch.device)
    columns = (left + torch.arange(width)).to(batch.device)
    image = torch.arange(n, device=batch.device)[:, None, None]
    crops = batch.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    return crops.permute(0, 3, 1, 2)


def flip_mask(count: int, kind: str, seed: int, epoch: int) -> Tensor | None:
    """The images to flip in an epoch: a mask of shape `(count,)`, or None if `kind` is "none".

    "random" draws anew in every epoch. "alternating" flips each image in every second epoch
    (Jordan, 2024), so that two epochs show each image both ways.
    """
    if kind == "none":
        return None
    alternating = kind == "alternating"
    draw = torch.rand(count, generator=seeded(seed, 0 if alternating else epoch, 3)) < 0.5
    return draw ^ (epoch % 2 == 1) if alternating else draw


def flip(batch: Tensor, which: Tensor) -> Tensor:
    """Flip the images selected by the mask `which`, bool `(N,)`, horizontally."""
    return torch.where(which.to(batch.device)[:, None, None, None], batch.flip(3), batch)


def affine(
    batch: Tensor,
    generator: torch.Generator,
    rotate_degrees: float,
    scale_fraction: float,
    shear_fraction: float,
    shift_pixels: float,
) -> Tensor:
    """Rotate, scale, shear and shift each image, each uniformly within plus or minus its bound.

    The scale factor is between exp(-scale_fraction) and exp(scale_fraction). Interpolation is
    bilinear.
    """
    n, height, width = len(batch), batch.shape[2], batch.shape[3]
    u = torch.rand(6, n, generator=generator) * 2 - 1
    angle = u[0] * math.radians(rotate_degrees)
    across, down = torch.exp(-u[1] * scale_fraction), torch.exp(-u[2] * scale_fraction)
    shear = u[3] * shear_fraction
    cos, sin = torch.cos(angle), torch.sin(angle)
    to_x, to_y = u[4] * shift_pixels * 2 / width, u[5] * shift_pixels * 2 / height
    theta = torch.stack(
        [
            torch.stack([cos * across, (cos * shear - sin) * across, to_x], dim=1),
            torch.stack([sin * down, (sin * shear + cos) * down, to_y], dim=1),
        ],
        dim=1,
    ).to(batch.device)
    grid = F.affine_grid(theta, list(batch.shape), align_corners=False)
    return F.grid_sample(batch, grid, align_corners=False)


def vary_stroke_width(batch: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Thicken the strokes of a `fraction` of the images by a pixel; thin half as many."""
    moved = F.pad(batch, (1, 0, 1, 0))
    left, up, both = moved[..., 1:, :-1], moved[..., :-1, 1:], moved[..., :-1, :-1]
    thick = torch.maximum(torch.maximum(batch, left), torch.maximum(up, both))
    thin = torch.minimum(torch.minimum(batch, left), up)
    u = torch.rand(len(batch), generator=generator).to(batch.device)[:, None, None, None]
    return torch.where(u < fraction, thick, torch.where(u > 1 - fraction / 2, thin, batch))


def elastic(batch: Tensor, pixels: float, generator: torch.Generator) -> Tensor:
    """Deform each image: points ELASTIC_GRID apart move by a normal deviate times `pixels`.

    Displacements between the points are interpolated by a cubic (after Simard, Steinkraus and
    Platt, "Best practices for convolutional neural networks applied to visual document analysis",
    2003).
    """
    n, height, width = len(batch), batch.shape[2], batch.shape[3]
    knots = (n, 2, -(-height // ELASTIC_GRID) + 1, -(-width // ELASTIC_GRID) + 1)
    moved = torch.randn(knots, generator=generator).to(batch.device) * pixels
    moved = F.interpolate(moved, (height, width), mode="bicubic", align_corners=True)
    still = torch.eye(2, 3, device=batch.device)[None]
    grid = F.affine_grid(still, [1, *batch.shape[1:]], align_corners=False)
    step = torch.tensor([2 / width, 2 / height], device=batch.device)
    return F.grid_sample(batch, grid + moved.permute(0, 2, 3, 1) * step, align_corners=False)


def damage_strokes(batch: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Damage a `fraction` of the images: a gap in a stroke, one end faded, or one end cut off.

    Each has probability 1/3. They imitate a pen that skips, a stroke that fades, and an image that
    is cropped too tightly.
    """
    height, width = batch.shape[2:]
    u = torch.rand(len(batch), 6, generator=generator).to(batch.device)
    chosen = torch.nonzero(u[:, 0] < fraction)[:, 0]
    changed = batch.clone()
    batch, u = batch[chosen], u[chosen]
    ys = torch.arange(height).to(batch)[None, :, None]
    xs = torch.arange(width).to(batch)[None, None, :]
    y, x, edge = (0.2 + 0.6 * u[:, 1]) * height, (0.2 + 0.6 * u[:, 2]) * width, u[:, 3] * 4
    radius = (0.03 + 0.05 * u[:, 4]) * height
    away = torch.hypot(ys - y[:, None, None], xs - x[:, None, None])
    gap = (away - radius[:, None, None] + 0.5).clamp(0, 1)
    side = edge.floor().long()[:, None, None]
    # The distance from one side of the ink's bounding box: top, bottom, left or right.
    inked = batch[:, 0] > 32
    rows, columns = inked.any(2), inked.any(1)
    top, bottom = _first(rows), height - 1 - _first(rows.flip(1))
    left, right = _first(columns), width - 1 - _first(columns.flip(1))
    inward = torch.where(
        side < 2,
        torch.where(side == 0, ys - top[:, None, None], bottom[:, None, None] - ys),
        torch.where(side == 2, xs - left[:, None, None], right[:, None, None] - xs),
    )
    pale = (0.3 + 0.5 * u[:, 4, None, None] + inward / (0.3 * height)).clamp(0, 1)
    cut = (inward >= (0.1 * u[:, 4, None, None] * height).round()).to(batch)
    kind = (u[:, 0] / fraction * 3).floor()[:, None, None]
    visible = torch.where(kind == 0, gap, torch.where(kind == 1, pale, cut))
    changed[chosen] = batch * visible[:, None]
    return changed


def _first(has: Tensor) -> Tensor:
    """The index of the first True in each row, int64 `(N,)`; 0 if there is none."""
    return has.to(torch.uint8).argmax(1)


def augmented(
    recipe: Recipe, images: Tensor, step: int, flips: Tensor | None, labels: Tensor
) -> Tensor:
    """Augment a batch `(N, H, W, C)` as the recipe says; (seed, step) determine the result.

    `flips` is the mask of images to flip; `labels`, `(N,)`, select the digits for other
    handwriting.
    """
    whole = int(recipe.augment_shift_pixels)
    bends = (
        recipe.augment_rotate_degrees,
        recipe.augment_scale_fraction,
        recipe.augment_shear_fraction,
    )
    fixed = recipe.augment_shift_pixels or recipe.augment_stroke_fraction
    fixed = fixed or recipe.augment_hand_fraction or recipe.augment_worn_fraction
    fixed = fixed or recipe.augment_elastic_pixels
    if not (any(bends) or fixed or recipe.augment_grow_pixels or flips is not None):
        return images
    generator = seeded(recipe.seed, step, 2)
    batch = images.permute(0, 3, 1, 2).float()
    if recipe.augment_hand_fraction:
        batch = add_continental_strokes(batch, labels, recipe.augment_hand_fraction, generator)
    if recipe.augment_worn_fraction:
        batch = damage_strokes(batch, recipe.augment_worn_fraction, generator)
    if recipe.augment_elastic_pixels:
        batch = elastic(batch, recipe.augment_elastic_pixels, generator)
    if recipe.augment_stroke_fraction:
        batch = vary_stroke_width(batch, recipe.augment_stroke_fraction, generator)
    if any(bends) or whole != recipe.augment_shift_pixels:
        batch = affine(batch, generator, *bends, recipe.augment_shift_pixels)
    elif whole:
        batch = shift(batch, whole, generator, recipe.augment_edge)
    if recipe.augment_grow_pixels:
        batch = grow_and_crop(batch, recipe.augment_grow_pixels, generator)
    if flips is not None:
        batch = flip(batch, flips)
    return batch.permute(0, 2, 3, 1)


def view(images: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return one view of a batch `(N, H, W, C)`: 0 unchanged, 1 flipped, 2 and more a random crop.

    Crops are taken from the image enlarged by CROP_GROWTH, and half of them are flipped.
    """
    if number == 0:
        return images
    if number == 1:
        return images.flip(2)
    batch = images.permute(0, 3, 1, 2).float()
    grown = grow_and_crop(batch, round(CROP_GROWTH * batch.shape[2]), generator)
    which = torch.rand(len(batch), generator=generator) < 0.5
    return flip(grown, which).permute(0, 2, 3, 1)
