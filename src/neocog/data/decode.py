"""One picture file -> an upright RGB uint8 array, or one clear line about why not."""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from neocog.errors import NeocogError

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 89_000_000  # just below the size that Pillow itself begins to suspect
# MPO, which many phones write, is opened as JPEG.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
EMPTY, NO_PICTURE = (
    "the file is empty",
    "the file is not a picture (PNG, JPEG, BMP, GIF, TIFF, WebP)",
)
HEIC = "the picture is HEIC or AVIF, which is not read: save it as JPEG"
TOO_LARGE = "the file is larger than"
THUMB = 32  # pixels a side of the small grey form by which near-duplicates are found

Fit = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Facts:
    """What a picture's file says of it, beside its pixels.

    `width` and `height` are as stored; `orientation` is EXIF's, 1 upright and 0 where the file has
    no EXIF; `stale_exif` is set where EXIF says both that the picture must be turned and that it
    has been. `pixels` is a digest of the upright RGB picture, by which exact duplicates are found.
    """

    width: int
    height: int
    mode: str
    format: str
    orientation: int
    stale_exif: bool
    pixels: str


@contextmanager
def quietly() -> Iterator[None]:
    """Without Pillow's warnings about cosmetic faults: what matters is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_pictures(
    sources: Iterable[Path | bytes], fit: Fit, shrink_to: int
) -> list[NDArray[np.uint8] | str]:
    """Every picture read and fitted, or in a line why not, in order; all cores are used."""

    def read(source: Path | bytes) -> NDArray[np.uint8] | str:
        try:
            return fit(read_picture(source, shrink_to))
        except NeocogError as error:
            return error.message

    with quietly(), ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow frees the interpreter lock
        return list(pool.map(read, sources))


def read_picture(source: Path | bytes, shrink_to: int | None = None) -> NDArray[np.uint8]:
    """The picture in a file or in bytes as H x W x 3, uint8, RGB, upright by its EXIF orientation.

    Alpha is laid over white (over black where the visible part is white itself); palette, CMYK,
    grey and 16-bit become 8-bit RGB; of an animation the first frame is taken. With `shrink_to`, a
    JPEG whose short side is larger by a factor of two or more is decoded at a reduced scale that is
    no smaller than that. Raises NeocogError with one line: missing, empty, too large, truncated, or
    no picture at all.
    """
    with _opened(read_bytes(source), shrink_to) as image:
        return _to_rgb(_upright(image))


def examine(data: bytes, shrink_to: int) -> tuple[NDArray[np.uint8], Facts, NDArray[np.uint8]]:
    """`read_picture` of bytes, with the file's facts and the picture in grey, THUMB x THUMB.

    Raises as `read_picture` does.
    """
    with _opened(data, None) as image:
        stored, mode, kind = image.size, image.mode, str(image.format)
        exif = image.getexif()
        orientation = exif.get(0x0112, 1) if exif else 0
        if orientation not in range(9):
            orientation = 1  # it means nothing, and nothing is turned
        detail = exif.get_ifd(0x8769) if orientation > 4 else {}
        noted = (detail.get(0xA002), detail.get(0xA003))
        # EXIF notes the size that the camera stored; with its sides exchanged a program has turned
        # the pixels and has forgotten to say so.
        stale = orientation > 4 and stored[0] != stored[1] and noted == (stored[1], stored[0])
        _draft(image, shrink_to)
        picture = _to_rgb(_upright(image))
    digest = hashlib.sha256(repr(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).data)
    grey = Image.fromarray(picture).convert("L")
    thumb = grey.resize((THUMB, THUMB), Image.Resampling.BOX, reducing_gap=2.0)
    facts = Facts(*stored, mode, kind, orientation, stale, digest.hexdigest()[:16])
    return picture, facts, np.asarray(thumb)


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of a picture, by its header. Raises NeocogError where it is none."""
    with quietly(), _opened(data, None) as image:
        return image.size


@contextmanager
def _opened(data: bytes, shrink_to: int | None) -> Iterator[Image.Image]:
    """The picture in `data`, its header read; whatever goes wrong becomes a line."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise NeocogError(
                    f"the picture has {image.width:,} x {image.height:,} pixels, more than the "
                    f"{MAX_PIXELS // 10**6} million that are read"
                )
            if shrink_to:
                _draft(image, shrink_to)
            yield image
    except NeocogError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise NeocogError(
            f"the picture unpacks to far more than the {MAX_PIXELS // 10**6} million pixels that "
            "are read (a decompression bomb?)"
        ) from None
    except UnidentifiedImageError:
        raise NeocogError(HEIC if data[4:8] == b"ftyp" else NO_PICTURE) from None
    except Exception as error:  # hostile files make Pillow's decoders raise nearly anything
        raise NeocogError(f"the picture is damaged or truncated ({error})") from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError):
        raise  # of the pixels
    except Exception:  # of EXIF that makes no sense: the picture is as good as without
        return image


def _draft(image: Image.Image, shrink_to: int) -> None:
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (shrink_to, shrink_to))


def read_bytes(source: Path | bytes | Callable[[], bytes]) -> bytes:
    """What a file or an archive's member holds. Raises NeocogError: missing, empty, too large."""
    if callable(source):
        source = source()
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                source = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise NeocogError("there is no such file") from None
        except OSError as error:
            raise NeocogError(f"the file cannot be read ({error.strerror})") from None
    if not source:
        raise NeocogError(EMPTY)
    if len(source) > MAX_BYTES:
        raise NeocogError(f"{TOO_LARGE} {MAX_BYTES // 2**20} MB")
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
