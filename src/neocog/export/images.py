"""Image files for the comparison of an exported file with its network."""

import io
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neocog import data
from neocog.data.images import Images
from neocog.data.preprocess import Preprocessing

STAND_IN_SIDE = 256  # pixels of a stand-in photo
EXAMPLE_SIDE = 96  # pixels, the longer side of an image that is embedded in a file


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Write an image, uint8 `(H, W, C)` with 1 or 3 channels, as a PNG file."""
    buffer = io.BytesIO()
    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def as_files(images: Images, count: int) -> list[bytes]:
    """Write the first `count` images, uint8 `(N, H, W, C)`, as PNG files."""
    return [encode_png(image) for image in images[:count]]


def stand_ins(rule: Preprocessing, count: int) -> tuple[list[bytes], str]:
    """Return image files for a network whose own images are missing, and their description.

    They are the same each time: digits of mnist5k for a network that reads digits, and
    parts of scikit-learn's two sample photos for any other.
    """
    if rule.fit == "digit":
        images = data.load("mnist5k").validation.images
        return as_files(images, count), "digits of mnist5k"
    folder = resources.files("sklearn.datasets") / "images"
    photos = [
        Image.open(io.BytesIO((folder / name).read_bytes())).convert("RGB")
        for name in ("china.jpg", "flower.jpg")
    ]
    generator, files = np.random.default_rng(0), []
    for index in range(count):
        photo = photos[index % len(photos)]
        left = int(generator.integers(0, photo.width - STAND_IN_SIDE))
        top = int(generator.integers(0, photo.height - STAND_IN_SIDE))
        part = photo.crop((left, top, left + STAND_IN_SIDE, top + STAND_IN_SIDE))
        files.append(encode_png(np.asarray(part)))
    return files, "parts of scikit-learn's two sample photos"


def examples(rule: Preprocessing, count: int) -> list[bytes]:
    """Return small PNG files to be embedded in an exported file: digits, or coloured shapes.

    A user's own photos are not embedded, because the file may be passed on.
    """
    if rule.fit == "digit":
        images = data.load("mnist5k").validation.images[:count]
        return [encode_png(rule.transform_image(np.repeat(image, 3, axis=2))) for image in images]
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    size = (EXAMPLE_SIDE, EXAMPLE_SIDE * 3 // 4)
    blurred = (Image.fromarray(image).resize(size, Image.Resampling.BICUBIC) for image in small)
    return [encode_png(np.asarray(image)) for image in blurred]
