import base64
import io
import re

import numpy as np
from PIL import Image

from neocog.rendering import sprites


def test_a_sprite_gives_every_image_back():
    images = np.random.default_rng(0).integers(0, 256, (7, 9, 5, 1), dtype=np.uint8)
    made = sprites.make_sprite(images)
    sheet = Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2])))
    pixels = np.asarray(sheet)
    grown = made.display_size[0] // 5
    for number, image in enumerate(images):
        x, y = map(float, re.findall(r"(-?[\d.]+)px", made.css_position(number)))
        left, top = int(-x / grown), int(-y / grown)
        np.testing.assert_array_equal(pixels[top : top + 9, left : left + 5], image[:, :, 0])


def test_a_photo_keeps_its_shape_in_a_sprite():
    made = sprites.make_sprite(np.zeros((3, 100, 200, 3), np.uint8))
    assert made.display_size == (sprites.MAX_SIDE, sprites.MAX_SIDE // 2)
    assert made.uri.startswith("data:image/jpeg")
