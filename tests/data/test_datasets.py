from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from neocog import data
from neocog.data.sources import bundled
from neocog.errors import UsageError
from neocog.recipes import DEFAULT_FOR_DATA, RECIPES

EMBEDDED = ["mnist5k", "digits"]


def test_mnist5k_is_split_3500_500_1000_stratified(mnist5k):
    assert [len(part) for part in mnist5k.parts.values()] == [3500, 500, 1000]
    for part in mnist5k.parts.values():
        assert len(set(np.bincount(part.labels))) == 1
    assert mnist5k.classes == tuple("0123456789")


def test_digits_equal_scikit_learns():
    reference = load_digits()
    digits = bundled.read_digits()
    assert (digits.labels == reference.target).all()
    assert np.abs(digits.images[:, :, :, 0] / 255 * 16 - reference.images).max() < 0.04


@pytest.mark.parametrize("name", EMBEDDED)
def test_splits_are_disjoint_and_reproducible(name):
    splits = data.load(name)
    assert splits.describe() == data.load(name).describe()
    shapes = {part.images.shape[1:] for part in splits.parts.values()}
    assert len(shapes) == 1
    if name == "mnist5k":  # in `digits` some 8 x 8 images are equal by nature
        seen = [image.tobytes() for part in splits.parts.values() for image in part.images]
        assert len(set(seen)) == len(seen)


def test_validation_size_is_honoured():
    assert len(data.load("digits", data.DataConfig(validation_size=0)).validation) == 0
    assert len(data.load("digits", data.DataConfig(validation_size=99)).validation) == 99


@pytest.mark.parametrize("name", data.DATASETS)
def test_a_dataset_defaults_to_its_own_normalization(name, monkeypatch):
    recipe = RECIPES[DEFAULT_FOR_DATA[name]]
    channels = len(recipe.mean)
    side = 8 if name == "digits" else 32 if channels == 3 else 28
    images = np.random.default_rng(0).integers(0, 256, (60, side, side, channels), dtype=np.uint8)
    labels = np.arange(60, dtype=np.int64) % 2
    image_set = data.ImageSet(images, labels, ("a", "b"))
    entry = data.DATASETS[name]
    few = replace(
        entry,
        read=lambda _: (image_set, None if entry.test_size else image_set),
        validation_size=10,
        test_size=10 if entry.test_size else 0,
    )
    monkeypatch.setitem(data.DATASETS, name, few)
    rule = data.load(name).preprocessing
    assert (rule.mean, rule.std) == (recipe.mean, recipe.std)
    other = data.load(name, data.DataConfig((0.5,) * channels, (0.25,) * channels)).preprocessing
    assert (other.mean, other.std) == ((0.5,) * channels, (0.25,) * channels)


def test_a_fingerprint_changes_with_the_data(mnist5k):
    test = mnist5k.test
    changed = test.images.copy()
    changed[5, 5, 5] += 1
    swapped = test.labels[::-1].copy()
    prints = {
        test.fingerprint(),
        data.ImageSet(changed, test.labels, test.classes).fingerprint(),
        data.ImageSet(test.images, swapped, test.classes).fingerprint(),
        data.ImageSet(test.images, test.labels, test.classes[::-1]).fingerprint(),
        test.subset(np.arange(len(test))[::-1].copy()).fingerprint(),
    }
    assert len(prints) == 5


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'mnist5k'"):
        data.load("minst5k")
