"""Arrays as images: feature maps, filters, heat maps over an image."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neocog.rendering.tiling import TRANSPARENT, Tiling, square_columns

if TYPE_CHECKING:  # what an engine computes is drawn without torch
    from torch import Tensor

Floats = NDArray[np.float64]
Values = Union[Floats, NDArray[np.float32], "Tensor"]

# Colour maps as (R, G, B), from the lowest value to the highest. They are the colours of the pages'
# style sheets: blue is negative and orange positive there, too, and matplotlib has no such map.
# Importing matplotlib.colormaps would also add 0.08 s of CPU time to every page.
GREY = ((16, 18, 22), (245, 246, 248))
SIGNED = ((33, 92, 160), (146, 184, 219), (246, 246, 246), (235, 176, 129), (178, 79, 20))
HEAT = ((46, 20, 92), (142, 41, 107), (214, 74, 66), (247, 148, 60), (253, 224, 128))
MIN_SIDE = 112  # pixels that an image is enlarged to before a heat map is laid over it
GAP, MAX_GAP = 1, 4  # pixels between maps, which grow with the enlargement


def apply_colormap(values: Floats, colors: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Values 0..1 of any shape (...) as RGB colours (..., 3), in 256 steps."""
    steps, stops = np.linspace(0, 1, 256), np.linspace(0, 1, len(colors))
    bands = [np.interp(steps, stops, band) for band in zip(*colors, strict=True)]
    table = np.stack(bands, -1).round().astype(np.uint8)
    return table[(np.asarray(values) * 255).round().astype(np.uint8)]


def to_image(image: NDArray[np.uint8]) -> Image.Image:
    """A uint8 array (H, W, C) with 1 or 3 channels as a Pillow image."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def enlarge(image: Image.Image, min_side: int = MIN_SIDE) -> Image.Image:
    """Repeat the pixels of a small image until its shorter side is at least `min_side`."""
    factor = -(-min_side // min(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def overlay(image: NDArray[np.uint8], heat: Values) -> Image.Image:
    """An image (H, W, C) in grey under a heat map (h, w) with values >= 0.

    The largest value has the last colour of HEAT; at 0 the image shows through. Small images are
    enlarged.
    """
    grey = enlarge(to_image(image).convert("L"))
    values = _resize(np.asarray(heat, np.float64), grey.size)
    values = np.clip(values / max(values.max(), 1e-12), 0, 1)
    base = np.repeat(np.asarray(grey, np.float64)[:, :, None], 3, 2)
    opacity = 0.75 * np.sqrt(values)[:, :, None]
    mixed = base * (1 - opacity) + apply_colormap(values, HEAT) * opacity
    return Image.fromarray(mixed.round().astype(np.uint8))


def signed_overlay(image: NDArray[np.uint8], values: Values) -> Image.Image:
    """A faint grey image (H, W, C) under signed attributions (h, w): orange > 0, blue < 0.

    The scale ends at the 99.5th percentile of the magnitudes, so that single pixels do not hide
    the rest.
    """
    grey = enlarge(to_image(image).convert("L"))
    scaled = _resize(np.asarray(values, np.float64), grey.size)
    scaled = np.clip(scaled / _scale(scaled), -1, 1)
    base = 246 - (255 - np.repeat(np.asarray(grey, np.float64)[:, :, None], 3, 2)) * 0.25
    opacity = np.abs(scaled)[:, :, None] ** 0.7
    mixed = base * (1 - opacity) + apply_colormap((scaled + 1) / 2, SIGNED) * opacity
    return Image.fromarray(np.clip(mixed, 0, 255).round().astype(np.uint8))


def map_grid(maps: Values, columns: int | None = None, min_side: int = 0) -> Image.Image:
    """Feature maps (M, h, w) side by side on one scale, with transparent gaps.

    Dark to light, or blue to orange around 0 if any value is negative. Each map is enlarged to at
    least `min_side` pixels. By default the grid is about square.
    """
    values = _to_array(maps)
    if (values < 0).any():
        tiles = apply_colormap((np.clip(values / _scale(values), -1, 1) + 1) / 2, SIGNED)
    else:
        tiles = apply_colormap(np.clip(values / _scale(values), 0, 1), GREY)
    return tile(tiles, columns, min_side)


def filter_grid(filters: Values, columns: int | None = None, min_side: int = 0) -> Image.Image:
    """Filters (F, C, h, w) side by side: in colour for C = 3, else their first channel.

    In colour, grey is 0; otherwise blue is negative and orange positive.
    """
    values = _to_array(filters)
    if values.shape[1] == 3:
        sizes = np.abs(values).max((1, 2, 3), keepdims=True).clip(1e-12)
        tiles = (255 * (values / sizes + 1) / 2).round().astype(np.uint8)
        return tile(tiles.transpose(0, 2, 3, 1), columns, min_side)
    maps = values[:, 0]
    # Filters are shown on the signed scale even where no weight is negative.
    return map_grid(maps if (maps < 0).any() else maps - 1e-12, columns, min_side)


def tile(
    tiles: NDArray[np.uint8], columns: int | None = None, min_side: int = 0, gap: int = GAP
) -> Image.Image:
    """RGB tiles (N, h, w, 3) in rows, enlarged to at least `min_side`, with transparent gaps."""
    count, height, width = tiles.shape[:3]
    factor = max(1, -(-min_side // min(height, width)))
    cell = width * factor, height * factor
    gap *= min(factor, MAX_GAP)
    columns = min(columns or square_columns(count, (width, height)), count)
    images = (Image.fromarray(t).resize(cell, Image.Resampling.NEAREST) for t in tiles)
    return Tiling(count, columns, cell, (gap, gap)).paste(images, TRANSPARENT)


def data_uri(image: Image.Image, *, photo: bool = False) -> str:
    """An image as a data: URI: JPEG for a photo, else PNG with a palette where possible."""
    file = io.BytesIO()
    if photo:
        if image.mode == "RGBA":
            background = Image.new("RGB", image.size, (128, 128, 128))
            background.paste(image, mask=image)
            image = background
        image.convert("RGB").save(file, "JPEG", quality=80)
    else:
        reduced = image.quantize(64) if image.mode == "RGB" else image
        if image.mode == "RGBA":
            reduced = image.quantize(64, method=Image.Quantize.FASTOCTREE)
        reduced.save(file, "PNG", compress_level=6)  # 9 takes three times as long for 1%
    return encode_data_uri(file.getvalue(), "jpeg" if photo else "png")


def encode_data_uri(content: bytes, image_format: str) -> str:
    """The bytes of a "png" or "jpeg" file as a data: URI."""
    return f"data:image/{image_format};base64,{base64.b64encode(content).decode()}"


def _to_array(values: Values) -> Floats:
    """A tensor on any device, or an array, in float64."""
    on_cpu = values if isinstance(values, np.ndarray) else values.detach().cpu()
    return np.asarray(on_cpu, np.float64)


def _scale(values: Floats) -> float:
    """The 99.5th percentile of the magnitudes."""
    return float(max(np.percentile(np.abs(values), 99.5), 1e-12))


def _resize(values: Floats, size: tuple[int, int]) -> Floats:
    """Values (H, W) resized bilinearly to `size`, (width, height)."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float64)
