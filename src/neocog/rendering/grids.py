"""Tensors and images as small images: maps, filters, heat over an image."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Floats = NDArray[np.float64]

# Colours from the least to the most, as R, G, B.
GREY = ((16, 18, 22), (245, 246, 248))
SIGNED = ((33, 92, 160), (146, 184, 219), (246, 246, 246), (235, 176, 129), (178, 79, 20))
HEAT = ((46, 20, 92), (142, 41, 107), (214, 74, 66), (247, 148, 60), (253, 224, 128))
LEAST_SIDE = 112  # pixels that an image is grown to before heat is laid over it
GAP = 1  # pixels between maps


def coloured(values: Floats, colours: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Numbers from 0 to 1, of any shape, as RGB in one more dimension, in 256 steps."""
    steps, stops = np.linspace(0, 1, 256), np.linspace(0, 1, len(colours))
    bands = [np.interp(steps, stops, band) for band in zip(*colours, strict=True)]
    table = np.stack(bands, -1).round().astype(np.uint8)
    return table[(np.asarray(values) * 255).round().astype(np.uint8)]


def shown(image: NDArray[np.uint8]) -> Image.Image:
    """An image, H x W x C with 1 or 3 channels, uint8, as an image."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def grown(image: Image.Image, least: int = LEAST_SIDE) -> Image.Image:
    """A small image enlarged, pixel by pixel, until its short side is `least` pixels or more."""
    times = -(-least // min(image.size))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def overlay(image: NDArray[np.uint8], heat: Floats | Tensor) -> Image.Image:
    """An image in grey with heat, H x W and 0 or more, laid over it; small ones are enlarged.

    The most heat is the last colour of HEAT; where there is none the image is seen as it is.
    """
    ground = grown(shown(image).convert("L"))
    values = _fitted(np.asarray(heat, np.float64), ground.size)
    values = np.clip(values / max(values.max(), 1e-12), 0, 1)
    grey = np.repeat(np.asarray(ground, np.float64)[:, :, None], 3, 2)
    share = 0.75 * np.sqrt(values)[:, :, None]
    mixed = grey * (1 - share) + coloured(values, HEAT) * share
    return Image.fromarray(mixed.round().astype(np.uint8))


def signed_overlay(image: NDArray[np.uint8], values: Floats | Tensor) -> Image.Image:
    """An image, faint and grey, with what speaks for (orange) and against (blue), H x W.

    The scale ends at the 99.5th percentile of the sizes, so that single pixels do not hide the
    rest.
    """
    ground = grown(shown(image).convert("L"))
    laid = _fitted(np.asarray(values, np.float64), ground.size)
    laid = np.clip(laid / _scale(laid), -1, 1)
    faint = 246 - (255 - np.repeat(np.asarray(ground, np.float64)[:, :, None], 3, 2)) * 0.25
    share = np.abs(laid)[:, :, None] ** 0.7
    mixed = faint * (1 - share) + coloured((laid + 1) / 2, SIGNED) * share
    return Image.fromarray(np.clip(mixed, 0, 255).round().astype(np.uint8))


def map_grid(maps: Tensor, columns: int | None = None, least: int = 0) -> Image.Image:
    """Maps, M x H x W, side by side; what lies between them is transparent.

    All are on one scale: dark to light, or blue to orange around 0 where some are negative.
    `least` is the side that each is enlarged to at least; `columns` is about the root of M.
    """
    values = maps.detach().cpu().double().numpy()
    if (values < 0).any():
        tiles = coloured((np.clip(values / _scale(values), -1, 1) + 1) / 2, SIGNED)
    else:
        tiles = coloured(np.clip(values / _scale(values), 0, 1), GREY)
    return tiled(tiles, columns, least)


def filter_grid(filters: Tensor, columns: int | None = None, least: int = 0) -> Image.Image:
    """Filters, F x C x h x w, side by side: in colour for 3 channels, else their first channel's.

    With 3 channels grey is 0; with one, blue is negative and orange positive.
    """
    values = filters.detach().cpu().double().numpy()
    if values.shape[1] == 3:
        sizes = np.abs(values).max((1, 2, 3), keepdims=True).clip(1e-12)
        colour = (255 * (values / sizes + 1) / 2).round().astype(np.uint8)
        return tiled(colour.transpose(0, 2, 3, 1), columns, least)
    return map_grid(_reaching_below(filters[:, 0]), columns, least)


def _reaching_below(maps: Tensor) -> Tensor:
    """The maps, with a -0 that makes their scale a signed one where none is negative."""
    return maps if (maps < 0).any() else maps - 1e-12


def tiled(
    tiles: NDArray[np.uint8], columns: int | None = None, least: int = 0, gap: int = GAP
) -> Image.Image:
    """Images of one size, N x H x W x 3, in rows, with transparent gaps."""
    count, height, width = tiles.shape[:3]
    columns = columns or max(1, int(np.ceil(np.sqrt(count * height / width))))
    columns = min(columns, count)
    times = max(1, -(-least // min(height, width)))
    high, wide = height * times, width * times
    gap *= times if times < 4 else 4
    rows = -(-count // columns)
    sheet = np.zeros((rows * (high + gap) - gap, columns * (wide + gap) - gap, 4), np.uint8)
    for n, tile in enumerate(tiles):
        top, left = n // columns * (high + gap), n % columns * (wide + gap)
        large = tile.repeat(times, 0).repeat(times, 1)
        sheet[top : top + high, left : left + wide, :3] = large
        sheet[top : top + high, left : left + wide, 3] = 255
    return Image.fromarray(sheet)


def uri(image: Image.Image, photo: bool = False) -> str:
    """An image as a data: address; a photo as JPEG, else as PNG with few colours where it can."""
    packed = io.BytesIO()
    if photo:
        if image.mode == "RGBA":
            ground = Image.new("RGB", image.size, (128, 128, 128))
            ground.paste(image, mask=image)
            image = ground
        image.convert("RGB").save(packed, "JPEG", quality=80)
    else:
        few = image.quantize(64) if image.mode == "RGB" else image
        if image.mode == "RGBA":
            few = image.quantize(64, method=Image.Quantize.FASTOCTREE)
        few.save(packed, "PNG", compress_level=6)  # 9 takes three times as long for 1%
    return address(packed.getvalue(), "jpeg" if photo else "png")


def address(packed: bytes, kind: str) -> str:
    """A packed image, png or jpeg, as a data: address."""
    return f"data:image/{kind};base64,{base64.b64encode(packed).decode()}"


def _scale(values: Floats) -> float:
    """The size that almost all of the numbers stay below."""
    return float(max(np.percentile(np.abs(values), 99.5), 1e-12))


def _fitted(values: Floats, size: tuple[int, int]) -> Floats:
    """Numbers H x W at another size (width, height)."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float64)
