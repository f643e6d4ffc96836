"""What a terminal says of a fitted last layer, and of the fine-tuning after it."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from neocog import recipes
from neocog.records import EpochMetrics
from neocog.terminal import progress as bars

HEAD = {
    "epoch": 0, "step": 0, "lr": 0.0, "time_seconds": 6.0, "features_seconds": 5.0,
    "head_seconds": 1.0, "train/loss": 0.1, "train/accuracy": 1.0, "validation/accuracy": 0.95,
    "head/penalty": 0.1, "head/least": 0.01,
    "head/chosen_by": "5-fold cross-validation on 202 training images",
}  # fmt: skip


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(bars.time, "perf_counter", lambda: now.seconds)
    return now


def progress(**changes):
    console = Console(file=io.StringIO(), width=60)
    return bars.TrainingProgress(console, recipes.get("photos", changes))


def said(shown):
    return shown.console.file.getvalue().splitlines()


def test_the_penalty_is_said_with_why_it_was_taken():
    shown = progress()
    shown.on_result(EpochMetrics.from_json(HEAD))
    assert said(shown) == [
        "Fitted the head in 1.0 s on features computed in 5.0 s: train 100.00%, validation 95.00%.",
        "Penalty 0.1, chosen by 5-fold cross-validation on 202 training images: the strongest "
        "within one standard error of the best, 0.01.",
    ]


def test_a_refit_unequal_classes_and_no_fine_tuning_are_said():
    shown = progress()
    more = {"head/refit": 245, "head/class_weights": [0.55, 4.5], "head/tuning_skipped": True}
    shown.on_result(EpochMetrics.from_json({**HEAD, "head/least": 0.1, **more}))
    _, penalty, refit, weights, skipped = said(shown)
    assert penalty.endswith("training images.")
    assert "all 245 training and validation images" in refit and "the earlier fit" in refit
    assert "0.55 to 4.5" in weights
    assert "does not start" in skipped and "--set select=last" in skipped


def test_a_line_of_an_earlier_version_can_be_shown():
    line = {k: v for k, v in HEAD.items() if k != "head/least"}
    shown = progress()
    shown.on_result(EpochMetrics.from_json(line))
    assert len(said(shown)) == 2


@pytest.mark.parametrize(
    ("seconds", "epochs", "text"),
    [
        (0.1, 10, "20 s for 10 epochs"),
        (1.2, 10, "4 min for 10 epochs"),
        (60, 1, "20 min for 1 epoch"),
        (60, 10, "3.3 h for 10 epochs"),
    ],
)
def test_fine_tuning_says_once_how_long_it_takes(clock, seconds, epochs, text):
    shown = progress(fine_tune=True, epochs=epochs)
    for step in range(12):  # the features' images come first, and take another time
        shown("features", step * shown.batch_size, 12 * shown.batch_size)
        clock.seconds += 3
    shown.on_result(EpochMetrics.from_json(HEAD))
    clock.seconds += 30  # the first step is slow
    steps = 20 * epochs
    for step in range(1, 12):
        shown("train", step, steps)
        clock.seconds += seconds
    assert [line for line in said(shown) if "takes about" in line] == [
        f"Fine-tuning takes about {text}."
    ]


def test_a_fit_alone_has_no_estimate(clock):
    shown = progress()
    for step in range(40):
        shown("features", step * shown.batch_size, 40 * shown.batch_size)
        clock.seconds += 1
    shown.on_result(EpochMetrics.from_json(HEAD))
    assert not any("takes about" in line for line in said(shown))
