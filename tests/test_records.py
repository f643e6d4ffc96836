"""The records of a run are JSON objects whose keys are part of the format."""

import json
import math
from dataclasses import replace

import pytest

from neocog.errors import NeocogError
from neocog.evaluation import evaluate
from neocog.json_fields import FieldError, MissingFieldError
from neocog.messages import Message
from neocog.records import EpochMetrics, EvaluationRecord, HeadMetrics, ModelFacts
from neocog.runs import Run

BY = Message("penalty_by_folds", {"folds": 5, "n": 202})
LINE = {
    "epoch": 0, "step": 0, "time_seconds": 6.0, "lr": 0.0, "train/loss": 0.1,
    "train/accuracy": 1.0, "validation/loss": 0.2, "validation/accuracy": 0.9,
    "head/penalty": 0.1, "head/chosen_by": BY.to_json(), "head/least": 0.01,
    "head/penalties": [1.0, 0.1, 0.01], "head/losses": [0.3, 0.2, 0.1], "head/views": 1,
    "head/kept": 0, "folds": [0.9, 0.8], "head/refit": 245, "features_seconds": 5.0,
    "head_seconds": 1.0,
}  # fmt: skip

# What the first version wrote.
OLDEST = {
    "run": "runs/a-1", "recipe": "digits", "model": "lenet5", "data": "digits", "split": "test",
    "n": 2, "accuracy": 0.5, "interval": [0.1, 0.9],
    "per_class": [{"class": "a", "precision": 1, "recall": 0.5, "f1": 0.6, "n": 2}],
    "confusion": [[1, 1], [0, 0]], "parameters": 10, "notes": [],
    "time_seconds": {"data": 0.1, "evaluation": 0.2, "training": 3.0, "total": 3.3},
    "epochs": 3, "selected_epoch": 2, "selected_by": "last",
}  # fmt: skip


def test_a_line_of_metrics_is_read_as_it_was_written():
    metrics = EpochMetrics.from_json(LINE)
    assert metrics.to_json() == LINE
    assert metrics.head.refit == 245 and metrics.head.folds == (0.9, 0.8)
    assert metrics.head.chosen_by == BY
    assert metrics.metric("validation/loss") == 0.2 and metrics.metric("last") is None
    plain = replace(metrics, head=None)
    assert EpochMetrics.from_json(plain.to_json()) == plain
    assert not any(key.startswith("head") for key in plain.to_json())


def test_a_loss_need_not_be_finite():
    line = json.loads(json.dumps({**LINE, "validation/loss": math.inf}))
    assert EpochMetrics.from_json(line).validation_loss == math.inf


@pytest.mark.parametrize("key", ["head/penalties", "validation/loss", "head/refit"])
def test_what_may_be_missing_is_never_null(key):
    with pytest.raises(FieldError, match=key):
        EpochMetrics.from_json({**LINE, key: None})
    less = {k: v for k, v in LINE.items() if k != key}
    assert EpochMetrics.from_json(less).to_json() == less


def test_a_missing_value_is_named_by_its_key():
    with pytest.raises(MissingFieldError, match="it has no `head/chosen_by`"):
        HeadMetrics.from_json({"head/penalty": 1.0})


def test_the_evaluation_of_the_first_version_is_read(tmp_path):
    run = Run(tmp_path)
    run.evaluation_file.write_text(json.dumps({**OLDEST, "later": 1}))
    result = run.read_evaluation()
    assert (result.accuracy, result.selected_by, result.time_seconds.total) == (0.5, "last", 3.3)
    assert result.per_class[0].name == "a" and result.confusion == ((1, 1), (0, 0))
    assert result.rejection == result.mistakes == () and result.folds is result.head is None
    assert result.to_json().items() >= OLDEST.items()


def test_an_evaluation_is_read_as_it_was_written(digits_run):
    result = evaluate(digits_run.path, device="cpu").result
    assert digits_run.read_evaluation() == result
    assert EvaluationRecord.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.parametrize("value", ["missing", "a", None, [[]]])
@pytest.mark.parametrize("path", [("n",), ("confusion",), ("per_class", 0, "f1")])
def test_a_damaged_evaluation_is_named(tmp_path, path, value):
    values = json.loads(json.dumps(OLDEST))
    place = values
    for key in path[:-1]:
        place = place[key]
    if value == "missing":
        del place[path[-1]]
    elif (path, value) == (("confusion",), [[]]):
        place["confusion"] = [["1"]]
    else:
        place[path[-1]] = value
    run = Run(tmp_path)
    run.evaluation_file.write_text(json.dumps(values))
    with pytest.raises(NeocogError, match=rf"evaluation.json is damaged: .*'{path[-1]}'") as caught:
        run.read_evaluation()
    assert caught.value.hint


def test_a_damaged_fit_is_named_with_the_way_to_restore_it(tmp_path):
    run = Run(tmp_path)
    run.metrics_file.write_text(json.dumps({**LINE, "head/penalty": "x"}) + "\n")
    with pytest.raises(NeocogError, match="epoch 0 has no number 'head/penalty'") as caught:
        run.read_metrics()
    assert "neocog train --resume" in caught.value.hint


def test_a_model_file_says_what_it_was_trained_on_as_it_was_recorded():
    facts = {
        "recipe": {"name": "a", "setting_of_another_version": [1, 2]},
        "data": {
            "name": "digits",
            "findings": [],
            "fingerprints": {"train": "0", "validation": "1", "test": "2"},
        },
        "selected": {"epoch": 3, "by": "last", "metrics": {"epoch": 3, "train/loss": 0.5}},
    }
    read = ModelFacts.from_json(facts)
    assert read.to_json() == facts
    assert read.recipe.name == "a" and read.measured is None
