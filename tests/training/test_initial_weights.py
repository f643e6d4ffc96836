"""Neocog's own model file as the weights that a training begins with."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neocog import classifier, models, recipes
from neocog.errors import NeocogError
from neocog.models import pretrained
from neocog.training import build, train


def test_a_training_goes_on_from_a_model_file_without_further_options(digits_run, tmp_path):
    changes = {"weights": str(digits_run.model_file), "epochs": 1, "learning_rate": 1e-9}
    run = train(recipes.get("digits", changes), runs_dir=tmp_path, device="cpu").run
    before, after = load_file(digits_run.model_file), load_file(run.model_file)
    for name in ("c1.weight", "c3.weight", "output.weight", "output.bias"):
        assert np.allclose(before[name], after[name], atol=1e-6)


def test_the_head_is_new_where_the_classes_are_others(digits_run, tmp_path):
    loaded = classifier.load(digits_run.model_file)
    recipe = recipes.get("digits", {"weights": str(digits_run.model_file)})
    assert not build.has_other_classes(recipe, loaded.classes)
    assert build.has_other_classes(recipe, tuple("abcdefghij"))
    model = models.build("convnet", 10, 1, (8, 8))
    head = model.output.weight.clone()
    pretrained.load_pretrained(model, "convnet", str(digits_run.model_file), with_head=False)
    assert torch.equal(model.output.weight, head)
    assert torch.equal(model.c1.weight, loaded.model.c1.weight.cpu())


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    state = models.build("lenet5", 10, 1, (28, 28)).state_dict()
    state["c1.bias"][0] = float("nan")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(NeocogError, match=r"damaged: 'c1.bias' holds values that are not finite"):
        pretrained.load_pretrained(
            models.build("lenet5", 10, 1, (28, 28)), "lenet5", str(tmp_path / "w.pth")
        )
