"""Decode an image file to an upright RGB uint8 array, or fail with a one-line reason.

Files are untrusted. Formats are an explicit list, sizes are checked before pixels are decoded, and
all threads together use at most MEMORY_BUDGET_BYTES: each image waits until the memory that its
header asks for is free.
"""

import ctypes
import hashlib
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageOps,
    JpegImagePlugin,
    UnidentifiedImageError,
    _imaging,
    features,
)

from neocog.errors import NeocogError
from neocog.json_fields import short

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 89_000_000  # just below the size at which Pillow warns
MAX_JPEG_PIXELS = 300_000_000  # phones reach 200 million; JPEGs are decoded at reduced scale
MAX_SCANS = 100  # of a progressive JPEG: each scan visits all pixels
MAX_SCANNED_PIXELS = 2_500_000_000  # scans x pixels; about two seconds
MEMORY_BUDGET_BYTES = 1_500_000_000  # for images being decoded, over all threads
PIXEL_BYTES = 12  # per pixel: decoded, converted and transformed
# Additional bytes per pixel that decoders use.
DECODER_BYTES = {"WEBP": 8, "AVIF": 8, "HEIF": 8}
STRIPE_PIXELS = 2**20  # pixels converted at a time


def _formats() -> tuple[str, ...]:
    # MPO, which many phones write, is opened as JPEG.
    known = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
    with suppress(ValueError):  # Pillow before 11.3 has no AVIF
        if features.check_module("avif"):
            return (*known, "AVIF")
    return known


FORMATS = _formats()
MAX_REASON_CHARACTERS = 200  # of an error message of another library
THUMBNAIL_SIZE = 32  # pixels a side; near-duplicates are detected in thumbnails
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_SPECIAL_FILES = (
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
)
# JPEG markers followed by a segment with a length, and the end marker; 00 and D0-D7 are in scans.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")

Transform = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class ImageErrorKind(StrEnum):
    """Why an image cannot be used."""

    UNREADABLE = "unreadable"  # the file: missing, special, no permission, locked in its archive
    EMPTY = "empty"
    TOO_LARGE = "too_large"  # in bytes, pixels or scans
    NOT_AN_IMAGE = "not_an_image"
    HEIC = "heic"  # its decoder is not installed
    AVIF = "avif"  # likewise
    DAMAGED = "damaged"
    OUT_OF_MEMORY = "out_of_memory"
    NO_INK = "no_ink"  # where a digit was expected

    @property
    def is_temporary(self) -> bool:
        """Whether the cause is the machine and not the file's content: another try may succeed."""
        return self in (
            ImageErrorKind.UNREADABLE,
            ImageErrorKind.HEIC,
            ImageErrorKind.AVIF,
            ImageErrorKind.OUT_OF_MEMORY,
        )


class ImageError(NeocogError):
    """An image cannot be used; `kind` says why, and the message in one line, without its name."""

    def __init__(self, kind: ImageErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class UnreadableImage:
    """The record of an ImageError: its kind and its one-line message."""

    kind: ImageErrorKind
    reason: str


@dataclass(frozen=True)
class ImageMetadata:
    """The metadata of an image file.

    `width` and `height` are as stored. `orientation` is EXIF's: 1 is upright, 0 means that there is
    no EXIF. `stale_exif` is True if EXIF asks for a rotation that has already been applied.
    `pixels` is a digest of the upright RGB image, by which exact duplicates are detected.
    """

    width: int
    height: int
    mode: str
    format: str
    orientation: int
    stale_exif: bool
    pixels: str


class MemoryBudget:
    """A number of bytes shared by threads: each waits until its request can be met."""

    def __init__(self, size: int) -> None:
        self.size = self.free = size
        self.changed = threading.Condition()

    @contextmanager
    def reserve(self, amount: int) -> Iterator[None]:
        """Reserve `amount` bytes while in the context; at most the whole budget."""
        amount = min(amount, self.size)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        try:
            yield
        finally:
            with self.changed:
                self.free += amount
                self.changed.notify_all()


_memory = MemoryBudget(MEMORY_BUDGET_BYTES)


@contextmanager
def ignore_pillow_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings about cosmetic defects; serious ones raise errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_images(
    sources: Iterable[Path | bytes], transform: Transform, shrink_to: int
) -> list[NDArray[np.uint8] | str]:
    """Decode and transform images on all cores; return, in order, an array or a reason for each."""

    def read(source: Path | bytes) -> NDArray[np.uint8] | str:
        try:
            with _decoded_image(read_bytes(source), shrink_to) as (decoded, _):
                return transform(decoded)
        except ImageError as error:
            return error.message

    with (
        ignore_pillow_warnings(),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):  # Pillow releases the GIL
        return list(pool.map(read, sources))


def read_image(source: Path | bytes, shrink_to: int | None = None) -> NDArray[np.uint8]:
    """Decode an image file or its bytes to RGB uint8, shape `(H, W, 3)`, upright by EXIF.

    Transparent images are composited over white, or over black if their visible part is itself
    white. Palette, CMYK, grey and 16-bit images are converted to 8-bit RGB. The first frame of an
    animation is used. With `shrink_to`, a JPEG is decoded at a reduced scale if its short side
    stays at least `shrink_to` pixels; a JPEG of more than MAX_PIXELS is always decoded at a reduced
    scale. Raises ImageError if the file is missing, empty, too large, truncated or not an image.
    """
    with _decoded_image(read_bytes(source), shrink_to) as (decoded, _):
        return decoded


def decode_with_metadata(
    data: bytes, shrink_to: int, transform: Transform
) -> tuple[NDArray[np.uint8], ImageMetadata, NDArray[np.uint8]]:
    """Return the transformed image, its metadata, and a grey thumbnail.

    The thumbnail is uint8 of shape `(THUMBNAIL_SIZE, THUMBNAIL_SIZE)`. Raises as `read_image` does.
    """
    with _decoded_image(data, shrink_to) as (decoded, metadata):
        digest = hashlib.sha256(repr(decoded.shape).encode())
        digest.update(np.ascontiguousarray(decoded).data)
        grey = np.empty(decoded.shape[:2], dtype=np.uint8)
        rows = max(1, STRIPE_PIXELS // decoded.shape[1])
        for top in range(0, len(grey), rows):
            stripe = Image.fromarray(decoded[top : top + rows])
            grey[top : top + rows] = np.asarray(stripe.convert("L"))
        small = Image.fromarray(grey)
        thumbnail = small.resize(
            (THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BOX, reducing_gap=2.0
        )
        return (
            transform(decoded),
            replace(metadata, pixels=digest.hexdigest()[:16]),
            np.asarray(thumbnail),
        )


def read_size(data: bytes) -> tuple[int, int]:
    """The width and height in an image's header. Raises ImageError if it is not an image."""
    with ignore_pillow_warnings(), _image_errors(), _open(data) as image:
        return image.size


@contextmanager
def _image_errors() -> Iterator[None]:
    """Convert any exception about an image to an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            ImageErrorKind.TOO_LARGE,
            f"the image unpacks to far more than the {MAX_PIXELS // 10**6} million pixels that "
            "are read (a decompression bomb?)",
        ) from None
    except UnidentifiedImageError:
        raise ImageError(
            ImageErrorKind.NOT_AN_IMAGE,
            "the file is not an image (PNG, JPEG, BMP, GIF, TIFF, WebP, AVIF, HEIC)",
        ) from None
    except MemoryError:
        raise ImageError(
            ImageErrorKind.OUT_OF_MEMORY, "there is not enough memory to read the image"
        ) from None
    except Exception as error:  # hostile files can raise nearly anything
        raise ImageError(
            ImageErrorKind.DAMAGED,
            f"the image is damaged or truncated ({short(error, MAX_REASON_CHARACTERS)})",
        ) from None


@contextmanager
def _decoded_image(
    data: bytes, shrink_to: int | None
) -> Iterator[tuple[NDArray[np.uint8], ImageMetadata]]:
    """Yield the upright RGB image and its metadata, with memory reserved for the context.

    `ImageMetadata.pixels` is left empty.
    """
    with _image_errors():
        image = _open(data)
        stored = image.size
        needed_bytes = _bytes_needed(image, shrink_to)
    with _memory.reserve(needed_bytes):
        with _image_errors(), closing(image):  # frees the pixels before the next allocation
            orientation, is_stale = _orientation(image, stored)
            metadata = ImageMetadata(
                *stored, image.mode, str(image.format), orientation, is_stale, ""
            )
            decoded = _to_rgb(_upright(image))
        yield decoded, metadata


def _open(data: bytes) -> Image.Image:
    """Open an image: read its header and check its size."""
    max_pixels, brands = MAX_PIXELS, _brands(data)
    image: Image.Image
    if data.startswith(b"\xff\xd8\xff"):  # Image.open refuses a phone's 108 megapixels
        max_pixels = MAX_JPEG_PIXELS
        image = JpegImagePlugin.jpeg_factory(io.BytesIO(data))
    elif brands & _HEIC_BRANDS and not brands & {b"avif", b"avis"}:
        image = _open_heic(data)
    elif brands & {b"avif", b"avis"} and "AVIF" not in FORMATS:
        raise ImageError(
            ImageErrorKind.AVIF,
            "the image is AVIF, which this Pillow cannot read: pip install --upgrade pillow",
        )
    else:
        if data[:2] in (b"II", b"MM"):
            _quieten_libtiff()
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > max_pixels:
        raise ImageError(
            ImageErrorKind.TOO_LARGE,
            f"the image has {image.width:,} x {image.height:,} pixels, more than the "
            f"{max_pixels // 10**6} million that are read",
        )
    if image.format in ("JPEG", "MPO"):
        _check_scans(image, data)
    return image


def _brands(data: bytes) -> set[bytes]:
    """The brands in the first box of a HEIC, AVIF or MP4 file; empty for other files."""
    if data[4:8] != b"ftyp":
        return set()
    box = data[8 : min(max(16, int.from_bytes(data[:4], "big")), 256)]
    return {box[k : k + 4] for k in range(0, len(box), 4)}


def _open_heic(data: bytes) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            ImageErrorKind.HEIC,
            "the image is HEIC, which needs an extra: pip install 'neocog[heic]'",
        ) from None
    heic: Any = pillow_heif.HeifImageFile  # libheif applies the orientation itself
    image: Image.Image = heic(io.BytesIO(data))
    return image


@cache
def _quieten_libtiff() -> None:
    """Stop libtiff from printing to stderr errors that are raised as well."""
    with suppress(AttributeError, OSError):  # a libtiff linked into Pillow is out of reach
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)


def _check_scans(image: Image.Image, data: bytes) -> None:
    """Count the scans of a JPEG; raise ImageError if decoding them takes too long."""
    scans, offset = 0, 2
    while scans <= MAX_SCANS and (match := _MARKER.search(data, offset)):
        marker, offset = match[0][1], match.end()
        if marker == 0xD9:
            break
        scans += marker == 0xDA
        offset += max(2, int.from_bytes(data[offset : offset + 2], "big"))
    pixels = image.width * image.height
    if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
        raise ImageError(
            ImageErrorKind.TOO_LARGE,
            f"the JPEG has {'more than ' if scans > MAX_SCANS else ''}{min(scans, MAX_SCANS)} "
            f"scans of {image.width:,} x {image.height:,} pixels, too many to be read",
        )
    image.info["scans"] = scans


def _bytes_needed(image: Image.Image, shrink_to: int | None) -> int:
    """The bytes needed to decode and transform an image; sets the reduced scale of a JPEG."""
    needed_bytes = 0
    if image.format in ("JPEG", "MPO"):
        pixels = image.width * image.height
        if image.info.get("scans", 1) > 1:  # libjpeg keeps all coefficients
            needed_bytes += 2 * len(image.getbands()) * pixels
        factor = next(k for k in (1, 2, 4, 8) if k == 8 or pixels <= k * k * MAX_PIXELS)
        wide, high = (
            max(1, min(shrink_to or side, side // factor)) for side in (image.width, image.height)
        )
        image.draft(None, (wide, high))
    each = PIXEL_BYTES + DECODER_BYTES.get(str(image.format), 0)
    return needed_bytes + image.width * image.height * each


def _orientation(image: Image.Image, stored: tuple[int, int]) -> tuple[int, bool]:
    """EXIF's orientation, 0 without EXIF, and whether EXIF contradicts the stored size."""
    try:
        exif = image.getexif()
        orientation = exif.get(0x0112, 1) if exif else 0
        if orientation not in range(9):
            orientation = 1  # invalid: treated as upright
        detail = exif.get_ifd(0x8769) if orientation > 4 else {}
    except (OSError, SyntaxError, MemoryError):
        raise  # about the pixels, which some formats read first
    except Exception:  # invalid EXIF is treated as no EXIF
        return 0, False
    noted_size = (detail.get(0xA002), detail.get(0xA003))
    # EXIF records the size that the camera stored. If its sides are swapped, a program rotated the
    # pixels without updating the orientation.
    is_stale = orientation > 4 and stored[0] != stored[1] and noted_size == (stored[1], stored[0])
    return orientation, is_stale


def _upright(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except (OSError, SyntaxError, MemoryError):
        raise  # about the pixels
    except Exception:  # invalid EXIF is treated as no EXIF
        pass
    return image


def read_bytes(source: Path | bytes | Callable[[], bytes]) -> bytes:
    """Read a file or a member of an archive.

    Raises ImageError if it is missing, special (a FIFO, socket or device), empty or too large.
    """
    if callable(source):
        try:
            source = source()
        except NeocogError as error:
            raise ImageError(ImageErrorKind.UNREADABLE, error.message) from None
    if isinstance(source, Path):
        source = _read_file(source)
    if not source:
        raise ImageError(ImageErrorKind.EMPTY, "the file is empty")
    if len(source) > MAX_BYTES:
        limit = f"the file is larger than {MAX_BYTES // 2**20} MB"
        raise ImageError(ImageErrorKind.TOO_LARGE, limit)
    return source


def _read_file(path: Path) -> bytes:
    try:
        kind = special_file_type(path)  # checked first: opening a FIFO blocks
        if kind:
            reason = f"the file is a {kind}, not a regular file"
            raise ImageError(ImageErrorKind.UNREADABLE, reason)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ImageError(ImageErrorKind.UNREADABLE, "there is no such file") from None
    except OSError as error:
        reason = f"the file cannot be read ({error.strerror})"
        raise ImageError(ImageErrorKind.UNREADABLE, reason) from None


def special_file_type(path: Path) -> str:
    """The type of a special file (FIFO, socket, ...); empty for regular files and folders.

    Raises OSError if `path` does not exist.
    """
    mode = path.stat().st_mode
    return next((kind for is_kind, kind in _SPECIAL_FILES if is_kind(mode)), "")


def _stripes(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield horizontal stripes (top row, image), which limit the memory of conversions."""
    image.load()
    rows = max(1, STRIPE_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey_to_rgb(image)
    if "A" in image.getbands() or "transparency" in image.info:
        return _flatten(image)
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top, stripe in _stripes(image):
        rgb[top : top + stripe.height] = np.asarray(stripe.convert("RGB"))
    return rgb


def _deep_grey_to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert 16- and 32-bit grey images, scaled by the range their maximum suggests."""

    def values(stripe: Image.Image) -> NDArray[np.float64]:
        return np.nan_to_num(np.asarray(stripe, dtype=np.float64))

    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    largest = max((float(values(stripe).max()) for _, stripe in _stripes(image)), default=0.0)
    if largest <= 1.0:
        factor = 255.0
    elif largest > 255.0:
        factor = 255.0 / (65535.0 if largest <= 65535.0 else largest)
    else:
        factor = 1.0
    for top, stripe in _stripes(image):
        grey = np.clip(np.rint(values(stripe) * factor), 0, 255).astype(np.uint8)
        rgb[top : top + stripe.height] = grey[:, :, None]
    return rgb


def _flatten(image: Image.Image) -> NDArray[np.uint8]:
    any_visible, all_visible, darkest = False, True, 255
    for _, stripe in _stripes(image):
        rgba = np.asarray(stripe.convert("RGBA"))
        visible = rgba[:, :, 3] > 25
        any_visible, all_visible = (
            any_visible or bool(visible.any()),
            all_visible and bool(visible.all()),
        )
        darkest = min(darkest, int(rgba[visible][:, :3].min(initial=255)))
    white_on_nothing = any_visible and not all_visible and darkest > 224
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top, stripe in _stripes(image):
        background = Image.new("RGBA", stripe.size, "black" if white_on_nothing else "white")
        flat = Image.alpha_composite(background, stripe.convert("RGBA")).convert("RGB")
        rgb[top : top + stripe.height] = np.asarray(flat)
    return rgb
