"""Many small images in one image, so that a page that shows hundreds stays small."""

import io
import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from neocog.rendering.grids import address, shown

MOST = 112  # pixels a side that are kept of an image
LEAST = 56  # pixels a side that it is shown at, or about
BLOCK = 16  # what JPEG takes together: no image's colours run into its neighbour's


@dataclass(frozen=True)
class Sprite:
    """An image of many images of one size, and how a page shows one of them.

    `uri` is the image as a data address; the other sizes are in the page's pixels: those of one
    image and of the whole image.
    """

    uri: str
    columns: int
    step: tuple[float, float]
    shown: tuple[int, int]
    size: tuple[float, float]
    pixelated: bool

    def rule(self, name: str) -> Markup:
        """The style rule of the images: `<i class="NAME" style="PLACE">`."""
        drawn = "image-rendering:pixelated;" if self.pixelated else ""
        return Markup(
            f".{name}{{display:inline-block;width:{self.shown[0]}px;height:{self.shown[1]}px;"
            f"{drawn}background:url({self.uri}) 0 0/{self.size[0]:g}px {self.size[1]:g}px}}"
        )

    def place(self, number: int) -> str:
        """The style that shows one image."""
        row, column = divmod(number, self.columns)
        return f"background-position:{-column * self.step[0]:g}px {-row * self.step[1]:g}px"


def sprite(images: NDArray[np.uint8]) -> Sprite:
    """One image of N x H x W x C images, each at most `MOST` pixels a side."""
    count, height, width, channels = images.shape
    shrink = min(1.0, MOST / max(height, width))
    tall, wide = max(1, round(height * shrink)), max(1, round(width * shrink))
    grown = max(1, round(LEAST / max(tall, wide)))
    grey = channels == 1
    step_y, step_x = (n if grey else -(-n // BLOCK) * BLOCK for n in (tall, wide))
    columns = max(1, min(count, math.ceil(math.sqrt(count * step_y / step_x))))
    rows = -(-count // columns)
    sheet = np.zeros((rows * step_y, columns * step_x, channels), dtype=np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * step_y, number % columns * step_x
        sheet[top : top + tall, left : left + wide] = _small(image, tall, wide)
    return Sprite(
        uri=_packed(shown(sheet), lossless=grey),
        columns=columns,
        step=(step_x * grown, step_y * grown),
        shown=(wide * grown, tall * grown),
        size=(columns * step_x * grown, rows * step_y * grown),
        pixelated=grown > 1,
    )


def _small(image: NDArray[np.uint8], tall: int, wide: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (tall, wide):
        return image
    small = np.asarray(shown(image).resize((wide, tall), Image.Resampling.BOX))
    return small.reshape(tall, wide, -1)


def _packed(image: Image.Image, lossless: bool) -> str:
    """An image as a data address: PNG, or JPEG."""
    file = io.BytesIO()
    if lossless:
        image.save(file, "PNG", compress_level=6)
    else:
        image.save(file, "JPEG", quality=82)
    return address(file.getvalue(), "png" if lossless else "jpeg")
