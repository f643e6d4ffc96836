"""Commands that use an existing model.onnx work where torch cannot be imported."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from neocog import classifier, export_run, recipes
from neocog.evaluation import evaluate
from neocog.runs import Run
from neocog.training import train

# Not needed by a prediction, and each slower to import than to predict a digit.
SLOW = ("matplotlib", "pyarrow", "jinja2", "scipy", "sklearn", "ssl", "http.client")


@pytest.fixture(scope="module")
def exported_run(quick_run, tmp_path_factory):
    """A run with a model.onnx and a recorded evaluation."""
    run = Run(shutil.copytree(quick_run.path, tmp_path_factory.mktemp("exported") / "run"))
    evaluate(run.path)
    export_run.export(run.path)
    return run


@pytest.fixture
def digit(mnist5k, tmp_path):
    path = tmp_path / "digit.png"
    Image.fromarray(mnist5k.test.images[0, :, :, 0]).save(path)
    return path


def without_torch(*arguments):
    """Run a command where importing torch fails; return what it prints and what it imported."""
    code = f"""
import atexit, json, sys
sys.modules["torch"] = None
sys.argv = ["neocog", *{[str(a) for a in arguments]!r}]
slow = {SLOW!r}
atexit.register(lambda: print("\\n" + json.dumps([m for m in slow if m in sys.modules])))
import neocog.cli
neocog.cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    printed, _, imported = done.stdout.rstrip().rpartition("\n")
    return printed, json.loads(imported)


@pytest.mark.parametrize("kind", ["run", "file"])
def test_predict(exported_run, digit, mnist5k, kind):
    model = exported_run.path if kind == "run" else exported_run.onnx_file
    printed, imported = without_torch("predict", model, digit, "--json")
    (found,) = json.loads(printed)["predictions"]
    (expected,) = classifier.load(exported_run.path, engine="torch").predict([("", digit)])
    assert found["label"] == expected.label
    assert found["probability"] == pytest.approx(expected.probability, abs=1e-5)
    assert imported == []


@pytest.mark.parametrize("kind", ["run", "file"])
def test_evaluate(exported_run, kind):
    before = exported_run.read_evaluation()
    model = exported_run.path if kind == "run" else exported_run.onnx_file
    printed, _ = without_torch("evaluate", model, "--json")
    found = json.loads(printed)
    assert (found["accuracy"], found["engine"]) == (before.accuracy, "onnx")
    if kind == "run":
        assert (exported_run.plots_folder / "confusion.png").exists()


def test_evaluate_on_a_folder(exported_run, mnist5k, tmp_path):
    for n, label in enumerate(mnist5k.test.labels[:60]):
        folder = tmp_path / "data" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mnist5k.test.images[n, :, :, 0]).save(folder / f"{n}.png")
    printed, _ = without_torch("evaluate", exported_run.path, tmp_path / "data", "--json")
    assert json.loads(printed)["n"] == 60


@pytest.mark.parametrize("kind", ["run", "file"])
def test_export_check(exported_run, kind):
    model = exported_run.path if kind == "run" else exported_run.onnx_file
    printed, _ = without_torch("export", model, "--check", "--json")
    found = json.loads(printed)
    assert found["passed"] and found["selftest"]["n"] == 8
    assert found["accuracy"]["n"] == 1000
    assert found["accuracy"]["accuracy"] == pytest.approx(found["accuracy"]["recorded"])


def test_the_report_of_a_fit_on_photos(tmp_path):
    random = np.random.default_rng(0)
    for n in range(60):
        image = random.integers(0, 256, (70, 80, 3), dtype=np.uint8)
        image[:, :, n % 2] //= 2
        path = tmp_path / "photos" / "ab"[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    values = {"image_size_pixels": 64, "feature_views": 1, "data": str(tmp_path / "photos")}
    run = train(recipes.get("photos", values), runs_dir=tmp_path, device="cpu").run
    evaluate(run.path)
    without_torch("report", run.path)
    page = run.report_file.read_text("utf-8")
    for section in ("seen", "filters", "maps", "unsure"):
        assert f'id="{section}"' in page
    # The backbone is in the cache now: training, its plots and its report need no torch either.
    options = ("--recipe", "photos", "--runs", tmp_path, "--name", "again", "--json")
    size = ("--set", "image_size_pixels=64")
    printed, _ = without_torch("train", tmp_path / "photos", *options, *size)
    assert json.loads(printed)["accuracy"] == run.read_evaluation().accuracy
    again = Run(tmp_path / "again")
    assert 'id="maps"' in again.report_file.read_text("utf-8")
    assert (again.plots_folder / "batch.png").exists()
