"""The recorded evaluation of a run: drawn again without running the network on its test split."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from neocog import recipes
from neocog.classifier import Classifier, load
from neocog.errors import UsageError
from neocog.evaluation.evaluate import evaluate
from neocog.evaluation.recorded import evaluation_of_run
from neocog.report import page
from neocog.runs import Run
from neocog.training import train

from ..data.test_custom import save


@pytest.fixture
def run(digits_run, tmp_path):
    """An evaluated run of its own, since these tests damage it."""
    copy = Run(tmp_path / "run")
    shutil.copytree(digits_run.path, copy.path)
    evaluate(copy.path, device="cpu")
    return copy


@pytest.fixture
def evaluated():
    """The names of the runs that had to be evaluated."""
    return []


def recorded(run, evaluated, **options):
    return evaluation_of_run(
        str(run.path), device="cpu", on_evaluate=lambda: evaluated.append(run), **options
    )


def test_the_record_gives_the_same_page_and_the_network_is_not_run(run, evaluated, monkeypatch):
    again = evaluate(run.path, device="cpu")
    page.write(again, "en")
    before = run.report_file.read_bytes()
    monkeypatch.setattr(Classifier, "logits", lambda *_: pytest.fail("evaluates"))
    found = recorded(run, evaluated)
    assert np.array_equal(found.probabilities, again.probabilities)
    assert found.result == again.result
    page.write(found, "en")
    assert run.report_file.read_bytes() == before
    assert not evaluated


def test_photos_are_drawn_from_the_record_too(tmp_path, evaluated, monkeypatch):
    for n in range(40):
        save(tmp_path / "photos" / ("cat" if n % 2 else "dog") / f"{n}.png", n)
    recipe = recipes.get("photos", {"data": str(tmp_path / "photos")})
    run = train(recipe, runs_dir=tmp_path / "runs", device="cpu").run
    page.write(evaluate(run.path, device="cpu"), "en")
    before = run.report_file.read_bytes()
    monkeypatch.setattr(Classifier, "logits", lambda *_: pytest.fail("evaluates"))
    page.write(recorded(run, evaluated), "en")
    assert run.report_file.read_bytes() == before


def drop_evaluation(run):
    run.evaluation_file.unlink()


def drop_probabilities(run):  # a run of an earlier version
    run.probabilities_file.unlink()


def damage_probabilities(run):
    run.probabilities_file.write_bytes(b"nonsense")


def damage_evaluation(run):
    run.evaluation_file.write_text("{")


def swap_probabilities(run):
    run.write_probabilities(run.read_probabilities()[::-1])


def shorten_probabilities(run):
    run.write_probabilities(run.read_probabilities()[:10])


def train_on(run):
    """As training does when it goes on: the file says nothing of a measurement."""
    classifier = load(run.model_file, device="cpu")
    classifier.facts = replace(classifier.facts, measured=None)
    classifier.save(run.model_file)


@pytest.mark.parametrize(
    "change",
    [
        drop_evaluation, drop_probabilities, damage_probabilities, damage_evaluation,
        swap_probabilities, shorten_probabilities, train_on,
    ],
)  # fmt: skip
def test_what_is_not_recorded_or_of_another_model_is_evaluated(run, evaluated, change):
    expected = evaluate(run.path, device="cpu")
    change(run)
    found = recorded(run, evaluated)
    assert evaluated == [run]
    assert np.array_equal(found.probabilities, expected.probabilities)
    assert found.recorded
    recorded(run, evaluated)  # and is recorded now
    assert evaluated == [run]


def test_it_is_evaluated_again_when_asked(run, evaluated, monkeypatch):
    calls = []
    monkeypatch.setattr("neocog.evaluation.recorded.evaluate", lambda *_, **__: calls.append(1))
    recorded(run, evaluated, again=True)
    assert len(calls) == 1 and not evaluated


def test_a_model_file_alone_has_no_record(run, evaluated, tmp_path):
    alone = tmp_path / "model.safetensors"
    shutil.copy(run.model_file, alone)
    with pytest.raises(UsageError, match="is a model file, and a report needs a run folder"):
        evaluation_of_run(str(alone))


def test_the_command_says_when_it_evaluates(neocog_command, run):
    line = "evaluating it first"
    _, out, _ = neocog_command("report", run.path)
    assert line not in out
    drop_probabilities(run)
    _, out, _ = neocog_command("report", run.path)
    assert line in out
    _, out, _ = neocog_command("report", run.path, "--evaluate")
    assert line not in out
