import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from neocog import classifier, data, runs
from neocog.data import ImageSet
from neocog.errors import NeocogError, UsageError
from neocog.evaluation.evaluate import _rejection, evaluate
from neocog.metrics.accuracy import wilson_interval
from neocog.records import UnknownClass

from ..faults import Disk

module = sys.modules["neocog.evaluation.evaluate"]


def test_the_result_equals_the_classifiers_predictions(digits_run):
    evaluation = evaluate(digits_run.path)
    test = data.load("digits").test
    predicted = classifier.load(digits_run.path).probabilities(test.images).argmax(1)
    correct = int((predicted == test.labels).sum())
    result = evaluation.result
    assert (result.n, result.accuracy) == (360, correct / 360)
    assert result.interval == wilson_interval(correct, 360)
    assert np.trace(result.confusion) == correct
    assert (result.data, result.split, result.model) == ("digits", "test", "convnet")
    assert [row.name for row in result.per_class] == list("0123456789")
    assert (result.epochs, result.selected_by) == (6, "validation/accuracy")
    assert set(vars(result.time_seconds)) == {"data", "training", "evaluation", "total"}


def test_the_result_is_recorded_in_the_run_and_its_model_file(digits_run):
    result = evaluate(digits_run.path).result
    assert json.loads(digits_run.evaluation_file.read_text()) == result.to_json()
    measured = classifier.load(digits_run.path).facts.measured
    assert vars(measured) == {
        key: getattr(result, key) for key in ("split", "n", "accuracy", "interval")
    }


def test_a_standalone_model_file_can_be_evaluated(digits_run, tmp_path):
    copy = tmp_path / "copied.safetensors"
    copy.write_bytes(digits_run.model_file.read_bytes())
    evaluation = evaluate(copy)
    assert evaluation.run is None
    assert evaluation.result.accuracy == evaluate(digits_run.path).result.accuracy


def sentences(result, lang="en"):
    """The notes of a result as a page reads them."""
    return [note.text(lang) for note in result.notes]


def save_digits(folder, names, count=6):
    """A folder of class folders with images of the test split of mnist5k."""
    test = data.load("mnist5k").test
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for place in np.nonzero(test.labels == label)[0][:count]:
            Image.fromarray(test.images[place, :, :, 0]).save(folder / name / f"{place}.png")


def test_the_classes_of_a_folder_are_matched_by_name(quick_run, tmp_path):
    save_digits(tmp_path, [str(9 - k) for k in range(10)])  # every digit under another's name
    (tmp_path / "0" / "broken.png").write_bytes(b"broken")
    recorded = quick_run.read_evaluation()
    evaluation = evaluate(quick_run.path, str(tmp_path))
    confusion = np.array(evaluation.result.confusion)
    assert np.trace(confusion[:, ::-1]) > 0.8 * confusion.sum()
    assert evaluation.result.split == "all"
    assert any(
        "1 file with an image extension that is not an image" in note
        for note in sentences(evaluation.result)
    )
    assert quick_run.read_evaluation() == recorded  # the run's own is not replaced


def test_unknown_classes_are_excluded_and_counted(quick_run, tmp_path):
    save_digits(tmp_path / "photos", ["0", "1", "2"])
    both = evaluate(quick_run.path, str(tmp_path / "photos")).result
    assert both.n == 18 and both.unknown_classes == ()
    (tmp_path / "photos" / "1").rename(tmp_path / "photos" / "one")
    (tmp_path / "photos" / "2").rename(tmp_path / "photos" / "owl")
    result = evaluate(quick_run.path, str(tmp_path / "photos")).result
    assert result.n == 6
    assert result.unknown_classes == (UnknownClass("one", 6), UnknownClass("owl", 6))
    note = "left out: 12 images of 2 classes that the classifier does not know: one (6), owl (6)"
    assert note in sentences(result) and "分类器不认识的 2 个类别" in sentences(result, "zh")[0]
    zero = next(row for row in both.per_class if row.name == "0")
    metrics = next(row for row in result.per_class if row.name == "0")
    assert (metrics.n, metrics.recall) == (6, zero.recall)


def test_data_without_known_classes_are_an_error(quick_run, tmp_path):
    save_digits(tmp_path / "photos", ["cat", "dog"])
    with pytest.raises(UsageError, match=r"knows no class of .*: cat \(6\), dog \(6\)") as error:
        evaluate(quick_run.path, str(tmp_path / "photos"))
    assert "It knows: 0, 1, 2" in error.value.hint


@pytest.mark.parametrize(
    ("there", "known", "taken", "pointed_out"),
    [
        (["dog", "cat"], ["cat", "dog"], {"dog": 1, "cat": 0}, {}),
        (["Dog ", "cat"], ["cat", "dog"], {"Dog ": 1, "cat": 0}, {"Dog ": ["dog"]}),
        (["polar bear"], ["PolarBear", "seal"], {"polar bear": 0}, {"polar bear": ["PolarBear"]}),
        (["Dog", "dog"], ["cat", "dog"], {"dog": 1}, {"Dog": ["dog"]}),  # the data tell them apart
        (["DOG"], ["Dog", "dog"], {}, {"DOG": ["Dog", "dog"]}),  # the classifier does
        (["A", "a"], ["A", "a"], {"A": 0, "a": 1}, {}),
        (["owl"], ["cat"], {}, {}),
    ],
)
def test_names_that_differ_in_case_or_spaces_only(there, known, taken, pointed_out):
    assert module._match_classes(there, known) == (taken, pointed_out)


def test_a_similar_class_name_is_noted(photos_like_run, tmp_path):
    run, folder = photos_like_run
    result = evaluate(run.path, str(folder)).result
    assert result.n == 12 and result.unknown_classes == ()
    note = '"ZERO" is evaluated as "zero": the names differ only in case or spaces'
    assert note in sentences(result) and "“ZERO”按“zero”评估" in sentences(result, "zh")[0]
    (folder / "zero").mkdir()
    for file in list((folder / "ZERO").iterdir())[:3]:
        file.rename(folder / "zero" / file.name)
    result = evaluate(run.path, str(folder)).result
    assert result.unknown_classes == (UnknownClass("ZERO", 3),)
    assert any('"ZERO" and "zero" differ only in case' in note for note in sentences(result))


@pytest.fixture
def photos_like_run(tmp_path, monkeypatch):
    """A run on folders `zero` and `one`, and other images in `ZERO` and `one`."""
    from neocog import recipes
    from neocog.training import train

    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    save_digits(tmp_path / "train", ["zero", "one"], count=30)
    save_digits(tmp_path / "other", ["ZERO", "one"])
    changes = {"data": str(tmp_path / "train"), "epochs": 1, "batch_size": 16}
    recipe = recipes.get("quickstart", changes)
    return train(recipe, runs_dir=tmp_path / "runs", device="cpu").run, tmp_path / "other"


def test_training_images_in_the_test_set_are_reported(quick_run, tmp_path):
    train = data.load("mnist5k").train
    for label in (0, 1):
        (tmp_path / str(label)).mkdir()
        for place in np.nonzero(train.labels == label)[0][:5]:
            image = Image.fromarray(train.images[place, :, :, 0])
            image.save(tmp_path / str(label) / f"{place}.png")
    notes = sentences(evaluate(quick_run.path, str(tmp_path)).result)
    assert any("10 of these 10 images were used for training" in note for note in notes)


def test_images_of_another_size_are_resized(quick_run, monkeypatch):
    digits = data.load("digits")
    few = replace(digits, test=digits.test.subset(np.arange(40)))
    monkeypatch.setattr(data, "load", lambda *_: few)
    monkeypatch.setattr(data, "load_for", lambda *_: data.load("digits"))
    result = evaluate(quick_run.path, "digits").result
    assert result.n == 40
    assert result.accuracy > 0.3  # 8 x 8 scrawls: chance is 0.1


def test_unknown_classes_and_unknown_data_are_rejected(quick_run, tmp_path):
    with pytest.raises(UsageError, match="no dataset or folder 'nonesuch'"):
        evaluate(quick_run.path, "nonesuch")
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        evaluate(quick_run.path, str(tmp_path / "file.txt"))


def test_a_training_folder_is_evaluated_on_its_own_test_split(tmp_path, monkeypatch):
    from neocog import recipes
    from neocog.training import train

    save_digits(tmp_path / "digits", list("0123456789"), count=10)
    recipe = recipes.get(
        "quickstart", {"data": str(tmp_path / "digits"), "epochs": 2, "batch_size": 16}
    )
    run = train(recipe, runs_dir=tmp_path / "runs", device="cpu").run
    assert "0/" in run.split_file.read_text()
    monkeypatch.chdir(tmp_path)
    assert evaluate(run.path).result.n == 20
    assert evaluate(run.path, "digits/").result.n == 20
    assert evaluate(run.path, str(tmp_path / "digits")).result.split == "test"


def test_a_changed_test_split_is_rejected(digits_run, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SPLIT_SEED", 5)
    with pytest.raises(NeocogError, match="not those of the run"):
        evaluate(digits_run.path)


def test_parquet_is_evaluated_like_a_folder(digits_run, tmp_path, parquet, monkeypatch):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    test = data.load("digits").test
    rows = [
        (Image.fromarray(image[:, :, 0]), int(label))
        for image, label in zip(test.images[:40], test.labels[:40], strict=True)
    ]
    file = parquet(tmp_path / "some.parquet", rows, list("0123456789"))
    result = evaluate(digits_run.path, str(file)).result
    assert (result.n, result.split) == (40, "all")
    assert result.accuracy > 0.7


def test_no_rejection_is_reported_for_too_few_predictions(digits_run):
    """An error rate of 1% cannot be measured on fewer than a hundred predictions."""
    evaluation = evaluate(digits_run.path)
    for row in evaluation.result.rejection:
        answered = (1 - row.rejected) * len(evaluation.test)
        assert row.threshold is None or answered * row.error >= 1
        assert (row.threshold is None) == (row.reason is not None)


@pytest.mark.parametrize(
    ("right", "wrong_at_the_top", "reason"),
    [
        (60, 0, "too_few_images"),
        (60, 1, "too_few_images"),
        (400, 0, None),
        (400, 9, "no_threshold"),
    ],
)
def test_no_threshold_and_too_few_images_are_distinguished(
    digits_run, right, wrong_at_the_top, reason
):
    """A threshold leaves 60 correct predictions: too few for 1%, which is not "no threshold"."""
    order = np.linspace(0.99, 0.6, right + wrong_at_the_top, dtype=np.float32)
    probabilities = np.stack([order, 1 - order], 1)
    labels = np.zeros(len(order), dtype=np.int64)
    labels[:wrong_at_the_top] = 1
    test = ImageSet(np.zeros((len(order), 1, 1, 1), np.uint8), labels, ("a", "b"))
    rows = _rejection(classifier.load(digits_run.path), test, probabilities, probabilities)
    assert rows[0].reason == reason
    assert rows[0].needed == 100
    assert (rows[0].threshold is None) == (reason is not None)


def test_a_read_only_run_is_evaluated(digits_run, neocog_command, tmp_path):
    run = runs.create_named("one", tmp_path)
    for file in digits_run.path.iterdir():
        if file.is_file():
            (run.path / file.name).write_bytes(file.read_bytes())
    with Disk(tmp_path, 1, "full"):
        code, out, _ = neocog_command("evaluate", run.path)
        assert code == 0 and "Accuracy" in out
        # The console wraps a long line.
        assert f"could not be recorded in {run.path}" in out.replace("\n", "")
        code, _, err = neocog_command("report", run.path)
        assert code == 1 and err.startswith(f"Error: {run.report_file}: No space left")
    assert not run.plots_folder.exists() and not run.report_file.exists()


@pytest.mark.parametrize("name", ["recipe.json", "metrics.jsonl", "environment.json"])
@pytest.mark.parametrize("content", ["", "{", "{}", "[]\n", "null\n"])
def test_damaged_files_of_a_run_end_in_one_clear_error(
    digits_run, neocog_command, tmp_path, name, content
):
    run = runs.create_named("one", tmp_path)
    for file in digits_run.path.iterdir():
        if file.is_file():
            (run.path / file.name).write_bytes(file.read_bytes())
    (run.path / name).write_text(content)
    code, _, err = neocog_command("evaluate", run.path)
    assert code == 1 and name in err and "damaged" in err and "--debug" not in err
