import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from neocog.data import augment
from neocog.data.loader import seeded


@pytest.fixture
def batch(mnist5k):
    return torch.tensor(mnist5k.train.images[:200]).permute(0, 3, 1, 2).float()


def test_shift_moves_whole_pictures_and_brings_in_black(batch):
    moved = augment.shift(batch, 2, seeded(1))
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2))
    places = set()
    for before, after in zip(padded, moved, strict=True):
        found = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(before[:, y : y + 28, x : x + 28], after)
        ]
        assert found
        places.add(found[0])
    assert len(places) == 25


def test_shift_brings_in_the_mirrored_edge_where_asked(batch):
    moved = augment.shift(batch, 2, seeded(1), "reflect")
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2), mode="reflect")
    assert all(
        any(
            torch.equal(before[:, y : y + 28, x : x + 28], after)
            for y in range(5)
            for x in range(5)
        )
        for before, after in zip(padded, moved, strict=True)
    )


def test_grow_and_crop_is_the_tutorials_transform_on_a_batch():
    """Resize(40) and RandomCrop(32) of torchvision, picture by picture, at every place alike."""
    pictures = torch.randint(0, 256, (162, 3, 32, 32), generator=seeded(5)).float()
    smooth = torch.nn.functional.avg_pool2d(pictures, 5, 1, 2).round()
    changed = augment.grow_and_crop(smooth, 40, seeded(1))
    places = torch.zeros(9, 9)
    for before, after in zip(smooth, changed, strict=True):
        image = Image.fromarray(before.permute(1, 2, 0).to(torch.uint8).numpy())
        grown = torch.tensor(np.asarray(transforms.Resize(40)(image))).permute(2, 0, 1).float()
        apart = torch.stack(
            [
                (grown[:, y : y + 32, x : x + 32] - after).abs().max()
                for y in range(9)
                for x in range(9)
            ]
        )
        assert apart.min() <= 1  # Pillow rounds between its two passes
        places.view(-1)[apart.argmin()] += 1
    assert (places.sum(0) > 5).all() and (places.sum(1) > 5).all()


def test_alternating_flips_show_both_forms_in_two_epochs():
    first, second, third = (
        augment.which_are_mirrored(1000, "alternating", 3, epoch) for epoch in range(3)
    )
    assert torch.equal(first, ~second) and torch.equal(first, third)
    assert 400 < first.sum() < 600
    draws = [augment.which_are_mirrored(1000, "random", 3, epoch) for epoch in range(2)]
    assert 400 < (draws[0] == draws[1]).sum() < 600
    assert augment.which_are_mirrored(1000, "none", 3, 0) is None


def test_mirror_exchanges_left_and_right_where_told(batch):
    which = torch.arange(len(batch)) % 3 == 0
    mirrored = augment.mirror(batch, which)
    assert torch.equal(mirrored[0], batch[0].flip(2)) and torch.equal(mirrored[1], batch[1])


def test_affine_without_bounds_changes_nothing(batch):
    same = augment.affine(batch, seeded(1), 0, 0, 0, 0)
    assert torch.allclose(same, batch, atol=1e-2)


def test_affine_turns_no_further_than_its_bound():
    """A line from the centre to the right, turned: its far end says by how much."""
    batch = torch.zeros(300, 1, 101, 101)
    batch[:, :, 50, 50:95] = 255
    turned = augment.affine(batch, seeded(2), 20, 0, 0, 0)[:, 0]
    ys, xs = torch.meshgrid(torch.arange(101.0) - 50, torch.arange(101.0) - 50, indexing="ij")
    total = turned.sum((1, 2))
    angles = torch.atan2((turned * ys).sum((1, 2)) / total, (turned * xs).sum((1, 2)) / total)
    degrees = angles * 180 / math.pi
    assert degrees.abs().max() < 20.5
    assert degrees.min() < -17
    assert degrees.max() > 17


def test_strokes_thicken_and_thin_the_shares_asked_for(batch):
    changed = augment.strokes(batch, 0.4, seeded(3))
    ink = (changed.sum((1, 2, 3)) - batch.sum((1, 2, 3))).sign()
    assert (ink > 0).float().mean() == pytest.approx(0.4, abs=0.1)
    assert (ink < 0).float().mean() == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("name", ["shift", "affine", "strokes", "grow"])
def test_the_generator_decides_and_the_batch_is_not_changed(name, batch):
    calls = {
        "shift": lambda g: augment.shift(batch, 2, g),
        "affine": lambda g: augment.affine(batch, g, 10, 0.1, 0.1, 1),
        "strokes": lambda g: augment.strokes(batch, 0.3, g),
        "grow": lambda g: augment.grow_and_crop(batch, 36, g),
    }
    before = batch.clone()
    first, second, other = (calls[name](seeded(k)) for k in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(batch, before)
    assert first.shape == batch.shape
