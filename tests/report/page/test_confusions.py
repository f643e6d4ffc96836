import numpy as np

from neocog.data import ImageSet
from neocog.report.page import confusions

from .test_page import answered


def test_every_cell_shows_some_and_mistakes_come_first():
    labels, shares = answered(3000, 5)
    test = ImageSet(np.zeros((3000, 28, 28, 1), np.uint8), labels, tuple("abcde"))
    found = confusions.confusion(test, shares)
    cells = [cell for row in found.rows for cell in row if cell]
    assert sum(cell.count for cell in cells) == 3000
    assert all(cell.images for cell in cells)
    shown = sum(len(cell.images) for cell in cells)
    assert shown <= confusions.BUDGET_GREY
    for cell in cells:
        order = [it.probability for it in cell.images]
        assert order == sorted(order, reverse=not cell.is_correct)
        if not cell.is_correct:
            assert len(cell.images) >= min(cell.count, 50)
