import pytest

from neocog import recipes, runs
from neocog.errors import NeocogError, UsageError


def make(folder, name):
    run = runs.claim(name, folder)
    run.write_recipe(recipes.get("digits"), "neocog train digits")
    return run


def test_a_run_is_found_by_name_path_and_latest(tmp_path):
    first, second = make(tmp_path, "a"), make(tmp_path, "甲 乙")
    assert runs.find("a", tmp_path) == first
    assert runs.find(str(second.path), tmp_path / "elsewhere") == second
    assert runs.find("latest", tmp_path) == second


def test_a_run_without_a_model_does_not_hide_those_that_have_one(tmp_path):
    first, second = make(tmp_path, "a"), make(tmp_path, "b")
    assert runs.find("latest", tmp_path, with_model=True) == second
    first.model_file.write_bytes(b"")
    assert runs.find("latest", tmp_path, with_model=True) == first
    assert runs.find("latest", tmp_path) == second


def test_an_unknown_run_is_answered_with_those_there_are(tmp_path):
    make(tmp_path, "quickstart-1")
    with pytest.raises(UsageError, match=r"Runs in .*: quickstart-1\."):
        runs.find("quickstrat", tmp_path)


def test_new_runs_are_numbered_past_what_is_there(tmp_path):
    (tmp_path / "x-1").mkdir()
    assert runs.create("x", tmp_path).path.name == "x-2"
    assert runs.create("x", tmp_path).path.name == "x-3"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NeocogError, match="cannot be made"):
        runs.create("x", tmp_path / "file")


def test_a_damaged_recipe_is_named(tmp_path):
    run = make(tmp_path, "a")
    run.recipe_file.write_text("{")
    with pytest.raises(NeocogError, match=r"recipe.json is missing or damaged"):
        run.read_recipe()


def test_metrics_are_lines_that_can_be_dropped(tmp_path):
    run = make(tmp_path, "a")
    assert run.read_metrics() == []
    for epoch in (1, 2, 3):
        run.append_metrics({"epoch": epoch})
    run.write_metrics(run.read_metrics()[:2])
    with run.metrics_file.open("a") as file:
        file.write('{"epoch": 3, "tr')  # killed while it wrote
    assert [line["epoch"] for line in run.read_metrics()] == [1, 2]


def test_the_environment_says_where_runs_are(monkeypatch, tmp_path):
    assert str(runs.runs_folder()) == "runs"
    monkeypatch.setenv("NEOCOG_RUNS", str(tmp_path))
    assert runs.runs_folder() == tmp_path
    assert runs.runs_folder(tmp_path / "named") == tmp_path / "named"
