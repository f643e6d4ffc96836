"""`neocog export RUN --check`: what it finds in a file that was changed after its export."""

import json
import shutil

import numpy as np
import onnx
import pytest

from neocog import export_run
from neocog.errors import DamagedFileError, NeocogError
from neocog.evaluation import evaluate
from neocog.export.standalone import SELFTEST_KEY, read_selftest
from neocog.export_check import check_export
from neocog.runs import Run


@pytest.fixture
def run(quick_run, tmp_path):
    """A run with a recorded evaluation and an exported file."""
    copy = Run(shutil.copytree(quick_run.path, tmp_path / "run"))
    evaluate(copy.path)
    export_run.export(copy.path)
    return copy


def change_metadata(path, key, value):
    model = onnx.load(path)
    entry = next(p for p in model.metadata_props if p.key == key)
    if value is None:
        model.metadata_props.remove(entry)
    else:
        entry.value = value
    onnx.save(model, path)


def test_a_file_as_it_was_exported_passes(neocog_command, run):
    code, out, _ = neocog_command("export", run.path, "--check")
    assert code == 0
    assert (
        "Self-test: 8 images" in out
        and "model.onnx predicts as it did when it was exported." in out
    )
    found = check_export(run.path)
    recorded = run.read_evaluation()
    assert (found.accuracy.n, found.accuracy.accuracy) == (recorded.n, recorded.accuracy)
    assert (found.labels.n, found.labels.labels_differ) == (recorded.n, 0)


def test_other_weights_in_the_graph_are_found(neocog_command, run):
    model = onnx.load(run.onnx_file)
    last = next(t for t in model.graph.initializer if tuple(t.dims) == (10,))
    turned = np.roll(onnx.numpy_helper.to_array(last) + 5 * np.arange(10, dtype=np.float32), 3)
    last.CopyFrom(onnx.numpy_helper.from_array(turned, last.name))
    onnx.save(model, run.onnx_file)
    code, out, _ = neocog_command("export", run.path, "--check", "--json")
    found = json.loads(out)
    assert code == 3 and not found["passed"]
    assert found["selftest"]["labels_differ"] > 0 and found["labels"]["labels_differ"] > 0
    assert found["accuracy"]["accuracy"] < found["accuracy"]["recorded"]


def test_a_file_of_another_training_is_refused(run):
    change_metadata(run.onnx_file, "neocog_weights", "0" * 64)
    with pytest.raises(NeocogError, match="exported from other weights"):
        check_export(run.path)


def test_a_file_without_self_test_is_checked_by_the_record_alone(run, monkeypatch):
    change_metadata(run.onnx_file, SELFTEST_KEY, None)
    found = check_export(run.path)
    assert found.passed and found.selftest is None and "no self-test" in found.notes[0]
    monkeypatch.setattr("neocog.export_check.splits_of", lambda *_: _away())
    with pytest.raises(NeocogError, match=r"nothing to check .*with.*The images are away"):
        check_export(run.path)


def _away():
    raise NeocogError("The images are away.")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"tolerance": 1, "images": []}', '{"tolerance": 0, "images": [1]}']
)
def test_a_damaged_self_test_is_refused(run, text):
    with pytest.raises(ValueError, match=r"lacks images|belongs to another"):
        read_selftest(text, 10)
    change_metadata(run.onnx_file, SELFTEST_KEY, text)
    with pytest.raises(DamagedFileError, match=r"model.onnx is damaged: its self-test"):
        check_export(run.path)


def test_int8_is_checked_by_its_self_test(neocog_command, run):
    export_run.export(run.path, int8=True, force=True)
    found = check_export(run.path, int8=True)
    assert found.passed and found.selftest.n == 8 and found.accuracy is None
    assert "before int8" in found.notes[0]
    code, _, err = neocog_command("export", run.path, "--check", "--to", "torch")
    assert code == 2 and "--check" in err
    code, _, err = neocog_command("export", run.onnx_file, "--check", "--int8")
    assert code == 2 and "--int8" in err
