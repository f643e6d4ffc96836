"""All engines run the same network and give the same logits."""

import shutil

import numpy as np
import onnx
import pytest
import torch

from neocog import classifier, data
from neocog.engines import softmax
from neocog.engines.onnx_runtime import NETWORK_KEY, OnnxEngine
from neocog.errors import NeocogError, UsageError
from neocog.runs import Run

ATOL = 1e-5


@pytest.fixture(scope="module")
def images():
    return data.load("digits").test.images


@pytest.fixture
def own_run(digits_run, tmp_path):
    """A copy of the run that a test may change."""
    return Run(shutil.copytree(digits_run.path, tmp_path / "run"))


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_engine_agrees_with_torch(digits_run, images, engine):
    reference = classifier.load(digits_run.path, engine="torch")
    other = classifier.load(digits_run.path, engine=engine)
    assert (reference.engine.name, other.engine.name) == ("torch", engine)
    assert other.engine.facts == reference.engine.facts
    expected, actual = reference.probabilities(images), other.probabilities(images)
    assert actual.shape == expected.shape == (len(images), 10)
    np.testing.assert_allclose(actual, expected, atol=ATOL)
    assert (actual.argmax(1) == expected.argmax(1)).all()


def test_auto_is_onnx_runtime_on_the_cpu(digits_run):
    assert classifier.load(digits_run.path).engine.name == "onnx"
    with pytest.raises(UsageError, match=r"no engine 'onxx'.*Did you mean 'onnx'"):
        classifier.load(digits_run.path, engine="onxx")


def test_batches_of_any_size_give_the_same_logits(digits_run, images):
    engine = classifier.load(digits_run.path).engine
    seen = []
    logits = engine.logits(images, lambda *progress: seen.append(progress))
    assert seen[-1] == ("predict", len(images), len(images))
    for size in (1, 7):
        np.testing.assert_allclose(engine.logits(images[:size]), logits[:size], atol=ATOL)
    assert len(engine.logits(images[:0])) == 0


def test_softmax_is_that_of_torch():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 30, (50, 10)).astype(np.float32)
    expected = torch.softmax(torch.from_numpy(logits).double(), 1).numpy()
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-6)


def test_an_exported_file_stands_alone(digits_run, images, tmp_path):
    run = classifier.load(digits_run.path)
    file = tmp_path / "alone.onnx"
    file.write_bytes(digits_run.onnx_file.read_bytes())
    alone = classifier.load(file)
    assert (alone.classes, alone.preprocessing) == (run.classes, run.preprocessing)
    assert (alone.probabilities(images) == run.probabilities(images)).all()
    with pytest.raises(NeocogError, match="no layers to inspect"):
        alone.model  # noqa: B018
    with pytest.raises(UsageError, match="cannot be run by the torch engine"):
        classifier.load(file, engine="torch")


@pytest.mark.parametrize("damage", ["cut", "zeros", "empty"])
def test_a_damaged_file_is_refused(digits_run, tmp_path, damage):
    classifier.load(digits_run.path)
    content = digits_run.onnx_file.read_bytes()
    content = {"cut": content[: len(content) // 2], "zeros": bytes(len(content)), "empty": b""}
    (tmp_path / "bad.onnx").write_bytes(content[damage])
    with pytest.raises(NeocogError, match=r"bad.onnx is (damaged|not an ONNX file that Neocog)"):
        classifier.load(tmp_path / "bad.onnx")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NeocogError, match=r"no model file .*gone.onnx"):
        classifier.load(tmp_path / "gone.onnx")


def test_anothers_onnx_file_is_refused(digits_run, tmp_path):
    classifier.load(digits_run.path)
    foreign = onnx.load(digits_run.onnx_file)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(NeocogError, match="not an ONNX file that Neocog exported"):
        classifier.load(tmp_path / "foreign.onnx")
    changed = onnx.load(digits_run.onnx_file)
    entry = next(p for p in changed.metadata_props if p.key == NETWORK_KEY)
    entry.value = '{"parameters": -1, "batch_size": 0}'
    onnx.save(changed, tmp_path / "changed.onnx")
    with pytest.raises(NeocogError, match=r"changed.onnx is damaged"):
        classifier.load(tmp_path / "changed.onnx")


def test_the_file_of_a_run_follows_its_weights(own_run, images):
    run = own_run
    before = classifier.load(run.path).probabilities(images)
    inode = run.onnx_file.stat().st_ino
    classifier.load(run.path)
    assert run.onnx_file.stat().st_ino == inode  # not exported again
    changed = classifier.load(run.path, engine="torch")
    with torch.no_grad():
        for parameter in changed.model.parameters():
            parameter.mul_(0.5)
    changed.save(run.model_file)
    after = classifier.load(run.path).probabilities(images)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, changed.probabilities(images), atol=ATOL)
    run.onnx_file.write_bytes(b"damaged")
    np.testing.assert_allclose(classifier.load(run.path).probabilities(images), after, atol=ATOL)
    assert OnnxEngine.read(run.onnx_file).name == "onnx"


def test_a_model_file_outside_a_run_is_exported_to_the_cache(digits_run, tmp_path, images):
    file = tmp_path / "model.safetensors"
    file.write_bytes(digits_run.model_file.read_bytes())
    first = classifier.load(file).probabilities(images)
    assert not (tmp_path / "model.onnx").exists()
    assert (classifier.load(file).probabilities(images) == first).all()
