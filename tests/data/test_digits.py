"""A digit of MNIST drawn on paper in many ways is found as MNIST has it."""

from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from neocog.data.decode import ImageError, ImageErrorKind
from neocog.data.digits import find_digit
from neocog.errors import NeocogError

SPARE = 26  # less than the empty border of a digit drawn at 200, (28 - 20) / 2 / 28 of it


def drawn(image, size):
    """A 28 x 28 digit as crisp ink, 0..1, shape `(size, size)`."""
    large = np.asarray(Image.fromarray(image[:, :, 0]).resize((size, size), 3), dtype=np.float32)
    return np.clip((large / 255 - 0.5) * 4 + 0.5, 0, 1)


def on_paper(ink, paper=(235, 232, 225), colour=(30, 30, 40), canvas=(360, 300), at=(40, 30)):
    """Coloured ink on paper, floats of shape `(H, W, 3)`."""
    alpha = np.zeros((*canvas, 1), dtype=np.float32)
    top, left = np.maximum(at, 0)
    seen = ink[top - at[0] : canvas[0] - at[0], left - at[1] : canvas[1] - at[1]]
    alpha[top : top + seen.shape[0], left : left + seen.shape[1], 0] = seen
    return np.array(paper) * (1 - alpha) + np.array(colour) * alpha


def cropped(canvas):
    """Crop to the bounding box of the ink."""
    rows, columns = np.nonzero(canvas.mean(axis=2) < 128)
    return canvas[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def shade(canvas, low):
    return canvas * np.linspace(1, low, canvas.shape[1])[None, :, None]


def shadow(canvas):
    canvas = canvas.copy()
    canvas[:, 170:] *= 0.6
    return canvas


def table_edge(canvas):
    canvas = canvas.copy()
    canvas[320:] = (90, 60, 40)
    return canvas


def noise(canvas):
    return canvas + np.random.default_rng(0).normal(0, 9, canvas.shape)


def with_printed_lines(canvas, edges, inset=6, thick=4, tilt=0.0, shade=70):
    """Draw lines of a printed box along edges: 0 top, 1 right, 2 bottom, 3 left."""
    canvas = canvas.copy()
    for edge in edges:
        turned = np.rot90(canvas, edge)  # a view in which the edge is at the top
        for x in range(turned.shape[1]):
            y = max(0, inset + round(tilt * (x - turned.shape[1] / 2)))
            turned[y : y + thick, x] = shade
    return canvas


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
    "a printed line above": lambda ink: with_printed_lines(on_paper(ink), [0]),
    "a printed square": lambda ink: with_printed_lines(on_paper(ink), [0, 1, 2, 3]),
    "a printed line, tilted": lambda ink: with_printed_lines(
        on_paper(ink), [1], inset=10, tilt=0.03
    ),
    "half a line's width": lambda ink: with_printed_lines(on_paper(ink), [0, 3], inset=0, thick=2),
    "pale ink, black lines": lambda ink: with_printed_lines(
        on_paper(ink, colour=(170, 168, 165)), [0, 1], shade=0
    ),
    "across a printed line": lambda ink: with_printed_lines(
        on_paper(ink, at=(144, 60)), [2], inset=22
    ),
    "at the upper edge": lambda ink: on_paper(ink, canvas=(240, 240), at=(-SPARE, 20)),
    "at the right edge": lambda ink: on_paper(ink, canvas=(240, 240), at=(20, 40 + SPARE)),
    "cut out tightly": lambda ink: cropped(on_paper(ink)),
    "small on a large sheet": lambda ink: on_paper(ink, canvas=(1200, 900), at=(700, 500)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_digit_on_paper_is_found_as_in_mnist(way, mnist5k):
    likeness = []
    for image in mnist5k.test.images[::100]:
        canvas = WAYS[way](drawn(image, 200)).clip(0, 255).astype(np.uint8)
        digit_image = find_digit(canvas, size=28, box=20)
        # Slightly blurred: strokes may be thicker than the original, but not elsewhere.
        pair = [
            ndimage.gaussian_filter(x.astype(float), 1.2).ravel()
            for x in (digit_image, image[..., 0])
        ]
        likeness.append(np.corrcoef(*pair)[0, 1])
    assert np.mean(np.array(likeness) > 0.85) >= 0.9, sorted(likeness)[:5]


def test_the_longer_side_fills_the_box_and_the_mass_is_centred(mnist5k):
    for image in mnist5k.test.images[::50]:
        canvas = on_paper(drawn(image, 200)).astype(np.uint8)
        digit_image = find_digit(canvas, size=28, box=20)
        rows, columns = np.nonzero(digit_image > 64)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22
        middle = ndimage.center_of_mass(digit_image)
        assert np.abs(np.array(middle) - 13.5).max() < 0.6


@pytest.mark.parametrize("pen", [1, 30])
def test_thin_and_thick_strokes_are_normalized(pen):
    canvas = np.full((400, 400, 3), 240, np.uint8)
    canvas[60:340, 200 - pen : 200 + pen] = 20
    digit_image = find_digit(canvas, 28, 20).astype(float) / 255
    assert 1.5 < digit_image[14].sum() < 5


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (28, 28), (5, 5)])
def test_any_shape_is_accepted_or_refused(shape):
    random = np.random.default_rng(1)
    canvas = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    with suppress(NeocogError):
        assert find_digit(canvas, 28, 20).shape == (28, 28)
    with pytest.raises(NeocogError, match="shows no ink"):
        find_digit(np.full((*shape, 3), 128, np.uint8), 28, 20)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_sheet_has_no_digit(grey):
    paper = np.random.default_rng(0).normal(grey, 2, (300, 300, 3)).clip(0, 255)
    with pytest.raises(ImageError, match="shows no ink") as caught:
        find_digit(paper.astype(np.uint8), 28, 20)
    assert caught.value.kind is ImageErrorKind.NO_INK


def lines(*strokes, canvas=(28, 28), pen=1, smooth=1):
    """White lines through points (x, y) on black, `(H, W, 3)`; `smooth` > 1 softens their edges."""
    image = Image.new("L", (canvas[1] * smooth, canvas[0] * smooth))
    draw = ImageDraw.Draw(image)
    for points in strokes:
        draw.line([(x * smooth, y * smooth) for x, y in points], 255, pen * smooth)
    grey = np.asarray(image.resize(canvas[::-1], Image.Resampling.BOX))
    return np.repeat(grey[:, :, None], 3, axis=2)


SEVEN = [(4, 4), (14, 4), (8, 19)]


def test_mnist_digits_are_unchanged_bit_for_bit(mnist5k):
    preprocessing = mnist5k.preprocessing
    for image in np.concatenate([mnist5k.train.images, mnist5k.test.images]):
        canvas = np.repeat(image, 3, axis=2)
        assert preprocessing.crop_info(canvas).as_it_is
        assert np.array_equal(preprocessing.transform_image(canvas), image)


@pytest.mark.parametrize("smooth", [1, 4])
def test_a_small_off_centre_28_x_28_digit_is_placed_again(mnist5k, smooth):
    canvas = lines(SEVEN, smooth=smooth)
    assert not mnist5k.preprocessing.crop_info(canvas).as_it_is
    digit_image = mnist5k.preprocessing.transform_image(canvas)[:, :, 0]
    rows, columns = np.nonzero(digit_image > 64)
    assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21
    assert np.abs(np.array(ndimage.center_of_mass(digit_image)) - 13.5).max() < 0.6
    assert 1.5 < digit_image[16].astype(float).sum() / 255 < 5  # the stem, as thick as in MNIST
    # Connected: no diagonal line has been broken.
    assert ndimage.label(digit_image > 64, np.ones((3, 3)))[1] == 1


@pytest.mark.parametrize("pen", [2, 9])
def test_the_bar_of_a_tightly_cropped_7_is_not_a_printed_line(pen):
    canvas = 255 - lines([(0, 1), (99, 1), (40, 150)], canvas=(150, 100), pen=pen)
    digit_image = find_digit(canvas, 28, 20)
    above = digit_image[digit_image.max(axis=1) > 64][:3]
    assert (above > 64).any(axis=0).sum() >= 11


def test_a_stroke_cut_by_the_edge_belongs_to_its_digit():
    """The two parts of a 5 both leave the image at the top."""
    body = [(60, -5), (55, 90), (110, 100), (120, 150), (60, 190)]
    canvas = 255 - lines(body, [(75, 2), (130, 1)], canvas=(220, 180), pen=8)
    digit_image = find_digit(canvas, 28, 20)
    assert (digit_image[:8, 14:] > 64).any()
