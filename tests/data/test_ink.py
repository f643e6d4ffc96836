"""A digit drawn as MNIST drew it, set on paper in many ways, is found as MNIST had it."""

from contextlib import suppress

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from neocog.data.ink import find_digit
from neocog.errors import NeocogError


def drawn(image, size):
    """A 28 x 28 digit as crisp ink, 0..1, size x size."""
    large = np.asarray(Image.fromarray(image[:, :, 0]).resize((size, size), 3), dtype=np.float32)
    return np.clip((large / 255 - 0.5) * 4 + 0.5, 0, 1)


def on_paper(ink, paper=(235, 232, 225), colour=(30, 30, 40), canvas=(360, 300), at=(40, 30)):
    """Ink of a colour on paper, as H x W x 3 floats."""
    alpha = np.zeros((*canvas, 1), dtype=np.float32)
    alpha[at[0] : at[0] + ink.shape[0], at[1] : at[1] + ink.shape[1], 0] = ink
    return np.array(paper) * (1 - alpha) + np.array(colour) * alpha


def shade(picture, low):
    return picture * np.linspace(1, low, picture.shape[1])[None, :, None]


def shadow(picture):
    picture = picture.copy()
    picture[:, 170:] *= 0.6
    return picture


def table_edge(picture):
    picture = picture.copy()
    picture[320:] = (90, 60, 40)
    return picture


def noise(picture):
    return picture + np.random.default_rng(0).normal(0, 9, picture.shape)


WAYS = {
    "black on white": lambda ink: on_paper(ink),
    "white on black": lambda ink: on_paper(ink, (15, 15, 15), (240, 240, 240)),
    "chalk on green": lambda ink: on_paper(ink, (40, 80, 60), (230, 230, 220)),
    "blue ink": lambda ink: on_paper(ink, colour=(40, 60, 170)),
    "red ink": lambda ink: on_paper(ink, colour=(200, 50, 50)),
    "pale pencil": lambda ink: on_paper(ink, colour=(170, 168, 165)),
    "in a corner": lambda ink: on_paper(ink, at=(155, 98)),
    "lit from the left": lambda ink: shade(on_paper(ink), 0.4),
    "half in shadow": lambda ink: shadow(on_paper(ink)),
    "noisy": lambda ink: noise(on_paper(ink)),
    "a table's edge below": lambda ink: table_edge(on_paper(ink)),
    "small on a large sheet": lambda ink: on_paper(ink, canvas=(1200, 900), at=(700, 500)),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_digit_is_found_as_mnist_had_it(way, mnist5k):
    likeness = []
    for image in mnist5k.test.images[::100]:
        picture = WAYS[way](drawn(image, 200)).clip(0, 255).astype(np.uint8)
        found = find_digit(picture, size=28, box=20)
        # Blurred a little: strokes may be thicker than the original's, but not elsewhere.
        pair = [
            ndimage.gaussian_filter(x.astype(float), 1.2).ravel() for x in (found, image[..., 0])
        ]
        likeness.append(np.corrcoef(*pair)[0, 1])
    assert np.mean(np.array(likeness) > 0.85) >= 0.9, sorted(likeness)[:5]


def test_the_longer_side_fills_the_box_and_the_mass_lies_in_the_middle(mnist5k):
    for image in mnist5k.test.images[::50]:
        picture = on_paper(drawn(image, 200)).astype(np.uint8)
        found = find_digit(picture, size=28, box=20)
        rows, columns = np.nonzero(found > 64)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22
        middle = ndimage.center_of_mass(found)
        assert np.abs(np.array(middle) - 13.5).max() < 0.6


@pytest.mark.parametrize("pen", [1, 30])
def test_a_hairline_and_a_broad_brush_get_the_stroke_that_mnist_has(pen):
    picture = np.full((400, 400, 3), 240, np.uint8)
    picture[60:340, 200 - pen : 200 + pen] = 20
    found = find_digit(picture, 28, 20).astype(float) / 255
    assert 1.5 < found[14].sum() < 5


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (28, 28), (5, 5)])
def test_any_shape_is_taken_or_refused_but_never_fails(shape):
    random = np.random.default_rng(1)
    picture = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    with suppress(NeocogError):
        assert find_digit(picture, 28, 20).shape == (28, 28)
    with pytest.raises(NeocogError, match="shows no ink"):
        find_digit(np.full((*shape, 3), 128, np.uint8), 28, 20)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_sheet_has_no_digit(grey):
    paper = np.random.default_rng(0).normal(grey, 2, (300, 300, 3)).clip(0, 255)
    with pytest.raises(NeocogError, match="shows no ink"):
        find_digit(paper.astype(np.uint8), 28, 20)
