import json
import pickle
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neocog import classifier, data, models
from neocog.errors import NeocogError, UsageError
from neocog.evaluation import evaluate
from neocog.models import inference


@pytest.fixture
def loaded(digits_run):
    return classifier.load(digits_run.path)


def test_a_file_gives_the_same_answers_as_the_network_it_was_saved_from(loaded, tmp_path):
    images = data.load("digits").test.images
    loaded.save(tmp_path / "copy.safetensors")
    again = classifier.load(tmp_path / "copy.safetensors")
    assert (again.probabilities(images) == loaded.probabilities(images)).all()
    assert again.facts == loaded.facts
    assert (again.classes, again.preprocessing) == (loaded.classes, loaded.preprocessing)


def test_the_file_describes_itself(digits_run):
    content = digits_run.model_file.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    card = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["neocog"])
    assert card["format_version"] == 1
    assert card["architecture"] == {
        "name": "convnet",
        "num_classes": 10,
        "in_channels": 1,
        "image_size": [8, 8],
    }
    assert card["classes"] == list("0123456789")
    assert card["preprocessing"]["fit"] == "digit"
    assert card["recipe"]["name"] == "digits"
    assert set(card["data"]["fingerprints"]) == {"train", "validation", "test"}
    assert {"temperature", "threshold", "selected"} <= set(card)


def test_one_image_and_a_batch_give_the_same_probabilities(loaded):
    images = data.load("digits").test.images[:50]
    together = loaded.probabilities(images)
    alone = np.concatenate([loaded.probabilities(image[None]) for image in images])
    assert np.allclose(together, alone, atol=1e-6)
    assert np.allclose(together.sum(axis=1), 1, atol=1e-6)


def test_temperature_softens_and_threshold_rejects(loaded):
    images = data.load("digits").test.images[:50]
    sharp = loaded.probabilities(images)
    loaded.temperature = 3.0
    soft = loaded.probabilities(images)
    assert (soft.argmax(1) == sharp.argmax(1)).all()
    assert soft.max(1).mean() < sharp.max(1).mean()
    loaded.threshold = 1.1
    assert loaded.describe("x", soft[0], 1).rejected


class Malice:
    def __reduce__(self):
        return (print, ("code from a file was run",))


def test_a_pickle_is_refused_and_not_run(tmp_path, capsys):
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Malice()))
    with pytest.raises(NeocogError, match="damaged or not a model file"):
        classifier.load(tmp_path / "evil.safetensors")
    assert "was run" not in capsys.readouterr().out


def test_a_truncated_file_is_refused(digits_run, tmp_path):
    content = digits_run.model_file.read_bytes()
    (tmp_path / "short.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(NeocogError, match="damaged or not a model file"):
        classifier.load(tmp_path / "short.safetensors")


def test_anothers_safetensors_is_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(NeocogError, match="not a Neocog model"):
        classifier.load(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "has a newer format than 1"),
        ({"architecture": {"name": "convnet"}}, "does not describe its network"),
        ({"classes": None}, "does not describe its network"),
        ({"preprocessing": {"fit": "x"}}, "not a preprocessing"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(digits_run, tmp_path, change, message):
    content = digits_run.model_file.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    card = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["neocog"])
    target = tmp_path / "changed.safetensors"
    save_file(load_file(digits_run.model_file), target, {"neocog": json.dumps(card | change)})
    with pytest.raises(NeocogError, match=message):
        classifier.load(target)


def test_weights_of_another_network_are_refused_by_layer(digits_run, tmp_path):
    weights = load_file(digits_run.model_file)
    weights["c3.weight"] = torch.zeros(32, 16, 3, 3)
    content = digits_run.model_file.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    text = json.loads(content[8 : 8 + size])["__metadata__"]["neocog"]
    save_file(weights, tmp_path / "other.safetensors", {"neocog": text})
    with pytest.raises(NeocogError, match=r"'c3.weight' is \(32, 16, 3, 3\) there"):
        classifier.load(tmp_path / "other.safetensors")


def test_a_missing_file_and_a_missing_run_are_told_apart(tmp_path):
    with pytest.raises(NeocogError, match="no model file"):
        classifier.load(tmp_path / "none.safetensors")
    with pytest.raises(UsageError, match="no run 'nonesuch'"):
        classifier.load("nonesuch")
    with pytest.raises(UsageError, match="no run in runs yet"):
        classifier.load("latest")


def test_a_pattern_of_many_maps_is_asked_for_few_images_at_a_time():
    def size(pattern, shape):
        with torch.device("meta"):
            model = models.build(pattern, 10, 1, shape[1:3])
        return inference.batch_size_for(shape, model)

    assert size("conv3-32 relu pool2 fc", (1000, 28, 28, 1)) == 500
    assert size("conv1-65536 gap fc", (1000, 28, 28, 1)) == 2**28 // (65536 * 28 * 28)
    assert size("conv3-8 pool2 gap fc", (1000, 224, 224, 1)) == 32
    assert size("conv3-16 gap fc", (1000, 2048, 2048, 1)) == 1


def test_a_run_whose_model_is_not_its_own_says_so(digits_run, tmp_path):
    run = shutil.copytree(digits_run.path, tmp_path / "run")
    loaded = classifier.load(run)
    loaded.facts = replace(loaded.facts, selected=None)
    loaded.save(run / "model.safetensors")
    with pytest.raises(NeocogError, match="does not record its epoch"):
        evaluate(run)
