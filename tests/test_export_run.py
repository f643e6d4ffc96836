"""`neocog export`: what is written, what is checked, and what a failed check leaves behind."""

import json
import os
import shutil
import sys

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from neocog import data, export_run
from neocog.classifier import load
from neocog.errors import NeocogError, UsageError
from neocog.export import onnx as onnx_file
from neocog.export import parity
from neocog.model_card import read_card

from .faults import strike_everywhere


@pytest.fixture
def run(quick_run, tmp_path):
    """A copy of a run of LeNet-5 on mnist5k."""
    copy = tmp_path / "runs" / "digits-1"
    shutil.copytree(quick_run.path, copy)
    return copy


@pytest.fixture
def wrong_graph(monkeypatch):
    """The exporter writes a graph whose logits are in the order of other classes."""
    right = onnx_file.to_onnx

    def wrong(module, metadata, **options):
        model = onnx.load_from_string(right(module, metadata, **options))
        last = next(t for t in model.graph.initializer if tuple(t.dims) == (10,))
        turned = np.roll(onnx.numpy_helper.to_array(last) + 5 * np.arange(10, dtype=np.float32), 3)
        last.CopyFrom(onnx.numpy_helper.from_array(turned, last.name))
        return model.SerializeToString()

    monkeypatch.setattr(onnx_file, "to_onnx", wrong)


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def metadata_of(path):
    props = onnx.load(path).metadata_props
    return {prop.key: prop.value for prop in props}


def test_a_run_is_exported_beside_its_model_file(neocog_command, run):
    code, out, _ = neocog_command("export", run)
    assert code == 0
    assert "256 images (arrays written as PNG, validation and test of mnist5k): same" in out
    assert f"Wrote {run / 'model.onnx'}" in out
    images = data.load("mnist5k").test.images[:50]
    expected = load(run, device="cpu").probabilities(images)
    found = parity.onnx_network((run / "model.onnx").read_bytes())(images)
    assert np.abs(expected - found).max() <= 1e-5


def test_the_file_holds_the_model_card_and_how_it_was_checked(run):
    result = export_run.export(run)
    metadata = metadata_of(run / "model.onnx")
    card = read_card(metadata["neocog"])
    classifier = load(run, device="cpu")
    assert (card.classes, card.preprocessing) == (classifier.classes, classifier.preprocessing)
    assert card.facts.measured == classifier.facts.measured
    about = card.facts.export
    assert (about.opset, about.precision) == (onnx_file.OPSET, "float32")
    assert torch.__version__.startswith(about.versions["torch"])
    assert about.parity.n == 256 and about.parity.labels_differ == 0
    assert about.parity.largest_difference == result.parity.largest_difference <= 1e-5
    assert len(json.loads(metadata["neocog_selftest"])["images"]) == 8


def test_a_wrong_graph_is_caught_and_leaves_no_file(neocog_command, run, wrong_graph):
    before = listed(run)
    code, out, _ = neocog_command("export", run)
    assert code == 3
    assert "labels of 256 differ" in out and "Nothing was written" in out
    assert listed(run) == before
    code, out, _ = neocog_command("export", run, "--json", "--force")  # --force is for int8 alone
    result = json.loads(out)
    assert (code, result["passed"], result["files"]) == (3, False, [])
    assert result["parity"]["labels_differ"] > 0
    assert listed(run) == before


@pytest.mark.parametrize("to", ["openvino", "torch"])
def test_other_formats_answer_the_same(neocog_command, run, to):
    if to == "openvino":
        pytest.importorskip("openvino")
    code, out, _ = neocog_command("export", run, "--to", to, "--json")
    result = json.loads(out)
    assert (code, result["to"], result["parity"]["n"]) == (0, to, 256)
    written = {"openvino": ["model.xml", "model.bin"], "torch": ["model.pt2"]}[to]
    assert result["files"] == [str(run / name) for name in written]


def test_a_pt2_file_needs_no_neocog(run):
    export_run.export(run, "torch")
    extra = {"neocog": ""}
    network = torch.export.load(str(run / "model.pt2"), extra_files=extra).module()
    assert read_card(extra["neocog"]).classes == tuple("0123456789")
    images = data.load("mnist5k").test.images[:3]
    with torch.no_grad():
        _, probabilities = network(torch.tensor(images))
    expected = load(run, device="cpu").probabilities(images)
    assert np.abs(probabilities.numpy() - expected).max() <= 1e-5


def test_int8_is_measured_on_the_validation_split(neocog_command, run):
    code, out, _ = neocog_command("export", run, "--int8", "--force", "--json")
    result = json.loads(out)
    assert code == 0 and result["files"][0] == str(run / "model.int8.onnx")
    change = result["int8"]
    splits = data.load("mnist5k")
    network = parity.onnx_network((run / "model.int8.onnx").read_bytes())
    labels = network(splits.validation.images).argmax(1)
    assert change["accuracy_after"] == np.mean(labels == splits.validation.labels)
    assert (change["n"], change["split"]) == (len(splits.validation), "validation")
    card = read_card(metadata_of(run / "model.int8.onnx")["neocog"])
    assert card.facts.export.int8.to_json() == change
    assert card.facts.measured is None  # that is the accuracy of another network


def test_int8_that_loses_accuracy_is_refused(neocog_command, run, monkeypatch):
    def coarse(model, images):
        graph = onnx.load_from_string(model)
        for tensor in graph.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if values.ndim > 1 and values.dtype == np.float32:
                step = np.abs(values).max()
                rounded = (np.round(values / step) * step).astype(np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))
        return graph.SerializeToString()

    monkeypatch.setattr(onnx_file, "quantized", coarse)
    before = listed(run)
    code, out, _ = neocog_command("export", run, "--int8")
    assert code == 3 and "int8 loses more than 0.3 points" in out
    assert listed(run) == before
    assert neocog_command("export", run, "--int8", "--force")[0] == 0
    assert "model.int8.onnx" in listed(run)


def test_a_model_file_alone_is_compared_on_its_data_by_name(run, tmp_path):
    alone = tmp_path / "copied.safetensors"
    shutil.copy(run / "model.safetensors", alone)
    result = export_run.export(alone)
    assert result.files[0] == tmp_path / "copied.onnx"
    assert result.parity.images.endswith("test of mnist5k") and result.notes == ()


def test_without_its_data_other_images_are_compared_and_that_is_said(
    neocog_command, run, monkeypatch
):
    def away(*_):
        raise NeocogError("The images are away.")

    monkeypatch.setattr(export_run, "splits_of", away)
    code, out, _ = neocog_command("export", run)
    assert code == 0
    assert "Note: The run's own images were not used. The images are away." in out
    assert "256 images (digits of mnist5k in place of the run's own images)" in out
    with pytest.raises(NeocogError, match="needs the run's own images"):
        export_run.export(run, int8=True)


@pytest.fixture
def photo_run(tmp_path, monkeypatch):
    """A run on image files of two classes, in colour."""
    from neocog import recipes
    from neocog.training import train

    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for label, colour in (("rot", (200, 60, 60)), ("blau", (60, 60, 200))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for n in range(30):
            noise = generator.normal(0, 40, (40 + n, 60, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{n}.jpg")
    changes = {
        "data": str(tmp_path / "photos"), "epochs": 1, "batch_size": 8, "model": "resnet-cifar",
        "image_size_pixels": 32, "fit": "crop", "resize_pixels": 36, "test_mirrored": True,
        "mean": "0.5,0.5,0.5", "std": "0.25,0.25,0.25",
    }  # fmt: skip
    return train(recipes.get("scratch", changes), runs_dir=tmp_path / "runs", device="cpu").run


def test_images_of_a_folder_are_compared_as_the_files_they_are(photo_run):
    result = export_run.export(photo_run.path)
    assert result.passed and result.parity.images == "files, validation and test of photos"
    sizes = photo_run.read_environment().data.sizes
    assert result.parity.n == sizes.validation + sizes.test
    assert result.script.largest_difference == 0


def test_what_was_typed_wrongly(neocog_command, run, tmp_path):
    code, _, err = neocog_command("export", run, "--to", "onxx")
    assert code == 2 and "Did you mean 'onnx'?" in err
    code, _, err = neocog_command("export", run, "--to", "torch", "--int8")
    assert code == 2 and "--to onnx --int8" in err
    code, _, err = neocog_command("export", run, "--output", tmp_path / "model.bin")
    assert code == 2 and "does not end in .onnx" in err
    code, _, err = neocog_command("export", run, "--output", tmp_path / "no" / "model.onnx")
    assert code == 1 and f"There is no folder {tmp_path / 'no'}" in err


def test_without_openvino_its_extra_is_named(neocog_command, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    code, _, err = neocog_command("export", run, "--to", "openvino")
    assert code == 2 and "pip install 'neocog[openvino]'" in err


def test_a_folder_that_cannot_be_written(run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(NeocogError, match=r"model\.onnx cannot be written") as error:
        export_run.export(run)
    assert error.value.hint == 'Choose another place: output="FILE"'


def test_a_script_of_another_hand_is_not_replaced(neocog_command, run):
    (run / "predict_onnx.py").write_text("mine")
    code, _, err = neocog_command("export", run)
    assert code == 1 and "predict_onnx.py would be overwritten, but Neocog did not write it" in err
    assert (run / "predict_onnx.py").read_text() == "mine"
    assert neocog_command("export", run, "--to", "torch")[0] == 0
    (run / "predict_onnx.py").unlink()
    assert neocog_command("export", run)[0] == neocog_command("export", run)[0] == 0


def test_a_failed_check_leaves_an_earlier_file_as_it_was(neocog_command, run, wrong_graph):
    (run / "model.onnx").write_bytes(b"earlier")
    assert neocog_command("export", run)[0] == 3
    assert (run / "model.onnx").read_bytes() == b"earlier"


def test_a_damaged_model_file_is_one_error(neocog_command, run):
    (run / "model.safetensors").write_bytes(b"damaged")
    code, _, err = neocog_command("export", run)
    assert code == 1 and "is damaged or not a model file" in err


@pytest.mark.skipif(sys.platform != "linux", reason="the faulty disk needs /proc")
@pytest.mark.parametrize("how", ["full", "lost"])
def test_a_failing_disk_leaves_a_whole_file_or_none(run, tmp_path, monkeypatch, how):
    """With OpenVINO's two files: never a graph beside the weights of another one."""
    monkeypatch.setattr(onnx_file, "to_onnx", lambda *_: b"model")
    target, files = tmp_path / "disk" / "model.xml", {".bin": b"new weights", ".xml": b"new graph"}

    def prepare():
        target.write_bytes(b"old graph")
        target.with_suffix(".bin").write_bytes(b"old weights")
        for path in (target, target.with_suffix(".bin"), target.parent):
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)

    def check():
        if target.exists():
            age = target.read_bytes().split()[0]
            assert target.with_suffix(".bin").read_bytes() == age + b" weights"
            assert target.read_bytes() == age + b" graph"

    def work():
        export_run._write(target, files, None)

    assert strike_everywhere(tmp_path / "disk", how, prepare, work, check) >= 6


def test_a_full_disk_is_one_error(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "model.onnx")

    monkeypatch.setattr(export_run, "write_atomic", full)
    with pytest.raises(NeocogError, match=r"cannot be written \(No space left on device\)"):
        export_run.export(run)


def test_a_usage_error_is_raised_before_the_work(monkeypatch, run):
    monkeypatch.setattr(export_run, "load", lambda *_, **__: pytest.fail("the model was read"))
    with pytest.raises(UsageError):
        export_run.export(run, "torch", int8=True)
