"""One image file -> an upright RGB uint8 array, or one clear line about why not."""

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

MAX_BYTES = 256 * 2**20
MAX_PIXELS = 89_000_000  # just below the size that Pillow itself begins to suspect
MAX_JPEG_PIXELS = 300_000_000  # phones make 200 million; a JPEG is decoded at a smaller scale
MAX_SCANS = 100  # of a progressive JPEG: every scan goes through all pixels again
MAX_SCANNED_PIXELS = 2_500_000_000  # scans x pixels; about two seconds
ROOM_BYTES = 1_500_000_000  # what images that are being decoded take, over all threads
PIXEL_BYTES = 12  # decoded, converted and fitted
# What decoders hold beside the image that they give, bytes a pixel.
DECODER_BYTES = {"WEBP": 8, "AVIF": 8, "HEIF": 8}
STRIPE_PIXELS = 2**20  # converted at a time


def _formats() -> tuple[str, ...]:
    # MPO, which many phones write, is opened as JPEG.
    known = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
    with suppress(ValueError):  # Pillow before 11.3 does not know AVIF
        if features.check_module("avif"):
            return (*known, "AVIF")
    return known


FORMATS = _formats()
EMPTY, NOT_AN_IMAGE = (
    "the file is empty",
    "the file is not an image (PNG, JPEG, BMP, GIF, TIFF, WebP, AVIF, HEIC)",
)
HEIC = "the image is HEIC, which needs an extra: pip install 'neocog[heic]'"
AVIF = "the image is AVIF, which this Pillow cannot read: pip install --upgrade pillow"
NO_MEMORY = "there is not enough memory to read the image"
PASSING = (HEIC, AVIF, NO_MEMORY)  # true of this machine as it is now, not of the file
TOO_LARGE = "the file is larger than"
LONG_TEXT = 200  # letters of what another library says
THUMB = 32  # pixels a side of the small grey form by which near-duplicates are found
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_SPECIAL = (
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
)
# Markers of a JPEG that a segment with a length follows, and its end; 00 and D0-D7 stand in scans.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")

Fit = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True)
class ImageMetadata:
    """What an image's file says of it, beside its pixels.

    `width` and `height` are as stored; `orientation` is EXIF's, 1 upright and 0 where the file has
    no EXIF; `stale_exif` is set where EXIF says both that the image must be turned and that it
    has been. `pixels` is a digest of the upright RGB image, by which exact duplicates are found.
    """

    width: int
    height: int
    mode: str
    format: str
    orientation: int
    stale_exif: bool
    pixels: str


class Room:
    """A number of bytes that threads share: each waits until there is room for what it needs."""

    def __init__(self, size: int) -> None:
        self.size = self.free = size
        self.changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """With `amount` bytes taken; all of them where it asks for more than there are."""
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


_room = Room(ROOM_BYTES)


@contextmanager
def quietly() -> Iterator[None]:
    """Without Pillow's warnings about cosmetic faults: what matters is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_images(
    sources: Iterable[Path | bytes], fit: Fit, shrink_to: int
) -> list[NDArray[np.uint8] | str]:
    """Every image read and fitted, or in a line why not, in order; all cores are used."""

    def read(source: Path | bytes) -> NDArray[np.uint8] | str:
        try:
            with _image(read_bytes(source), shrink_to) as (decoded, _):
                return fit(decoded)
        except NeocogError as error:
            return error.message

    with quietly(), ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow frees the interpreter lock
        return list(pool.map(read, sources))


def read_image(source: Path | bytes, shrink_to: int | None = None) -> NDArray[np.uint8]:
    """The image in a file or in bytes as H x W x 3, uint8, RGB, upright by its EXIF orientation.

    Alpha is laid over white (over black where the visible part is white itself); palette, CMYK,
    grey and 16-bit become 8-bit RGB; of an animation the first frame is taken. With `shrink_to`, a
    JPEG whose short side is larger by a factor of two or more is decoded at a reduced scale that is
    no smaller than that; one of more than MAX_PIXELS is decoded at a reduced scale in any case.
    Raises NeocogError with one line: missing, empty, too large, truncated, or no image at all.
    """
    with _image(read_bytes(source), shrink_to) as (decoded, _):
        return decoded


def examine(
    data: bytes, shrink_to: int, fit: Fit
) -> tuple[NDArray[np.uint8], ImageMetadata, NDArray[np.uint8]]:
    """The image in bytes, fitted; the file's facts; the image in grey, THUMB x THUMB.

    Raises as `read_image` does.
    """
    with _image(data, shrink_to) as (decoded, facts):
        digest = hashlib.sha256(repr(decoded.shape).encode())
        digest.update(np.ascontiguousarray(decoded).data)
        grey = np.empty(decoded.shape[:2], dtype=np.uint8)
        rows = max(1, STRIPE_PIXELS // decoded.shape[1])
        for top in range(0, len(grey), rows):
            stripe = Image.fromarray(decoded[top : top + rows])
            grey[top : top + rows] = np.asarray(stripe.convert("L"))
        small = Image.fromarray(grey)
        thumb = small.resize((THUMB, THUMB), Image.Resampling.BOX, reducing_gap=2.0)
        return fit(decoded), replace(facts, pixels=digest.hexdigest()[:16]), np.asarray(thumb)


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of an image, by its header. Raises NeocogError where it is none."""
    with quietly(), _refusing(), _open(data) as image:
        return image.size


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever goes wrong with an image becomes a line."""
    try:
        yield
    except NeocogError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise NeocogError(
            f"the image unpacks to far more than the {MAX_PIXELS // 10**6} million pixels that "
            "are read (a decompression bomb?)"
        ) from None
    except UnidentifiedImageError:
        raise NeocogError(NOT_AN_IMAGE) from None
    except MemoryError:
        raise NeocogError(NO_MEMORY) from None
    except Exception as error:  # hostile files make Pillow's decoders raise nearly anything
        raise NeocogError(f"the image is damaged or truncated ({briefly(error)})") from None


def briefly(error: Exception) -> str:
    """What an error says in one line that is not long: some quote the file that they are about."""
    text = " ".join(str(error).split())
    return text if len(text) <= LONG_TEXT else f"{text[:LONG_TEXT]}..."


@contextmanager
def _image(data: bytes, shrink_to: int | None) -> Iterator[tuple[NDArray[np.uint8], ImageMetadata]]:
    """The image in `data`, RGB and upright, and its facts; room is taken for what is done to it.

    `ImageMetadata.pixels` is left empty.
    """
    with _refusing():
        image = _open(data)
        stored = image.size
        needed = _bytes_needed(image, shrink_to)
    with _room.taken(needed):
        with _refusing(), closing(image):  # its pixels go before what follows takes more
            orientation, stale = _orientation(image, stored)
            facts = ImageMetadata(*stored, image.mode, str(image.format), orientation, stale, "")
            decoded = _to_rgb(_upright(image))
        yield decoded, facts


def _open(data: bytes) -> Image.Image:
    """The image in `data`, its header read and its size checked."""
    most, brands = MAX_PIXELS, _brands(data)
    image: Image.Image
    if data.startswith(b"\xff\xd8\xff"):  # Image.open would suspect a phone's 108 megapixels
        most = MAX_JPEG_PIXELS
        image = JpegImagePlugin.jpeg_factory(io.BytesIO(data))
    elif brands & _HEIC_BRANDS and not brands & {b"avif", b"avis"}:
        image = _open_heic(data)
    elif brands & {b"avif", b"avis"} and "AVIF" not in FORMATS:
        raise NeocogError(AVIF)
    else:
        if data[:2] in (b"II", b"MM"):
            _quieten_libtiff()
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > most:
        raise NeocogError(
            f"the image has {image.width:,} x {image.height:,} pixels, more than the "
            f"{most // 10**6} million that are read"
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
        raise NeocogError(HEIC) from None
    heic: Any = pillow_heif.HeifImageFile  # libheif turns what it reads upright itself
    image: Image.Image = heic(io.BytesIO(data))
    return image


@cache
def _quieten_libtiff() -> None:
    """Keep libtiff from printing what is raised as well: it writes to stderr by itself."""
    with suppress(AttributeError, OSError):  # where it is a part of Pillow, it cannot be reached
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            function = getattr(library, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)


def _check_scans(image: Image.Image, data: bytes) -> None:
    """Raise NeocogError for a JPEG whose scans take too long, or note how many there are."""
    scans, place = 0, 2
    while scans <= MAX_SCANS and (found := _MARKER.search(data, place)):
        marker, place = found[0][1], found.end()
        if marker == 0xD9:
            break
        scans += marker == 0xDA
        place += max(2, int.from_bytes(data[place : place + 2], "big"))
    pixels = image.width * image.height
    if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
        raise NeocogError(
            f"the JPEG has {'more than ' if scans > MAX_SCANS else ''}{min(scans, MAX_SCANS)} "
            f"scans of {image.width:,} x {image.height:,} pixels, too many to be read"
        )
    image.info["scans"] = scans


def _bytes_needed(image: Image.Image, shrink_to: int | None) -> int:
    """How many bytes an image takes until it is fitted; a JPEG is set to its reduced scale."""
    needed = 0
    if image.format in ("JPEG", "MPO"):
        pixels = image.width * image.height
        if image.info.get("scans", 1) > 1:  # libjpeg holds the coefficients of the whole image
            needed += 2 * len(image.getbands()) * pixels
        factor = next(k for k in (1, 2, 4, 8) if k == 8 or pixels <= k * k * MAX_PIXELS)
        wide, high = (
            max(1, min(shrink_to or side, side // factor)) for side in (image.width, image.height)
        )
        image.draft(None, (wide, high))
    each = PIXEL_BYTES + DECODER_BYTES.get(str(image.format), 0)
    return needed + image.width * image.height * each


def _orientation(image: Image.Image, stored: tuple[int, int]) -> tuple[int, bool]:
    """EXIF's orientation, 0 where there is no EXIF, and whether EXIF contradicts itself."""
    try:
        exif = image.getexif()
        orientation = exif.get(0x0112, 1) if exif else 0
        if orientation not in range(9):
            orientation = 1  # it means nothing, and nothing is turned
        detail = exif.get_ifd(0x8769) if orientation > 4 else {}
    except (OSError, SyntaxError, MemoryError):
        raise  # of the pixels, which some formats read first
    except Exception:  # of EXIF that makes no sense: the image is as good as without
        return 0, False
    noted = (detail.get(0xA002), detail.get(0xA003))
    # EXIF notes the size that the camera stored; with its sides exchanged a program has turned
    # the pixels and has forgotten to say so.
    stale = orientation > 4 and stored[0] != stored[1] and noted == (stored[1], stored[0])
    return orientation, stale


def _upright(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except (OSError, SyntaxError, MemoryError):
        raise  # of the pixels
    except Exception:  # of EXIF that makes no sense: the image is as good as without
        pass
    return image


def read_bytes(source: Path | bytes | Callable[[], bytes]) -> bytes:
    """What a file or an archive's member holds.

    Raises NeocogError: missing, special (a FIFO, a socket, a device), empty, too large.
    """
    if callable(source):
        source = source()
    if isinstance(source, Path):
        try:
            kind = special_kind(source)  # first: opening a FIFO waits until somebody writes
            if kind:
                raise NeocogError(f"the file is a {kind}, not a regular file")
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


def special_kind(path: Path) -> str:
    """What kind of special file is at `path`: FIFO, socket, ...; empty for files and folders.

    Raises OSError where there is nothing.
    """
    mode = path.stat().st_mode
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), "")


def _stripes(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image in parts as wide as itself, and where each begins: what is done to it is small."""
    image.load()
    rows = max(1, STRIPE_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_to_rgb(image)
    if "A" in image.getbands() or "transparency" in image.info:
        return _flatten(image)
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top, stripe in _stripes(image):
        rgb[top : top + stripe.height] = np.asarray(stripe.convert("RGB"))
    return rgb


def _deep_to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """16- and 32-bit grey: by the range that its largest value shows it to use."""

    def values(stripe: Image.Image) -> NDArray[np.float64]:
        return np.nan_to_num(np.asarray(stripe, dtype=np.float64))

    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    top = max((float(values(stripe).max()) for _, stripe in _stripes(image)), default=0.0)
    if top <= 1.0:
        factor = 255.0
    elif top > 255.0:
        factor = 255.0 / (65535.0 if top <= 65535.0 else top)
    else:
        factor = 1.0
    for first, stripe in _stripes(image):
        grey = np.clip(np.rint(values(stripe) * factor), 0, 255).astype(np.uint8)
        rgb[first : first + stripe.height] = grey[:, :, None]
    return rgb


def _flatten(image: Image.Image) -> NDArray[np.uint8]:
    some, every, least = False, True, 255
    for _, stripe in _stripes(image):
        rgba = np.asarray(stripe.convert("RGBA"))
        visible = rgba[:, :, 3] > 25
        some, every = some or bool(visible.any()), every and bool(visible.all())
        least = min(least, int(rgba[visible][:, :3].min(initial=255)))
    white_on_nothing = some and not every and least > 224
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top, stripe in _stripes(image):
        paper = Image.new("RGBA", stripe.size, "black" if white_on_nothing else "white")
        flat = Image.alpha_composite(paper, stripe.convert("RGBA")).convert("RGB")
        rgb[top : top + stripe.height] = np.asarray(flat)
    return rgb
