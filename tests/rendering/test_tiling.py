import numpy as np
import pytest
from PIL import Image

from neocog.rendering.tiling import TRANSPARENT, Tiling, square_columns


def test_cells_fill_rows_from_the_top_left():
    tiling = Tiling(5, 3, (10, 4), (2, 1), (7, 6, 5, 3))
    assert (tiling.rows, tiling.size) == (2, (7 + 3 * 10 + 2 * 2 + 5, 6 + 2 * 4 + 1 + 3))
    assert [tiling.corner(n) for n in (0, 2, 3)] == [(7, 6), (31, 6), (7, 11)]


def test_a_sheet_is_as_wide_as_its_cells_or_its_least_columns():
    assert Tiling(2, 8, (10, 4)).size == (20, 4)
    assert Tiling(2, 8, (10, 4), min_columns=4).size == (40, 4)


def test_every_image_lies_in_its_cell_and_gaps_show_the_background():
    images = [Image.new("RGB", (3, 2), (n, n, n)) for n in range(1, 4)]
    sheet = np.asarray(Tiling(3, 2, (3, 2), (1, 1)).paste(images, TRANSPARENT))
    assert sheet.shape == (5, 7, 4)
    for n, (left, top) in enumerate(((0, 0), (4, 0), (0, 3)), start=1):
        assert (sheet[top : top + 2, left : left + 3] == (n, n, n, 255)).all()
    assert (sheet[:, 3] == 0).all() and (sheet[2] == 0).all() and (sheet[3:, 4:] == 0).all()


def test_transparent_parts_of_an_image_show_the_sheet():
    image = Image.new("RGBA", (2, 2), TRANSPARENT)
    sheet = Tiling(1, 1, (2, 2)).paste([image], (9, 8, 7))
    assert sheet.mode == "RGB" and sheet.getpixel((1, 1)) == (9, 8, 7)


@pytest.mark.parametrize("count", [1, 7, 64])
def test_a_sheet_is_about_square(count):
    columns = square_columns(count, (10, 20))
    width, height = Tiling(count, columns, (10, 20)).size
    assert columns <= count and 0.4 < width / height < 2.2
