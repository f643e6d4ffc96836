import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torchvision import transforms

from neocog.data import augment, hands
from neocog.data.loader import seeded


@pytest.fixture
def batch(mnist5k):
    return torch.tensor(mnist5k.train.images[:200]).permute(0, 3, 1, 2).float()


def test_shift_fills_with_black(batch):
    moved = augment.shift(batch, 2, seeded(1))
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2))
    places = set()
    for before, after in zip(padded, moved, strict=True):
        shifts = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(before[:, y : y + 28, x : x + 28], after)
        ]
        assert shifts
        places.add(shifts[0])
    assert len(places) == 25


def test_shift_can_reflect_the_edge(batch):
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


def test_grow_and_crop_matches_torchvision():
    """Image by image, torchvision's Resize(40) and RandomCrop(32), at equally likely positions."""
    images = torch.randint(0, 256, (162, 3, 32, 32), generator=seeded(5)).float()
    smooth = torch.nn.functional.avg_pool2d(images, 5, 1, 2).round()
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
        assert apart.min() <= 1  # Pillow rounds after each of its two passes
        places.view(-1)[apart.argmin()] += 1
    assert (places.sum(0) > 5).all() and (places.sum(1) > 5).all()


def test_alternating_flips_show_both_sides_in_two_epochs():
    first, second, third = (augment.flip_mask(1000, "alternating", 3, epoch) for epoch in range(3))
    assert torch.equal(first, ~second) and torch.equal(first, third)
    assert 400 < first.sum() < 600
    draws = [augment.flip_mask(1000, "random", 3, epoch) for epoch in range(2)]
    assert 400 < (draws[0] == draws[1]).sum() < 600
    assert augment.flip_mask(1000, "none", 3, 0) is None


def test_flip_flips_the_selected_images(batch):
    which = torch.arange(len(batch)) % 3 == 0
    mirrored = augment.flip(batch, which)
    assert torch.equal(mirrored[0], batch[0].flip(2)) and torch.equal(mirrored[1], batch[1])


def test_affine_without_bounds_changes_nothing(batch):
    same = augment.affine(batch, seeded(1), 0, 0, 0, 0)
    assert torch.allclose(same, batch, atol=1e-2)


def test_affine_rotation_is_bounded():
    """The far end of a line from the centre shows the angle of rotation."""
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


def test_vary_stroke_width_changes_the_requested_fractions(batch):
    changed = augment.vary_stroke_width(batch, 0.4, seeded(3))
    ink = (changed.sum((1, 2, 3)) - batch.sum((1, 2, 3))).sign()
    assert (ink > 0).float().mean() == pytest.approx(0.4, abs=0.1)
    assert (ink < 0).float().mean() == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("name", ["shift", "affine", "strokes", "grow", "elastic", "worn", "hands"])
def test_augmentations_depend_on_the_generator_and_copy_the_batch(name, batch):
    labels = torch.full((200,), 7)
    calls = {
        "shift": lambda g: augment.shift(batch, 2, g),
        "affine": lambda g: augment.affine(batch, g, 10, 0.1, 0.1, 1),
        "strokes": lambda g: augment.vary_stroke_width(batch, 0.3, g),
        "grow": lambda g: augment.grow_and_crop(batch, 36, g),
        "elastic": lambda g: augment.elastic(batch, 0.5, g),
        "worn": lambda g: augment.damage_strokes(batch, 0.5, g),
        "hands": lambda g: hands.add_continental_strokes(batch, labels, 0.5, g),
    }
    before = batch.clone()
    first, second, other = (calls[name](seeded(k)) for k in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(batch, before)
    assert first.shape == batch.shape


def test_elastic_deformation_is_smooth_and_bounded(batch):
    """A dot moves as its displacement says; near points move together, far ones independently."""
    dots = torch.zeros(200, 1, 28, 28)
    dots[:, :, 10, 10] = dots[:, :, 10, 14] = dots[:, :, 20, 20] = 255
    bent = augment.elastic(dots, 0.5, seeded(3))[:, 0]
    ys, xs = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")

    def place(rows, columns):
        part = bent[:, rows, columns]
        total = part.sum((1, 2)).clamp(min=1)
        return torch.stack(
            [(part * axis[rows, columns]).sum((1, 2)) / total for axis in (ys, xs)], 1
        )

    first = place(slice(7, 14), slice(7, 12)) - torch.tensor([10.0, 10.0])
    second = place(slice(7, 14), slice(12, 17)) - torch.tensor([10.0, 14.0])
    far = place(slice(17, 24), slice(17, 24)) - torch.tensor([20.0, 20.0])
    assert 0.2 < first.std() < 0.6 and abs(first.mean()) < 0.1
    assert (first - second).std() < 0.8 * (first - far).std()
    same = augment.elastic(batch, 0.0, seeded(1))
    assert torch.allclose(same, batch, atol=1e-2)


def test_damage_strokes_removes_ink_from_the_requested_fraction(batch):
    changed = augment.damage_strokes(batch, 0.6, seeded(3))
    assert (changed <= batch + 1e-3).all()
    less = changed.sum((1, 2, 3)) < batch.sum((1, 2, 3)) - 1
    # Some gaps miss the strokes, and some cuts remove nothing.
    assert 0.3 < less.float().mean() < 0.6
    lost = 1 - changed.sum((1, 2, 3)) / batch.sum((1, 2, 3))
    assert lost.max() < 0.5 and lost.mean() > 0.01


@pytest.mark.parametrize("digit", [1, 7, 9])
def test_continental_strokes_are_added_in_the_right_place(digit, mnist5k):
    chosen = np.flatnonzero(mnist5k.train.labels == digit)[:150]
    batch = torch.tensor(mnist5k.train.images[chosen]).permute(0, 3, 1, 2).float()
    labels = torch.full((len(batch),), digit)
    changed = hands.add_continental_strokes(batch, labels, 0.999, seeded(4))
    added = (changed.sum((1, 2, 3)) - batch.sum((1, 2, 3))) / 255
    assert 3 < added.median() < 25
    ys = torch.arange(28.0)[:, None]
    columns = torch.arange(28.0)
    for images in (batch, changed):
        total = images.sum((1, 2, 3))
        middle = (
            (images[:, 0] * ys).sum((1, 2)) / total,
            (images[:, 0] * columns).sum((1, 2)) / total,
        )
        assert all((abs(m - 14) <= 1.01).all() for m in middle)
    wider = spread(changed, 3) - spread(batch, 3)
    taller = spread(changed, 2) - spread(batch, 2)
    assert (wider >= -1).all() and (taller >= -1).all()
    assert {1: wider.median() >= 2, 7: taller.median() <= 1, 9: taller.median() <= 2}[digit]


def spread(batch, axis):
    """The number of rows (2) or columns (3) from the first to the last with ink, shape `(N,)`."""
    has = (batch[:, 0] > 64).any(2 if axis == 2 else 1).int()
    return 28 - has.argmax(1) - has.flip(1).argmax(1)


def test_continental_strokes_leave_other_digits_unchanged(mnist5k):
    batch = torch.tensor(mnist5k.train.images[::15]).permute(0, 3, 1, 2).float()
    labels = torch.tensor(mnist5k.train.labels[::15])
    changed = hands.add_continental_strokes(batch, labels, 0.5, seeded(4))
    same = torch.tensor([torch.equal(a, b) for a, b in zip(batch, changed, strict=True)])
    may = (labels == 1) | (labels == 7) | (labels == 9)
    assert same[~may].all()
    assert (~same[may]).float().mean() == pytest.approx(0.5, abs=0.15)


def test_stroke_coverage_matches_a_moving_disc():
    like = torch.zeros(1, 28, 28)
    begin, end, pen = torch.tensor([[5.0, 6.0]]), torch.tensor([[20.0, 15.0]]), torch.tensor([3.0])
    drawn = hands.stroke_coverage(like, begin, end, pen)[0]
    image = Image.new("L", (28 * 16, 28 * 16))
    draw = ImageDraw.Draw(image)
    for share in np.linspace(0, 1, 400):
        x, y = ((begin + share * (end - begin))[0].numpy() + 0.5) * 16
        draw.ellipse((x - 24, y - 24, x + 24, y + 24), 255)
    expected = np.asarray(image.resize((28, 28), Image.Resampling.BOX)) / 255
    assert np.abs(drawn.numpy() - expected).max() < 0.3
    assert drawn.sum() == pytest.approx(expected.sum(), rel=0.03)
