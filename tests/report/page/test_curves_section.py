import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from neocog import recipes
from neocog.records import EpochMetrics, EvaluationRecord, Times
from neocog.rendering.i18n import translator
from neocog.report.losses import loss_title
from neocog.report.page import curves_section
from neocog.report.phrases.report import REPORT

T = translator(REPORT, "en")
HEAD = {
    "epoch": 0, "step": 0, "lr": 0.0, "time_seconds": 4.0, "train/loss": 0.1, "train/accuracy": 1.0,
    "validation/loss": 0.2, "validation/accuracy": 0.9, "features_seconds": 3.0,
    "head_seconds": 1.0, "head/penalties": [1.0, 0.1], "head/losses": [0.5, 0.2],
    "head/penalty": 0.1, "head/chosen_by": "validation",
}  # fmt: skip


def head(**changes):
    """The line of a fitted last layer; `refit=9` is its key head/refit."""
    return EpochMetrics.from_json({**HEAD, **{f"head/{k}": v for k, v in changes.items()}})


def epoch(number, **changes):
    made = EpochMetrics(
        epoch=number,
        step=number,
        time_seconds=4.0 + 10 * number,
        lr=0.01 * number,
        train_loss=1 / number,
        train_accuracy=1 / number,
        validation_loss=1 / number,
        validation_accuracy=1 / number,
    )
    return replace(made, **changes)


def read(chart):
    svg = ElementTree.fromstring(str(chart)).find("svg")
    return [spot["text"] for spot in json.loads(svg.get("data-read"))]


def test_fine_tuning_goes_on_from_the_fitted_last_layer():
    lines = [head(), epoch(1), epoch(2)]
    loss, accuracy, rate = curves_section.curves(recipes.get("lenet5"), lines, 0, T)
    assert read(loss)[0] == "epoch 0: train 0.1, validation 0.2"
    assert read(accuracy)[2] == "epoch 2: train 50%, validation 50%"
    assert len(read(rate)) == 2
    assert "selected" in loss
    assert "selected" not in rate  # the last layer's fit has no learning rate
    assert len(read(curves_section.penalties(head().head, T))) == 2


def test_a_fitted_last_layer_has_no_epochs_to_draw():
    assert curves_section.curves(recipes.get("lenet5"), [head()], 0, T) == []
    assert curves_section.penalties(epoch(1).head, T) == ""
    assert curves_section.penalties(head(losses=[]).head, T) == ""


@pytest.mark.parametrize("tuned", [0, 2])
def test_the_seconds_are_all_told(tuned):
    lines = [head(), *(epoch(k + 1) for k in range(tuned))]
    spent = Times(5.0, lines[-1].time_seconds, 2.0, 0.0)
    result = EvaluationRecord(
        run="run",
        model="lenet5",
        data="digits",
        split="test",
        n=100,
        accuracy=1.0,
        interval=(0.9, 1.0),
        per_class=(),
        confusion=(),
        time_seconds=spent,
        epochs=tuned,
    )
    found = curves_section.timings(result, lines, 50, T, "en")
    keys = ["data", "features", "head", *(["training"] if tuned else []), "evaluation"]
    assert [part.key for part in found.parts] == keys
    assert sum(part.share for part in found.parts) == pytest.approx(1)
    assert found.total == f"{11 + 10 * tuned:.1f} s"
    assert found.parts[-1].note == "50 images per second"
    kept = curves_section.timings(result, [head(kept=1200), *lines[1:]], 50, T, "en")
    assert kept.parts[1].note == "of 1,200 images from the cache"
    assert not found.parts[1].note
    if tuned:
        assert found.parts[3].note == "10.0 s per epoch, 5 images per second"


def test_what_the_curves_need_to_be_read():
    unseen = epoch(1, validation_loss=None)
    plain = curves_section.curves_note(recipes.get("lenet5"), [unseen], T)
    assert T("no_validation") in plain
    assert T("softened") not in plain
    lines = [epoch(1)]
    softened = curves_section.curves_note(recipes.get("mnist"), lines, T)
    assert T("softened") in softened
    assert T("no_validation") not in softened


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "loss (cross-entropy)"),
        ({"loss": "nll"}, "loss (negative log-likelihood)"),
        ({"label_smoothing": 0.1}, "loss (cross-entropy, label smoothing 0.1)"),
        ({"loss": "map"}, "loss (maximum a posteriori criterion)"),
        ({"loss": "squared_error"}, "loss (squared error)"),
    ],
)
def test_the_axis_says_which_loss_it_is(changes, title):
    recipe = recipes.get("lenet5", changes)
    plain = not changes or "nll" in changes.values()
    more = {} if plain else {"validation_cross_entropy": 0.5}
    lines = [epoch(1, **more), epoch(2, **more)]
    chart = curves_section.curves(recipe, lines, 2, T)[0]
    assert title in chart
    assert title == loss_title(recipe, [epoch(1, validation_loss=None)], T)  # nothing was held back


def test_an_older_run_says_that_its_lines_are_two_quantities():
    """Its validation loss was the cross-entropy, whatever its recipe's loss."""
    recipe = recipes.get("lenet5", {"loss": "map"})
    title = "loss (train: maximum a posteriori criterion; validation: cross-entropy)"
    assert title in curves_section.curves(recipe, [epoch(1), epoch(2)], 2, T)[0]
    assert (
        "loss (cross-entropy)"
        in curves_section.curves(recipes.get("lenet5"), [epoch(1), epoch(2)], 2, T)[0]
    )


def test_mirrored_answers_are_named_beside_the_curves():
    lines = [epoch(1)]
    assert T("mirrored_validation") in curves_section.curves_note(recipes.get("cifar10"), lines, T)
    assert T("mirrored_validation") not in curves_section.curves_note(
        recipes.get("mnist"), lines, T
    )


def test_how_a_penalty_was_chosen_is_drawn_and_said():
    line = head(
        criteria=[0.6, 0.4],
        errors=[0.1, 0.0],
        refit=1245,
        class_weights=[0.5, 2.0],
        tuning_skipped=True,
    ).head
    reads = read(curves_section.penalties(line, T))
    assert len(reads) == 2
    assert "with one more image wrong 0.4" in reads[0] and "as measured 0.2" in reads[0]
    note = curves_section.penalties_note(line, T)
    assert "one standard error" in note and "1,245 images" in note
    assert "before" not in curves_section.penalties_note(replace(line, refit=None), T)
    weights, skipped = curves_section.head_notes(line, ("ants", "bees"), T)
    assert "from 0.5 (ants) to 2 (bees)" in weights and "did not start" in skipped


def test_an_older_fit_is_drawn_as_it_was_chosen():
    assert "lowest loss" in curves_section.penalties_note(head().head, T)
    assert curves_section.head_notes(head().head, ("ants", "bees"), T) == []
