"""Neocog's own model file as the weights that a training begins with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neocog import classifier, models, recipes
from neocog.errors import NeocogError, UsageError
from neocog.models import pretrained
from neocog.training import initial_weights, train


def test_a_training_goes_on_from_a_model_file_without_further_options(digits_run, tmp_path):
    changes = {"weights": str(digits_run.model_file), "epochs": 1, "learning_rate": 1e-9}
    run = train(recipes.get("digits", changes), runs_dir=tmp_path, device="cpu").run
    before, after = load_file(digits_run.model_file), load_file(run.model_file)
    for name in ("c1.weight", "c3.weight", "output.weight", "output.bias"):
        assert np.allclose(before[name], after[name], atol=1e-6)


def test_the_head_is_new_where_the_classes_are_others(digits_run, tmp_path):
    loaded = classifier.load(digits_run.model_file)
    recipe = recipes.get("digits", {"weights": str(digits_run.model_file)})
    assert not initial_weights.has_other_classes(recipe, loaded.classes)
    assert initial_weights.has_other_classes(recipe, tuple("abcdefghij"))
    model = models.build("convnet", 10, 1, (8, 8))
    head = model.output.weight.clone()
    pretrained.load_pretrained(model, "convnet", str(digits_run.model_file), with_head=False)
    assert torch.equal(model.output.weight, head)
    assert torch.equal(model.c1.weight, loaded.model.c1.weight.cpu())


def test_what_the_recipe_leaves_open_is_taken_from_the_file(digits_run, tmp_path):
    loaded = classifier.load(digits_run.model_file)
    loaded.preprocessing = replace(loaded.preprocessing, resize=12)
    loaded.save(tmp_path / "other.safetensors")
    changes = {"model": "convnet", "weights": str(tmp_path / "other.safetensors")}
    recipe = pretrained.with_weight_defaults(
        initial_weights.with_file_preprocessing(recipes.get("photos", changes))
    )
    assert (recipe.mean, recipe.std) == (loaded.preprocessing.mean, loaded.preprocessing.std)
    assert (recipe.image_size_pixels, recipe.resize_pixels) == (8, 12)
    larger = recipes.get("photos", {**changes, "image_size_pixels": 16})
    assert initial_weights.with_file_preprocessing(larger).resize_pixels == 24
    own = recipes.get("digits", changes)
    assert pretrained.with_weight_defaults(initial_weights.with_file_preprocessing(own)) == own


def test_another_network_and_other_channels_are_said_before_the_work(digits_run):
    weights = {"weights": str(digits_run.model_file)}
    with pytest.raises(UsageError, match="weights of convnet, not of efficientnet-lite0") as caught:
        initial_weights.with_file_preprocessing(recipes.get("photos", weights))
    assert caught.value.hint == 'Name its network: model="convnet"'
    scratch = recipes.get("scratch", {**weights, "model": "convnet"})
    with pytest.raises(UsageError, match="takes grey images, and the recipe scratch makes RGB"):
        initial_weights.with_file_preprocessing(scratch)


def test_other_files_are_no_concern(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name in ("other.safetensors", "none.safetensors", "x.pth"):
        recipe = recipes.get("photos", {"weights": str(tmp_path / name)})
        assert initial_weights.with_file_preprocessing(recipe) is recipe


@pytest.mark.parametrize("name", ["lenet5", "[conv3-8 relu pool2]*2 fc"])
def test_weights_of_any_network_need_no_imagenet(name, tmp_path):
    torch.save(models.build(name, 10, 1, (28, 28)).state_dict(), tmp_path / "w.pth")
    recipe = recipes.get("quickstart", {"model": name, "weights": str(tmp_path / "w.pth")})
    assert pretrained.with_weight_defaults(recipe) == recipe


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    state = models.build("lenet5", 10, 1, (28, 28)).state_dict()
    state["c1.bias"][0] = float("nan")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(NeocogError, match=r"damaged: 'c1.bias' holds values that are not finite"):
        pretrained.load_pretrained(
            models.build("lenet5", 10, 1, (28, 28)), "lenet5", str(tmp_path / "w.pth")
        )
