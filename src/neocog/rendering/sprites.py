"""CSS sprites: many small images in one, so that a page with hundreds of images stays small."""

import io
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from neocog.rendering.grids import encode_data_uri, to_image
from neocog.rendering.tiling import Tiling, square_columns

MAX_SIDE = 112  # pixels: larger images are shrunk
DISPLAY_SIDE = 56  # pixels on the page, or about; small images are enlarged
JPEG_BLOCK = 16  # cells are multiples of JPEG's blocks: no colour bleeds into a neighbour


@dataclass(frozen=True)
class Sprite:
    """One image that holds many of the same size, and the CSS that shows one of them.

    Attributes:
        uri: The sheet as a data: URI.
        columns: Images in a row of the sheet.
        step: (x, y) distance between images in CSS pixels.
        display_size: (width, height) of one image in CSS pixels.
        sheet_size: (width, height) of the sheet in CSS pixels.
        pixelated: Whether images are enlarged without smoothing.
    """

    uri: str
    columns: int
    step: tuple[int, int]
    display_size: tuple[int, int]
    sheet_size: tuple[int, int]
    pixelated: bool

    def css_rule(self, name: str) -> Markup:
        """The CSS rule for all images: `<i class="NAME" style="POSITION">`."""
        rendering = "image-rendering:pixelated;" if self.pixelated else ""
        width, height = self.display_size
        return Markup(
            f".{name}{{display:inline-block;width:{width}px;height:{height}px;{rendering}"
            f"background:url({self.uri}) 0 0/{self.sheet_size[0]}px {self.sheet_size[1]}px}}"
        )

    def css_position(self, index: int) -> str:
        """The inline style that selects one image."""
        row, column = divmod(index, self.columns)
        return f"background-position:{-column * self.step[0]}px {-row * self.step[1]}px"


def make_sprite(images: NDArray[np.uint8]) -> Sprite:
    """A sprite of images (N, H, W, C), each shrunk to at most `MAX_SIDE` pixels a side."""
    count, height, width, channels = images.shape
    shrink = min(1.0, MAX_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    factor = max(1, round(DISPLAY_SIDE / max(size)))
    is_grey = channels == 1
    cell_width, cell_height = (n if is_grey else -(-n // JPEG_BLOCK) * JPEG_BLOCK for n in size)
    columns = square_columns(count, (cell_width, cell_height))
    tiling = Tiling(count, columns, (cell_width, cell_height))
    tiles = (to_image(image) for image in images)
    shrunk = (t if t.size == size else t.resize(size, Image.Resampling.BOX) for t in tiles)
    sheet = tiling.paste(shrunk, (0,) * channels)
    return Sprite(
        uri=_encode(sheet, lossless=is_grey),
        columns=columns,
        step=(cell_width * factor, cell_height * factor),
        display_size=(size[0] * factor, size[1] * factor),
        sheet_size=(sheet.width * factor, sheet.height * factor),
        pixelated=factor > 1,
    )


def _encode(image: Image.Image, *, lossless: bool) -> str:
    """An image as a data: URI: PNG if lossless, else JPEG."""
    file = io.BytesIO()
    if lossless:
        image.save(file, "PNG", compress_level=6)
    else:
        image.save(file, "JPEG", quality=82)
    return encode_data_uri(file.getvalue(), "png" if lossless else "jpeg")
