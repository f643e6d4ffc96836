import base64
import io

import numpy as np
import torch
from PIL import Image

from neocog.rendering import grids


def test_heat_lies_where_it_is_and_nowhere_else():
    image = np.full((28, 28, 1), 100, np.uint8)
    heat = torch.zeros(28, 28)
    heat[5, 20] = 3.0
    seen = np.asarray(grids.overlay(image, heat))
    assert seen.shape[:2] == (112, 112)
    assert (seen[60:, :60] == 100).all()  # grey, as the image is
    red, _, blue = seen[22, 82].astype(int)
    assert red > blue + 50


def test_what_speaks_for_is_orange_and_against_blue():
    values = np.zeros((16, 16))
    values[4, 4], values[12, 12] = 1.0, -1.0
    seen = np.asarray(grids.signed_overlay(np.full((16, 16, 3), 255, np.uint8), values)).astype(int)
    for_it, against = seen[31, 31], seen[87, 87]
    assert for_it[0] > for_it[2] + 40 and against[2] > against[0] + 40


def test_maps_of_positive_numbers_are_grey_and_share_a_scale():
    maps = torch.stack([torch.full((4, 4), 1.0), torch.full((4, 4), 0.0)])
    seen = np.asarray(grids.map_grid(maps, columns=2))
    assert seen.shape == (4, 9, 4)
    assert seen[0, 0, :3].tolist() == list(grids.GREY[1])
    assert seen[0, 5, :3].tolist() == list(grids.GREY[0])
    assert seen[0, 4, 3] == 0  # what lies between is transparent


def test_no_activity_at_all_is_dark_and_no_error():
    assert np.asarray(grids.map_grid(torch.zeros(1, 3, 3)))[0, 0, :3].max() < 30
    assert np.isfinite(
        np.asarray(grids.overlay(np.zeros((8, 8, 3), np.uint8), torch.zeros(8, 8)))
    ).all()


def test_filters_of_three_channels_are_in_colour():
    filters = torch.zeros(1, 3, 2, 2)
    filters[0, 0] = 1.0  # red
    assert np.asarray(grids.filter_grid(filters))[0, 0].tolist() == [255, 128, 128, 255]


def test_addresses_hold_the_image():
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    for photo, kind in ((False, "PNG"), (True, "JPEG")):
        data = grids.data_uri(image, photo=photo).partition(",")[2]
        read = Image.open(io.BytesIO(base64.b64decode(data)))
        assert read.format == kind and read.size == (4, 4)
