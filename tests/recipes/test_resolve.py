"""What a recipe finally is, with the real networks, weights and files."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from neocog import classifier, models, recipe_context, recipes
from neocog.data import DATASETS
from neocog.errors import UsageError
from neocog.models import MODELS, has_weights
from neocog.recipes.resolve import choose, resolve, scratch_overrides


def final(recipe=None, **changes):
    """The recipe that `neocog train --recipe RECIPE --set FIELD=VALUE ...` trains."""
    data, model = changes.get("data"), changes.get("model")
    return resolve(recipe_context, recipe, data=data, model=model, overrides=changes)


def test_data_have_a_default_recipe():
    assert choose(None, None, has_weights) == "quickstart"
    assert choose("mnist", None, has_weights) == "mnist"
    assert choose("my photos/", None, has_weights) == "photos"


@pytest.mark.parametrize(
    ("data", "model", "expected"),
    [
        (None, None, "quickstart"),
        ("mnist", None, "mnist"),
        ("mnist", "lenet5", "mnist"),  # a network that trains by the data's own recipe
        (None, "lenet5-1998", "lenet5-1998"),  # one that needs its own
        ("mnist5k", "lenet5-1998", "lenet5-1998"),
        ("cifar100", "vgg16", "vgg16"),
        ("cifar10", "threenet", "cifar10-plain"),  # cifar10's own is tuned to its network
        ("cifar10", "[conv3-8 relu] fc", "cifar10-plain"),
        ("cifar10", "cifarnet", "cifar10"),
        ("cifar100", "cifarnet", "cifar100"),
        (None, "convnet", "quickstart"),
        ("a folder", "resnet18", "photos"),
        ("a folder", "timm/resnet10t", "photos"),
        ("a folder", "convnet", "scratch"),
    ],
)
def test_the_default_recipe_is_the_networks_or_the_datas(data, model, expected):
    assert choose(data, model, has_weights) == expected
    changes = {key: value for key, value in {"data": data, "model": model}.items() if value}
    assert final("digits", **changes).name == "digits"


@pytest.mark.parametrize("name", MODELS)
def test_every_network_is_trained_by_a_recipe(name):
    """By its own recipe or that of the data it was designed for: a new network needs none."""
    channels, side, _ = MODELS[name].input
    data = "mnist" if channels == 1 else "cifar10" if side == 32 else "a folder"
    chosen = recipes.get(choose(data, name, has_weights), {"model": name})
    assert chosen.model == name
    assert (chosen.data in ("PHOTOS", "cifar10")) == (channels == 3)


def test_a_network_of_torchvision_with_weights_costs_its_entry_in_models(monkeypatch):
    entry = replace(MODELS["resnet18"], location="resnet:wide_resnet50_2")
    monkeypatch.setitem(MODELS, "wide_resnet50_2", entry)
    recipe = final(data="a folder", model="wide_resnet50_2")
    assert recipe.name == "photos" and recipe.image_size_pixels == 224
    assert recipe.mean == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.parametrize(("count", "side"), [(1999, 28), (70_000, 224), (70_000, 0)])
def test_few_or_large_images_have_no_scratch_overrides(count, side):
    assert scratch_overrides(count, side) is None


def test_many_small_images_are_trained_from_scratch():
    changed = recipes.get("scratch", scratch_overrides(70_000, 28))
    assert (changed.image_size_pixels, changed.augment_shift_pixels, changed.epochs) == (28, 3, 10)
    assert scratch_overrides(2000, 64)["epochs"] == 40


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (None, {}, "scratch"),
        (None, {"epochs": 3}, "scratch"),
        (None, {"fine_tune": True}, "photos"),
        (None, {"model": "resnet18"}, "photos"),
        ("photos", {}, "photos"),
    ],
)
def test_small_images_decide_only_what_was_left_open(tmp_path, name, changes, expected):
    """In a context where every dataset is of 3,000 images of 32 pixels a side."""
    measured = {"measure": lambda *_: (3000, 32)}
    context = SimpleNamespace(**(vars(recipe_context) | measured))
    overrides, seen = {"data": str(tmp_path), **changes}, []
    recipe = resolve(
        context,
        name,
        data=str(tmp_path),
        model=changes.get("model"),
        overrides=overrides,
        on_small=lambda *measured: seen.append(measured),
    )
    assert recipe.name == expected
    assert seen == ([(3000, 32)] if expected == "scratch" else [])
    if expected == "scratch":
        assert recipe.image_size_pixels == 32 and recipe.epochs == changes.get("epochs", 40)


def test_unset_fields_come_from_the_weights():
    recipe = final("photos")
    assert (recipe.mean, recipe.std) == ((0.5,) * 3, (0.5,) * 3)
    assert (recipe.image_size_pixels, recipe.resize_pixels) == (224, 256)
    small = final("photos", image_size_pixels=112)
    assert (small.image_size_pixels, small.resize_pixels) == (112, 128)
    assert final("photos", model="resnet18").mean == pytest.approx((0.485, 0.456, 0.406))
    published = recipes.get("alexnet-transfer")
    assert resolve(recipe_context, published) == published


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_resolved_recipe_is_final(name):
    recipe = final(name)
    assert resolve(recipe_context, recipe) == recipe
    assert recipe.mean and recipe.std
    if recipe.data in DATASETS and recipe.weights == "random":
        assert recipe == recipes.get(name)


def test_paths_are_absolute_and_names_stay(tmp_path, monkeypatch):
    (tmp_path / "in" / "a").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "in" / "a" / "1.png")
    monkeypatch.chdir(tmp_path / "in")
    assert final("photos", data="a").data == str(tmp_path / "in" / "a")
    assert final("photos", data=os.path.join("..", "in")).data == str(tmp_path / "in")  # noqa: PTH118
    assert final("photos", data="none here").data == "none here"
    (tmp_path / "in" / "mnist").mkdir()
    assert final("mnist").data == "mnist"
    assert final("lenet5", weights="w.pth").weights == str(tmp_path / "in" / "w.pth")


def test_an_unknown_network_is_refused():
    with pytest.raises(UsageError, match="Did you mean 'lenet5'"):
        final("digits", model="lenet55")


def test_what_the_recipe_leaves_open_is_taken_from_a_model_file(digits_run, tmp_path):
    loaded = classifier.load(digits_run.model_file)
    loaded.preprocessing = replace(loaded.preprocessing, resize=12)
    loaded.save(tmp_path / "other.safetensors")
    changes = {"model": "convnet", "weights": str(tmp_path / "other.safetensors")}
    recipe = final("photos", **changes)
    assert (recipe.mean, recipe.std) == (loaded.preprocessing.mean, loaded.preprocessing.std)
    assert (recipe.image_size_pixels, recipe.resize_pixels) == (8, 12)
    assert final("photos", **changes, image_size_pixels=16).resize_pixels == 24
    assert final("digits", **changes) == recipes.get("digits", changes)


def test_another_network_and_other_channels_are_said_before_the_work(digits_run):
    weights = {"weights": str(digits_run.model_file)}
    with pytest.raises(UsageError, match="weights of convnet, not of efficientnet-lite0") as caught:
        final("photos", **weights)
    assert caught.value.hint == 'Name its network: model="convnet"'
    with pytest.raises(UsageError, match="takes grey images, and the recipe scratch makes RGB"):
        final("scratch", **weights, model="convnet")


def test_other_files_of_weights_give_the_networks_own_preprocessing(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    expected = final("photos")
    for name in ("other.safetensors", "none.safetensors", "x.pth"):
        recipe = final("photos", weights=str(tmp_path / name))
        assert replace(recipe, weights="imagenet") == expected


@pytest.mark.parametrize("name", ["lenet5", "[conv3-8 relu pool2]*2 fc"])
def test_weights_of_any_network_need_no_imagenet(name, tmp_path):
    torch.save(models.build(name, 10, 1, (28, 28)).state_dict(), tmp_path / "w.pth")
    changes = {"model": name, "weights": str(tmp_path / "w.pth")}
    assert final("quickstart", **changes) == recipes.get("quickstart", changes)
