import json
import os
import subprocess
import sys
import tempfile
import time

import pytest

from neocog import recipes, runs
from neocog.data import decode_cache
from neocog.errors import DamagedFileError, NeocogError, UsageError, WriteError
from neocog.records import EpochMetrics
from neocog.training import resume


def make(folder, name):
    run = runs.create_named(name, folder)
    run.write_recipe(recipes.get("digits"), "neocog train digits")
    return run


def epoch_metrics(epoch):
    return EpochMetrics(
        epoch=epoch, step=9, time_seconds=1.0, lr=0.1, train_loss=1.0, train_accuracy=0.5
    )


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


def test_an_unknown_run_lists_the_existing_ones(tmp_path):
    make(tmp_path, "quickstart-1")
    with pytest.raises(UsageError, match=r"Runs in .*: quickstart-1\."):
        runs.find("quickstrat", tmp_path)


def test_new_runs_get_the_next_free_number(tmp_path):
    (tmp_path / "x-1").mkdir()
    assert runs.create("x", tmp_path).path.name == "x-2"
    assert runs.create("x", tmp_path).path.name == "x-3"


def test_a_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NeocogError, match="cannot be created"):
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
        run.append_metrics(epoch_metrics(epoch))
    run.write_metrics(run.read_metrics()[:2])
    with run.metrics_file.open("a") as file:
        file.write('{"epoch": 3, "tr')  # killed while it wrote
    assert [line.epoch for line in run.read_metrics()] == [1, 2]


def test_the_environment_variable_sets_the_runs_folder(monkeypatch, tmp_path):
    assert str(runs.runs_folder()) == "runs"
    monkeypatch.setenv("NEOCOG_RUNS", str(tmp_path))
    assert runs.runs_folder() == tmp_path
    assert runs.runs_folder(tmp_path / "named") == tmp_path / "named"


@pytest.mark.parametrize("name", ["latest", "x.safetensors", "..", " "])
def test_a_name_that_is_not_interpreted_as_a_run_is_rejected(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be named"):
        runs.create_named(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_invalid_folder_name_is_rejected(tmp_path):
    with pytest.raises(UsageError, match=r"No folder can be named 'n+\.\.\.") as caught:
        runs.create_named("n" * 256, tmp_path)
    assert len(caught.value.message) < 150 and "shorter name" in caught.value.hint
    with pytest.raises(UsageError, match=r"no run 'n+\.\.\."):
        runs.find("n" * 256, tmp_path)


def test_a_named_run_in_a_place_that_cannot_be_written_is_a_failure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NeocogError, match="cannot be created") as caught:
        runs.create_named("x", tmp_path / "file")
    assert type(caught.value) is WriteError and 'runs_dir="FOLDER"' in caught.value.hint


def test_a_folder_that_was_killed_before_it_was_a_run_leads_to_no_dead_end(tmp_path):
    run = runs.create_named("early", tmp_path)
    run.environment_file.write_text('{"device": "cpu"}')
    with pytest.raises(NeocogError, match="stopped before training began") as caught:
        runs.find("early", tmp_path)
    assert "--resume" not in str(caught.value)
    with pytest.raises(UsageError, match="is not a run that could be continued") as caught:
        runs.create_named("early", tmp_path)
    assert "--resume" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("recipe"),
        lambda values: values.update(recipe=[]),
        lambda values: values["recipe"].update(epochs="three"),
        lambda values: values["recipe"].update(epochs=True),
        lambda values: values["recipe"].update(mean=["a"]),
        lambda values: values["recipe"].update(learning_rate=None),
        lambda values: values["recipe"].update(batch_size=-1),
        lambda values: values["recipe"].update(loss="none"),
        lambda values: values["recipe"].update(nonsense=1),
        lambda values: values["recipe"].pop("model"),
    ],
)
def test_an_edited_recipe_is_a_damaged_file_not_a_wrong_command(tmp_path, change):
    run = make(tmp_path, "a")
    values = json.loads(run.recipe_file.read_text())
    change(values)
    run.recipe_file.write_text(json.dumps(values))
    with pytest.raises(NeocogError, match=r"recipe.json is damaged: ") as caught:
        run.read_recipe()
    assert type(caught.value) is DamagedFileError and caught.value.hint


def test_every_recipe_is_read_as_it_was_written(tmp_path):
    for name, recipe in recipes.RECIPES.items():
        run = runs.create_named(name, tmp_path)
        run.write_recipe(recipe, "")
        assert run.read_recipe() == recipe


@pytest.mark.parametrize(
    "key",
    [
        ("device",),
        ("read_seconds",),
        ("data",),
        ("data", "sizes"),
        ("data", "sizes", "train"),
        ("data", "fingerprints", "test"),
    ],
)
@pytest.mark.parametrize("value", ["missing", None, []])
def test_an_edited_environment_is_named(digits_run, tmp_path, key, value):
    info = digits_run.read_environment()
    run = make(tmp_path, "a")
    run.write_environment(info)
    assert run.read_environment() == info
    values = info.to_json()
    inner = values
    for name in key[:-1]:
        inner = inner[name]
    if value == "missing":
        del inner[key[-1]]
    else:
        inner[key[-1]] = value
    run.environment_file.write_text(json.dumps(values))
    with pytest.raises(NeocogError, match=rf"environment.json is damaged: .*'{key[-1]}'"):
        run.read_environment()


@pytest.mark.parametrize("line", ["{", "null", "[]", "{}", '{"epoch": "1"}', '{"epoch": true}', ""])
def test_a_damaged_line_of_metrics_is_named(tmp_path, line):
    run = make(tmp_path, "a")
    run.metrics_file.write_text(f'{{"epoch": 1}}\n{line}\n{{"epoch": 3}}\n')
    with pytest.raises(NeocogError, match=r"metrics.jsonl is damaged: line 2 ") as caught:
        run.read_metrics()
    assert f"neocog train --resume {run.path}" in caught.value.hint
    run.metrics_file.write_bytes(b"\xff\n")
    with pytest.raises(NeocogError, match=r"metrics.jsonl is damaged"):
        run.read_metrics()


def test_a_run_without_epochs_is_named_where_they_are_needed(tmp_path):
    run = make(tmp_path, "a")
    with pytest.raises(NeocogError, match="it contains no epochs"):
        run.read_epochs()


HOLD = """
import sys, time
from pathlib import Path
from neocog.runs import Run
with Run(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    time.sleep(300)
"""


def test_a_run_is_locked_until_its_training_process_dies(digits_run, tmp_path):
    run = make(tmp_path, "a")
    run.write_environment(digits_run.read_environment())
    with run.locked(), pytest.raises(NeocogError, match=f"process {os.getpid()} on "), run.locked():
        pass
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(NeocogError, match=f"being trained by process {child.pid} on "):
            resume(run)
    finally:
        child.kill()
        child.communicate()
    with run.locked():
        pass


OLD = time.time() - 2 * 24 * 3600


def left(folder, name, when=OLD):
    path = folder / name
    path.write_text("x")
    os.utime(path, (when, when))
    return path


def ended():
    """The ID of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_temporary_files_of_killed_processes_are_deleted_at_the_next_start(tmp_path):
    run = make(tmp_path, "a")
    run.environment_file.write_text("{}")
    run.plots_folder.mkdir()
    gone = ended()
    swept = [
        left(run.path, f".neocog-{gone}-0123abcd.tmp"),
        left(run.path, ".metrics.jsonl.ab12_xyz"),  # as they were called before
        left(run.plots_folder, f".neocog-{gone}-0123abcd.tmp"),
    ]
    kept = [
        left(run.path, f".neocog-{gone}-1123abcd.tmp", when=time.time()),
        left(run.path, f".neocog-{os.getpid()}-2123abcd.tmp"),
        left(run.path, ".mine.txt"),
        left(run.path, "notes.json"),
        left(tmp_path, f".neocog-{gone}-0123abcd.tmp"),  # not in a run
    ]
    runs.sweep_leftovers(tmp_path)
    assert not any(path.exists() for path in swept)
    assert all(path.exists() for path in (*kept, run.recipe_file))


def test_left_over_packs_and_temporary_folders_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    gone = ended()
    pack = tmp_path / "cache" / "photos" / "key"
    pack.mkdir(parents=True)
    named = left(pack, f"{gone}-00000000.pixels")
    decode_cache.save_json(pack / "index.json", {"pixels": named.name})
    swept = [left(pack, f"{gone}-11111111.pixels"), left(pack, f"{gone}-11111111.thumbs")]
    kept = [named, left(pack, f"{os.getpid()}-11111111.pixels"),
            left(pack, f"{gone}-22222222.pixels", when=time.time())]  # fmt: skip
    for process, there in ((gone, swept), (os.getpid(), kept)):
        folder = tmp_path / "tmp" / f"neocog-{process}-abcd_123"
        (folder / "key").mkdir(parents=True)
        os.utime(folder, (OLD, OLD))
        there.append(folder)
    link = tmp_path / "tmp" / f"neocog-{gone}-linklink"
    link.symlink_to(tmp_path / "cache")
    os.utime(link, (OLD, OLD), follow_symlinks=False)
    decode_cache.sweep_leftovers(tmp_path / "cache")
    assert not any(path.exists() for path in swept)
    assert all(path.exists() for path in (*kept, pack / "index.json"))


@pytest.mark.parametrize("key", ["lr", "time_seconds", "train/loss", "validation/loss"])
@pytest.mark.parametrize("value", ["a", None, True])
def test_an_epoch_with_a_wrong_metric_is_named(tmp_path, key, value):
    run = make(tmp_path, "a")
    metrics = {"epoch": 1, "step": 9, "lr": 0.1, "time_seconds": 1.0, "train/loss": 1.0}
    metrics |= {"train/accuracy": 0.5, "validation/loss": 1.0}
    run.write_metrics([EpochMetrics.from_json(metrics)])
    assert [line.to_json() for line in run.read_epochs()] == [metrics]
    run.metrics_file.write_text(json.dumps({**metrics, key: value}) + "\n")
    with pytest.raises(NeocogError, match=f"epoch 1 has no number '{key}'"):
        run.read_epochs()


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", "a\\b"])
def test_a_run_is_not_named_by_a_path(name):
    with pytest.raises(UsageError, match="the name of one folder, not a path"):
        runs.check_name(name)
