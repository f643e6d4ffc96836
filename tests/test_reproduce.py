import json
import math
import statistics
from dataclasses import replace

import pytest

from neocog import recipes, reproduce
from neocog.data.sources import cifar
from neocog.errors import UsageError
from neocog.records import EpochMetrics
from neocog.reproduce import Measurement, RunFigures
from neocog.runs import Run
from neocog.training import Interrupted

FAST = recipes.get("digits", {"epochs": 2})


@pytest.fixture
def published(monkeypatch):
    """Two recipes that take under a second: one can reach its published accuracy, one cannot."""
    easy = replace(FAST, printed_test_accuracy=0.3, honest_validation_size=100)
    hard = replace(FAST, name="hard", printed_test_accuracy=0.9999)
    monkeypatch.setitem(recipes.RECIPES, "digits", easy)
    monkeypatch.setitem(recipes.RECIPES, "hard", hard)


def rows(*names, **options):
    return [row.to_json() for row in reproduce.reproduce(names, **options)]


class Observer:
    """Notes the runs that begin and the steps of their training."""

    def __init__(self, at_epoch=lambda _: None):
        self.started, self.steps, self.at_epoch = [], [], at_epoch

    def on_start(self, recipe, honest):
        self.recipe = recipe
        self.started.append((recipe.seed, honest))

    def on_result(self, result):
        if isinstance(result, EpochMetrics):
            self.at_epoch(self.recipe)

    def __call__(self, _stage, done, _total):
        self.steps.append(done)


def test_a_row_has_published_and_measured_accuracy(published, tmp_path):
    (row,) = rows("digits", seeds=3, runs_dir=tmp_path, results=tmp_path / "out")
    assert (row["recipe"], row["printed"], row["n"], row["verdict"]) == ("digits", 0.3, 3, "PASS")
    accuracies = [run["accuracy"] for run in row["runs"]]
    assert row["mean"] == pytest.approx(statistics.mean(accuracies))
    assert row["std"] == pytest.approx(statistics.stdev(accuracies))
    assert len(set(accuracies)) > 1  # the seeds differ
    low, high = row["interval"]
    assert low < row["mean"] < high
    assert row["honest"]["n"] == 3 and row["honest"]["mean"] != row["mean"]
    row_file = json.loads((tmp_path / "out" / "digits.json").read_text())
    assert row_file["runs"] == row["runs"] and row["as_published"]
    assert {"machine", "torch", "python", "neocog", "started", "device", "threads"} <= set(
        row_file["runs"][0]
    )


def test_the_honest_run_selects_on_validation_images(published, tmp_path):
    rows("digits", seeds=1, runs_dir=tmp_path)
    honest = Run(tmp_path / "reproduce" / "digits-honest-seed0-1").read_recipe()
    assert (honest.validation_size, honest.select) == (100, "validation/accuracy")
    assert Run(tmp_path / "reproduce" / "digits-seed0-1").read_recipe().validation_size is None


def test_an_accuracy_out_of_reach_fails(published, tmp_path):
    (row,) = rows("hard", seeds=1, runs_dir=tmp_path)
    assert row["verdict"] == "FAIL" and row["interval"][1] < 0.9999


def test_finished_runs_are_reused_and_stopped_runs_resumed(published, tmp_path):

    def stop(recipe):
        if recipe.seed == 1:
            raise KeyboardInterrupt

    stopped = Observer(stop)
    with pytest.raises(KeyboardInterrupt):
        rows("hard", seeds=2, runs_dir=tmp_path, observer=stopped)
    assert stopped.started == [(0, False), (1, False)]
    watched = Observer()
    (row,) = rows("hard", seeds=2, runs_dir=tmp_path, observer=watched)
    assert watched.started == [(1, False)] and min(watched.steps) > 1  # not from the start
    (again,) = rows("hard", seeds=2, runs_dir=tmp_path, observer=watched)
    assert again == row and len(watched.started) == 1


def test_a_changed_recipe_is_trained_in_a_new_folder(published, tmp_path, monkeypatch):
    rows("hard", seeds=1, runs_dir=tmp_path)
    changed = replace(recipes.RECIPES["hard"], learning_rate=0.01)
    monkeypatch.setitem(recipes.RECIPES, "hard", changed)
    rows("hard", seeds=1, runs_dir=tmp_path)
    names = sorted(p.name for p in (tmp_path / "reproduce").iterdir())
    assert names == ["hard-seed0-1", "hard-seed0-2"]


def test_editing_the_documentation_of_a_recipe_keeps_its_runs(published, tmp_path, monkeypatch):
    rows("hard", seeds=1, runs_dir=tmp_path)
    edited = replace(recipes.RECIPES["hard"], source="said better", printed_test_accuracy=0.5)
    monkeypatch.setitem(recipes.RECIPES, "hard", edited)
    (row,) = rows("hard", seeds=1, runs_dir=tmp_path)
    assert row["source"] == "said better" and row["verdict"] == "PASS"
    assert len(list((tmp_path / "reproduce").iterdir())) == 1


def test_short_runs_are_repeated_more_often(published, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "SEEDS_BY_SECONDS", ((1000.0, 2, 2), (math.inf, 1, 1)))
    (row,) = rows("hard", runs_dir=tmp_path)
    assert row["n"] == 2


def test_a_recipe_for_custom_images_has_no_published_accuracy():
    with pytest.raises(UsageError, match="your own images"):
        list(reproduce.reproduce(["photos"]))


def test_missing_data_stop_one_recipe_only(published, neocog_command, tmp_path, monkeypatch):
    nowhere = replace(recipes.RECIPES["hard"], data="cifar100")
    monkeypatch.setitem(recipes.RECIPES, "hard", nowhere)
    monkeypatch.setattr(cifar, "data_folders", lambda: [tmp_path])
    code, out, _ = neocog_command(
        "reproduce", "hard", "digits", "--seeds", 1, "--runs", tmp_path, "--json"
    )
    missing, done = json.loads(out)["rows"]
    assert code == 1
    assert "cifar100 is not in" in missing["error"] and missing["mean"] is None
    assert done["verdict"] == "PASS" and done["error"] is None


def test_every_published_recipe_is_one():
    assert set(reproduce.QUICK) <= set(reproduce.PUBLISHED) <= set(recipes.RECIPES)
    tutorials = {n for n, r in recipes.RECIPES.items() if r.source.startswith("Tutorial")}
    assert tutorials <= set(reproduce.PUBLISHED)


def measured(*accuracies):
    return Measurement([RunFigures(n, a, None, 1.0) for n, a in enumerate(accuracies)], 10_000)


def test_the_interval_is_students_over_seeds_and_wilsons_for_one():
    """Three seeds by hand: 4.303 is Student's t for two degrees of freedom."""
    half = 4.303 * 0.01 / math.sqrt(3)
    expected = (0.98 - half, min(1, 0.98 + half))
    assert measured(0.97, 0.98, 0.99).interval == pytest.approx(expected, abs=1e-5)
    one = measured(0.98)
    assert one.std is None and one.interval == pytest.approx((0.97707, 0.98257), abs=1e-4)


def test_results_of_more_seeds_are_kept(published, tmp_path):
    for seeds in (2, 1):
        rows("hard", seeds=seeds, runs_dir=tmp_path, results=tmp_path / "r")
        assert json.loads((tmp_path / "r" / "hard.json").read_text())["n"] == 2


def test_runs_on_another_device_are_not_reused(published, tmp_path):
    rows("hard", seeds=1, runs_dir=tmp_path)
    run = Run(tmp_path / "reproduce" / "hard-seed0-1")
    run.write_environment(replace(run.read_environment(), device="cuda"))
    rows("hard", seeds=1, runs_dir=tmp_path)
    assert (tmp_path / "reproduce" / "hard-seed0-2").is_dir()


def test_quick_has_its_own_list():
    with pytest.raises(UsageError, match="its own list"):
        rows("digits", quick=True)


@pytest.mark.parametrize(("name", "code"), [("digits", 0), ("hard", 3)])
def test_the_command_exits_with_3_if_an_accuracy_is_not_reached(
    published, neocog_command, tmp_path, name, code
):
    exit_code, out, err = neocog_command(
        "reproduce", name, "--seeds", 1, "--runs", tmp_path, "--results", tmp_path / "r", "--json"
    )
    assert exit_code == code
    (row,) = json.loads(out)["rows"]
    assert {
        "recipe", "source", "printed", "mean", "std", "n", "interval", "honest", "time_seconds",
        "verdict",
    } <= set(row)  # fmt: skip
    assert f"{name}, seed 0" in err and row["verdict"] in err
    assert ("as published" in err) == (name == "digits")


def test_the_command_that_was_stopped_says_how_to_go_on(
    published, neocog_command, tmp_path, monkeypatch
):
    def stopped(*_, **__):
        raise Interrupted(Run(tmp_path), 15)

    monkeypatch.setattr(reproduce, "train", stopped)
    code, _, err = neocog_command("reproduce", "hard", "--runs", tmp_path)
    assert code == 143 and "run the same command again" in err
