"""OpenVINO computes in bfloat16 only where an export has found that this changes no label."""

import shutil

import numpy as np
import pytest

from neocog import classifier, data, export_run
from neocog.export import openvino as openvino_files
from neocog.runs import Run

openvino = pytest.importorskip("openvino")


@pytest.fixture
def run(quick_run, tmp_path):
    return Run(shutil.copytree(quick_run.path, tmp_path / "run"))


@pytest.fixture
def rounding(monkeypatch):
    """Sets how many labels bfloat16 changes, on any processor."""
    whole = openvino_files.openvino_network

    def change(labels):
        def network(weights, graph, precision="f32"):
            exact = whole(weights, graph)
            if precision == "f32":
                return exact
            left = [labels]

            def rounded(images):
                found = exact(images)
                changed = min(left[0], len(found))
                left[0] -= changed
                found[:changed] = np.roll(found[:changed], 1, axis=1)
                return found

            return rounded

        monkeypatch.setattr(openvino_files, "openvino_network", network)
        monkeypatch.setattr(openvino_files, "has_bfloat16", lambda: True)

    return change


def precision_of(path):
    return classifier.load(path, engine="openvino").engine.precision


@pytest.mark.parametrize("labels", [0, 3])
def test_bfloat16_is_used_if_it_changes_no_label(run, neocog_command, rounding, labels):
    rounding(labels)
    assert precision_of(run.path) == "float32"  # nothing was exported yet
    result = export_run.export(run.path, "openvino")
    validation = data.load("mnist5k").validation
    assert (result.bfloat16.n, result.bfloat16.labels_differ) == (len(validation), labels)
    supported = openvino_files.openvino_engine.has_bfloat16(openvino.Core())
    expected = "bfloat16" if labels == 0 and supported else "float32"
    for model in (run.path, run.model_file):
        assert precision_of(model) == expected
    code, _, err = neocog_command("evaluate", run.path, "--engine", "openvino", "--json")
    assert code == 0 and f"Engine: OpenVINO, {expected}." in err
    assert run.read_evaluation().precision == expected


def test_an_export_of_other_weights_or_a_damaged_one_does_not_count(run, rounding):
    rounding(0)
    export_run.export(run.path, "openvino")
    graph = run.path / "model.xml"
    whole = graph.read_text()
    weights = classifier.load(run.path).engine.weights
    graph.write_text(whole.replace(weights, "0" * 64))
    assert precision_of(run.path) == "float32"
    graph.write_text(whole[: len(whole) // 2])
    assert precision_of(run.path) == "float32"
