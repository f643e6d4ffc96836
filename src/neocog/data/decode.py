"""One picture file -> an upright RGB uint8 array, or one clear line about why not."""

import io
import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from neocog.errors import NeocogError

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 89_000_000  # just below the size that Pillow itself begins to suspect
# MPO, which many phones write, is opened as JPEG.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

Fit = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def read_pictures(
    sources: Iterable[Path | bytes], fit: Fit, shrink_to: int
) -> list[NDArray[np.uint8] | str]:
    """Every picture read and fitted, or in a line why not, in order; all cores are used."""

    def read(source: Path | bytes) -> NDArray[np.uint8] | str:
        try:
            return fit(read_picture(source, shrink_to))
        except NeocogError as error:
            return error.message

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow's, on cosmetic faults; what matters is refused
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # it decodes outside the interpreter lock
            return list(pool.map(read, sources))


def read_picture(source: Path | bytes, shrink_to: int | None = None) -> NDArray[np.uint8]:
    """The picture in a file or in bytes as H x W x 3, uint8, RGB, upright by its EXIF orientation.

    Alpha is laid over white (over black where the visible part is white itself); palette, CMYK,
    grey and 16-bit become 8-bit RGB; of an animation the first frame is taken. With `shrink_to`, a
    JPEG whose short side is larger by a factor of two or more is decoded at a reduced scale that is
    no smaller than that. Raises NeocogError with one line: missing, empty, too large, truncated, or
    no picture at all.
    """
    data = _read_bytes(source)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise NeocogError(
                    f"the picture has {image.width:,} x {image.height:,} pixels, more than the "
                    f"{MAX_PIXELS // 10**6} million that are read"
                )
            if shrink_to and image.format in ("JPEG", "MPO"):
                image.draft(None, (shrink_to, shrink_to))
            return _to_rgb(ImageOps.exif_transpose(image))
    except NeocogError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise NeocogError(
            f"the picture unpacks to far more than the {MAX_PIXELS // 10**6} million pixels that "
            "are read (a decompression bomb?)"
        ) from None
    except UnidentifiedImageError:
        raise NeocogError("the file is not a picture (PNG, JPEG, BMP, GIF, TIFF, WebP)") from None
    except Exception as error:  # hostile files make Pillow's decoders raise nearly anything
        raise NeocogError(f"the picture is damaged or truncated ({error})") from None


def _read_bytes(source: Path | bytes) -> bytes:
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                source = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise NeocogError("there is no such file") from None
        except OSError as error:
            raise NeocogError(f"the file cannot be read ({error.strerror})") from None
    if not source:
        raise NeocogError("the file is empty")
    if len(source) > MAX_BYTES:
        raise NeocogError(f"the file is larger than {MAX_BYTES // 2**20} MB")
    return source


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_to_rgb(np.asarray(image, dtype=np.float64))
    if "A" in image.getbands() or "transparency" in image.info:
        return _flatten(image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _deep_to_rgb(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """16- and 32-bit grey: by the range that its largest value shows it to use."""
    values = np.nan_to_num(values)
    top = float(values.max(initial=0.0))
    if top <= 1.0:
        values = values * 255.0
    elif top > 255.0:
        values = values * (255.0 / (65535.0 if top <= 65535.0 else top))
    grey = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _flatten(image: Image.Image) -> NDArray[np.uint8]:
    rgba = np.asarray(image)
    visible = rgba[:, :, 3] > 25
    some = bool(visible.any()) and not bool(visible.all())
    white_on_nothing = some and int(rgba[visible][:, :3].min()) > 224
    paper = Image.new("RGBA", image.size, "black" if white_on_nothing else "white")
    return np.asarray(Image.alpha_composite(paper, image).convert("RGB"))
