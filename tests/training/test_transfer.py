"""A head on photos without PyTorch: features by ONNX Runtime, a fit by NumPy, files as they are."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from neocog import classifier, models, onnx_file, recipes, runs
from neocog.engines.onnx_runtime import OnnxEngine
from neocog.errors import NeocogError
from neocog.evaluation.evaluate import evaluate
from neocog.model_card import read_card_of
from neocog.storage.cache import folder_of
from neocog.training import Interrupted, backbone, backbone_export, network, resume, train, transfer
from neocog.training.features import FeatureCache, compute_features
from neocog.training.head import HeadData, LogisticRegression
from neocog.training.network_features import NetworkBackbone

from ..data.test_custom import save

SIDE = 64


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for n in range(60):
        save(folder / "abc"[n % 3] / f"{n}.png", n)
    return recipes.get("photos", {"data": str(folder), "image_size_pixels": SIDE})


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    return train(recipe, runs_dir=tmp_path_factory.mktemp("runs"), device="cpu")


def test_the_run_says_who_computed(trained):
    info = trained.run.read_environment()
    assert info.onnxruntime and not info.torch and info.device == "cpu" and info.threads >= 1
    assert trained.run.onnx_file.is_file()


def test_the_model_file_is_one_that_pytorch_would_have_written(trained, tmp_path):
    """Same tensors, names and types as the network's own state, and bytes as `save` gives."""
    run = trained.run
    loaded = classifier.load(run.path, engine="torch")
    state = loaded.model.state_dict()
    with safe_open(run.model_file, framework="pt") as file:
        assert set(file.keys()) == set(state)
    assert {k: (v.dtype, v.shape) for k, v in load_file(run.model_file).items()} == {
        k: (v.dtype, v.shape) for k, v in state.items()
    }
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == run.model_file.read_bytes()
    weights = models.build("efficientnet-lite0", 1000, 3, (SIDE, SIDE))
    models.pretrained.load_pretrained(weights, "efficientnet-lite0", "imagenet")
    for name, tensor in weights.state_dict().items():
        if not name.startswith("output"):
            assert torch.equal(state[name], tensor), name


def test_the_file_for_the_engine_is_there_and_says_the_same(trained, monkeypatch):
    run = trained.run
    monkeypatch.setattr(onnx_file, "_export", lambda *_: pytest.fail("it is there already"))
    engine = classifier.load(run.path)
    images = trained.splits.test.images
    expected = classifier.load(run.path, engine="torch")
    assert engine.engine.facts == expected.engine.facts
    probabilities = engine.probabilities(images)
    reference = expected.probabilities(images)
    assert (probabilities.argmax(1) == reference.argmax(1)).all()
    assert np.abs(probabilities - reference).max() < 1e-5
    assert np.array_equal(trained.classifier.probabilities(images), probabilities)
    assert evaluate(run.path).result.engine == "onnx"


def test_the_fitted_head_is_the_last_node_and_exported_metadata_are_there(trained):
    run = trained.run
    graph = onnx.load_from_string(run.onnx_file.read_bytes())
    onnx.checker.check_model(graph)
    assert [node.op_type for node in graph.graph.node[-2:]] == ["Gemm", "Softmax"]
    assert [o.name for o in graph.graph.output] == ["logits", "probabilities", "feature_maps"]
    weight = next(i for i in graph.graph.initializer if i.name == "head.weight")
    state = load_file(run.model_file)
    assert np.array_equal(onnx.numpy_helper.to_array(weight), state["output.weight"].numpy())
    engine = OnnxEngine.read(run.onnx_file)
    card = read_card_of(run.model_file)
    before_evaluation = replace(card, facts=replace(card.facts, measured=None))
    assert engine.metadata["neocog"] == before_evaluation.to_json()
    maps = engine.session.run(["feature_maps"], {"images": trained.splits.test.images[:2]})[0]
    logits = maps.mean((2, 3)) @ state["output.weight"].numpy().T + state["output.bias"].numpy()
    found = engine.logits(trained.splits.test.images[:2])
    assert np.abs(logits - found).max() < 1e-4


@pytest.mark.parametrize("model", ["efficientnet-lite0", "squeezenet1_1", "resnet18"])
def test_the_features_are_pytorchs(model, tmp_path, trained, monkeypatch):
    """Of networks with linear and convolutional last layers."""
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path))
    torch.manual_seed(0)
    built = models.build(model, 3, 3, (SIDE, SIDE)).eval()
    torch.save(built.state_dict(), tmp_path / "some.pth")
    recipe = recipes.get("photos", {"model": model, "weights": str(tmp_path / "some.pth")})
    recipe = replace(recipe, precision="float32")
    splits = trained.splits
    exported = backbone.find_backbone(recipe, splits.preprocessing)
    found = exported.views(splits.test.images, 1, lambda _: None)
    known = classifier.Classifier.of_network(built, {"name": model}, splits.preprocessing, "abc")
    expected = NetworkBackbone(recipe, known).views(splits.test.images, 1, lambda _: None)
    assert found.shape == expected.shape
    assert np.allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    state = exported.with_head(np.zeros((3, found.shape[2]), np.float32), np.zeros(3, np.float32))
    assert {name: array.shape for name, array in state.items()} == {
        name: tuple(tensor.shape) for name, tensor in built.state_dict().items()
    }


def test_the_fit_is_the_one_that_pytorch_gives(trained):
    """The refit's solution, found by torch's autograd and L-BFGS in double precision."""
    run, splits = trained.run, trained.splits
    exported = backbone.find_backbone(run.read_recipe(), splits.preprocessing)
    parts = ((splits.train, 1), (splits.validation, 1))
    (seen, held), kept = compute_features(exported, run.read_recipe().data, parts)
    assert kept == len(splits.train) + len(splits.validation)
    images = HeadData.of(splits.train, splits.validation)
    rows = torch.tensor(np.concatenate([seen[0], held[0]])).double()
    labels, (line,) = torch.tensor(images.labels), run.read_metrics()
    centred = rows - rows.mean(0)
    centred /= centred.square().mean().sqrt()
    head = nn.Linear(rows.shape[1], 3, dtype=torch.float64)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    solver = torch.optim.LBFGS(
        head.parameters(), max_iter=2000, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def cost():
        solver.zero_grad()
        loss = nn.functional.cross_entropy(head(centred), labels)
        loss = loss + line.head.penalty / 2 * head.weight.square().sum()
        loss.backward()
        return loss

    solver.step(cost)
    expected = torch.softmax(head(centred), 1).detach().numpy()
    weight, bias = LogisticRegression(np.concatenate([seen, held], 1), images).solve(
        line.head.penalty
    )
    logits = rows.numpy() @ weight.T + bias
    found = torch.softmax(torch.tensor(logits), 1).numpy()
    assert np.abs(found - expected).max() < 5e-3


def test_nothing_imports_torch_once_the_backbone_is_there(recipe, trained, tmp_path):
    """Up to the printed accuracy; `trained` left the backbone and the features in the cache."""
    code = f"""
import sys
sys.modules["torch"] = None
from neocog import cli
import neocog.cli.train
class Told(Exception): pass
def stop(*_, **__): raise Told
sys.modules["neocog.cli.train"].draw = stop
sys.argv = ["neocog", "train", {recipe.data!r}, "--set", "image_size_pixels={SIDE}"]
cli.main()
"""
    environment = {**os.environ, "NEOCOG_RUNS": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300
    )
    assert "Accuracy" in answer.stdout + answer.stderr, answer.stderr
    assert "Told" in answer.stderr
    run = runs.find("latest", tmp_path)
    assert run.model_file.read_bytes()[-1000:] == trained.run.model_file.read_bytes()[-1000:]
    assert run.read_metrics()[0].head.kept == len(trained.splits.train) + len(
        trained.splits.validation
    )


@pytest.mark.parametrize("stage", [0, 1], ids=["before", "after the first"])
def test_a_stopped_fit_goes_on_to_the_same_bytes(recipe, trained, tmp_path, monkeypatch, stage):
    backbones = folder_of("backbones")
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    folder_of("backbones").parent.mkdir(parents=True)
    folder_of("backbones").symlink_to(backbones)
    told = []

    def stop(name, *_):
        if name == "features":
            told.append(name)
            if len(told) > stage:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        train(recipe, runs_dir=tmp_path, device="cpu", progress=stop)
    run = stopped.value.run
    assert not run.model_file.exists()
    resume(run)
    assert run.onnx_file.is_file() and load_of(run) == load_of(trained.run)
    before = run.model_file.stat().st_mtime_ns
    assert resume(run).classifier.classes == trained.splits.classes
    assert run.model_file.stat().st_mtime_ns == before


def load_of(run):
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(run.model_file).items()}


def test_what_cannot_be_exported_is_left_to_pytorch(recipe, tmp_path, monkeypatch, caplog):
    def wrong(module):
        with torch.no_grad():
            next(module.network.parameters()).mul_(1.2)
        return right(module)

    right = backbone_export.backbone_to_onnx
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(backbone_export, "backbone_to_onnx", wrong)
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    assert "PyTorch computes the features instead" in caplog.text
    assert "exported to ONNX differs" in caplog.text
    assert run.read_environment().torch and not run.read_environment().onnxruntime
    assert not folder_of("backbones").exists()


@pytest.mark.parametrize(
    ("changes", "device", "without"),
    [
        ({}, "cpu", True),
        ({}, "auto", True),
        ({}, "cuda", False),
        ({"feature_views": 2}, "cpu", False),
        ({"fine_tune": True}, "cpu", False),
        ({"trained_part": "output"}, "cpu", False),
        ({"test_mirrored": True}, "cpu", False),
        ({"model": "timm/resnet18"}, "cpu", False),
    ],
)
def test_which_recipes_need_pytorch(recipe, changes, device, without, monkeypatch):
    monkeypatch.setattr(transfer, "may_have_gpu", lambda: False)
    assert transfer.is_for(replace(recipe, **changes), device) == without


def test_a_machine_that_may_have_a_gpu_asks_pytorch(recipe, monkeypatch):
    monkeypatch.setattr(transfer, "may_have_gpu", lambda: True)
    assert not transfer.is_for(recipe, "auto") and transfer.is_for(recipe, "cpu")


def test_a_run_that_pytorch_began_goes_on_with_it(recipe, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "is_for", lambda *_: False)
        run = train(recipe, runs_dir=tmp_path, device="cpu").run
    run.model_file.unlink()
    run.onnx_file.unlink(missing_ok=True)
    begun = []
    right = network.prepare
    monkeypatch.setattr(network, "prepare", lambda *a: begun.append(a) or right(*a))
    resume(run)
    assert len(begun) == 1


def test_features_that_are_not_the_networks_are_noticed(recipe, trained, tmp_path, monkeypatch):
    """A cache that says nonsense with a right checksum: the files of the run would contradict."""
    real = FeatureCache.read

    def doubled(identity):
        found = real(identity)
        return replace(found, rows=2 * found.rows)

    monkeypatch.setattr(FeatureCache, "read", staticmethod(doubled))
    with pytest.raises(NeocogError, match=r"differ by .* from those of the features"):
        train(recipe, runs_dir=tmp_path, device="cpu")


def test_a_damaged_backbone_is_exported_again(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path))
    recipe, rule = trained.run.read_recipe(), trained.splits.preprocessing
    whole = backbone.find_backbone(recipe, rule)
    (file,) = folder_of("backbones").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    again = backbone.find_backbone(recipe, rule)
    assert again.key == whole.key and again.graph == whole.graph
    other = replace(rule, mean=(0.4, 0.5, 0.5))
    assert backbone.find_backbone(recipe, other).key != whole.key
