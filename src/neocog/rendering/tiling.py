"""The one place that arranges images in rows and columns."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image

WHITE = (255, 255, 255)
TRANSPARENT = (0, 0, 0, 0)


@dataclass(frozen=True)
class Tiling:
    """`count` cells in rows of `columns`, filled from the top left. All sizes are pixels.

    Attributes:
        count: Number of cells.
        columns: Cells in a full row.
        cell: (width, height) of a cell.
        gap: (x, y) distance between neighbouring cells.
        margin: (left, top, right, bottom) around all cells.
        min_columns: The sheet is at least as wide as so many columns, for a title.
    """

    count: int
    columns: int
    cell: tuple[int, int]
    gap: tuple[int, int] = (0, 0)
    margin: tuple[int, int, int, int] = (0, 0, 0, 0)
    min_columns: int = 1

    @property
    def rows(self) -> int:
        """Number of rows."""
        return -(-self.count // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the sheet."""
        left, top, right, bottom = self.margin
        columns = max(self.min_columns, min(self.columns, self.count))
        width = left + columns * (self.cell[0] + self.gap[0]) - self.gap[0] + right
        return width, top + self.rows * (self.cell[1] + self.gap[1]) - self.gap[1] + bottom

    def corner(self, index: int) -> tuple[int, int]:
        """(left, top) of a cell, counted from 0."""
        row, column = divmod(index, self.columns)
        left = self.margin[0] + column * (self.cell[0] + self.gap[0])
        return left, self.margin[1] + row * (self.cell[1] + self.gap[1])

    def sheet(self, background: tuple[int, ...] = WHITE) -> Image.Image:
        """An empty image; its mode is grey, RGB or RGBA, as `background` has 1, 3 or 4 values."""
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[len(background)]
        return Image.new(mode, self.size, background if len(background) > 1 else background[0])

    def paste(
        self, images: Iterable[Image.Image], background: tuple[int, ...] = WHITE
    ) -> Image.Image:
        """The images in their cells, each at the top left; transparent parts show the sheet."""
        sheet = self.sheet(background)
        for index, image in enumerate(images):
            mask = image if image.mode == "RGBA" and sheet.mode != "RGBA" else None
            sheet.paste(image, self.corner(index), mask)
        return sheet


def square_columns(count: int, cell: tuple[int, int]) -> int:
    """The number of columns that makes a sheet of (width, height) cells about square."""
    return max(1, min(count, math.ceil(math.sqrt(count * cell[1] / cell[0]))))
