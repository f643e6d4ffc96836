"""Features are computed once for each image and network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neocog import classifier, models, recipes
from neocog.data import ImageSet, Preprocessing
from neocog.model_card import Architecture
from neocog.storage.cache import folder_of
from neocog.training import features
from neocog.training.network_features import NetworkBackbone

SIDE = 40
RECIPE = recipes.get("photos", {"image_size_pixels": SIDE, "precision": "float32"})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = models.build("squeezenet1_1", 2, 3, (SIDE, SIDE)).eval()
    rule = Preprocessing((SIDE, SIDE), 3, "crop", (0.5,) * 3, (0.5,) * 3)
    return classifier.Classifier.of_network(
        model, Architecture("squeezenet1_1", 2, 3, (64, 64)), rule, ("a", "b")
    )


def images(*seeds):
    images = [np.random.default_rng(n).integers(0, 256, (SIDE, SIDE, 3), np.uint8) for n in seeds]
    labels = np.array([n % 2 for n in seeds], dtype=np.int64)
    return ImageSet(np.stack(images), labels, ("a", "b"))


def computed(network, *parts, recipe=RECIPE, views=1):
    """The features of each part, the number from the cache, and the number reported as done."""
    told = []
    pairs = [(part, views) for part in parts]
    backbone = NetworkBackbone(recipe, network)
    tell = lambda *a: told.append(a)  # noqa: E731
    found, kept = features.compute_features(backbone, recipe.data, pairs, tell)
    stage, done, total = told[-1]
    assert stage == "features" and done == total
    return found, kept, done


def test_a_second_time_gives_the_same_without_the_network(network):
    first, kept, told = computed(network, images(1, 2, 3), images(4))
    assert kept == 0 and told == 4
    assert [rows.shape for rows in first] == [(1, 3, 512), (1, 1, 512)]
    again, kept, told = computed(network, images(4, 2), images(3, 1))
    assert kept == told == 4
    assert np.array_equal(again[0][0], np.stack([first[1][0, 0], first[0][0, 1]]))
    assert np.array_equal(again[1][0], first[0][0, [2, 0]])


def test_only_new_images_are_computed_and_old_ones_forgotten(network):
    computed(network, images(1, 2, 3))
    some, kept, told = computed(network, images(3, 9, 9))
    assert (kept, told) == (1, 3)
    alone = computed(network, images(9), recipe=replace(RECIPE, data="elsewhere"))[0][0]
    assert np.allclose(some[0][0, 1], alone[0, 0], atol=1e-5)
    assert np.array_equal(some[0][0, 1], some[0][0, 2])
    assert computed(network, images(1, 2))[1] == 0
    assert computed(network, images(1), images(2))[1] == 2


def test_images_that_come_last_are_kept_too(network):
    computed(network, images(1, 2))
    assert computed(network, images(1, 2), images(3))[1] == 2
    assert computed(network, images(1, 2), images(3))[1] == 3


def test_what_a_feature_depends_on_makes_it_anew(network):
    computed(network, images(1, 2))
    changes = {
        "normalisation": replace(
            network, preprocessing=replace(network.preprocessing, mean=(0.4, 0.5, 0.5))
        ),
        "name": replace(network, architecture=replace(network.architecture, name="other")),
    }
    for changed in changes.values():
        assert computed(changed, images(1, 2))[1] == 0
    assert computed(network, images(1, 2), recipe=replace(RECIPE, data="elsewhere"))[1] == 0
    with torch.no_grad():  # the last layer is what is fitted: it decides nothing
        network.model.get_submodule("classifier.1").weight.add_(1)
    assert computed(network, images(1, 2))[1] == 2
    with torch.no_grad():
        next(network.model.parameters()).add_(0.1)
    assert computed(network, images(1, 2))[1] == 0


def test_random_views_are_never_kept(network):
    found, kept, told = computed(network, images(1, 2), views=3)
    assert found[0].shape == (3, 2, 512)
    assert (kept, told) == (0, 6)
    assert not folder_of("features").exists()


def test_no_room_and_a_damaged_file_cost_time_only(network, monkeypatch):
    whole = computed(network, images(1, 2))[0][0]
    (file,) = folder_of("features").glob("*.safetensors")
    for damaged in (b"", b"nonsense", file.read_bytes()[:-1000]):
        file.write_bytes(damaged)
        again, kept, _ = computed(network, images(1, 2))
        assert kept == 0 and np.array_equal(again[0], whole)
    monkeypatch.setattr(features, "MAX_BYTES", 100)
    file.unlink()
    computed(network, images(1, 2))
    assert not file.exists()
    folder_of("features").rmdir()
    folder_of("features").write_text("a file where the folder should be")
    assert np.array_equal(computed(network, images(1, 2))[0][0], whole)
    none, kept, _ = computed(network, images(1), images(1).subset(np.zeros(0, int)))
    assert kept == 0 and none[1].size == 0
