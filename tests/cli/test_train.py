"""`neocog train`, as a user types it."""

import json
import signal
import subprocess
import sys
import time

import pytest


def test_train_prints_one_json_object_with_the_promised_names(neocog, tmp_path):
    code, out, err = neocog(
        "train", "digits", "--epochs", 3, "--seed", 5, "--runs", tmp_path, "--json",
        "--set", "batch_size=32", "model=threenet", "--set", "learning_rate=0.02",
    )  # fmt: skip
    assert code == 0
    result = json.loads(out)
    assert {
        "run", "recipe", "model", "data", "split", "n", "accuracy", "interval", "per_class",
        "confusion", "time_seconds", "epochs", "selected_epoch", "selected_by", "parameters",
    } <= set(result)  # fmt: skip
    assert result["model"] == "threenet"
    recipe = json.loads((tmp_path / "digits-digits-1" / "recipe.json").read_text())
    assert recipe["command"].startswith("neocog train digits --epochs 3")
    assert (recipe["recipe"]["seed"], recipe["recipe"]["learning_rate"]) == (5, 0.02)
    assert "epoch 3/3" in err
    assert (
        sorted(p.name for p in (tmp_path / "digits-digits-1" / "plots").iterdir())[0] == "batch.png"
    )


@pytest.mark.parametrize("resumed", [False, True], ids=["train", "resume"])
def test_train_reads_its_data_once(neocog, tmp_path, monkeypatch, resumed):
    """Training, evaluation and report share the splits."""
    from neocog import data

    arguments = ["train", "digits", "--epochs", 1, "--runs", tmp_path]
    if resumed:
        assert neocog(*arguments)[0] == 0
        arguments = ["train", "--resume", "latest", "--runs", tmp_path]
    read, load_for = [], data.load_for
    monkeypatch.setattr(data, "load_for", lambda *a: read.append(a) or load_for(*a))
    assert neocog(*arguments)[0] == 0
    assert len(read) == 1


def test_train_ends_with_what_a_person_needs(neocog, tmp_path):
    code, out, _ = neocog("train", "digits", "--epochs", 4, "--runs", tmp_path)
    assert code == 0
    for expected in ("Accuracy", "95% interval", "precision", "Run folder:", "neocog predict",
                     "neocog train mnist", "neocog train FOLDER"):  # fmt: skip
        assert expected in out
    assert (tmp_path / "digits-digits-1" / "report.html").stat().st_size > 100_000


def test_sigterm_says_how_to_go_on(tmp_path):
    """The real process; Ctrl-C takes the same way (tests/training/test_train.py)."""
    child = subprocess.Popen(
        [sys.executable, "-m", "neocog", "train", "digits", "--epochs", "10000", "--runs", "runs"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    run = tmp_path / "runs" / "digits-digits-1"
    deadline = time.monotonic() + 300
    while not (run / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=300)
    assert child.returncode == 143, err
    assert "neocog train --resume runs/digits-digits-1" in err
    assert "leaked" not in err  # what triton says where a process ends without taking it apart
    assert (run / "model.safetensors").exists()


def test_a_layer_pattern_is_a_network(neocog, tmp_path):
    pattern = "[conv3-8 relu]*2 pool2 fc16 relu fc"
    code, out, _ = neocog(
        "train", "digits", "--model", pattern, "--epochs", 2, "--runs", tmp_path, "--json"
    )
    assert code == 0 and json.loads(out)["model"] == pattern
    code, out, _ = neocog("evaluate", "latest", "--runs", tmp_path, "--json")
    assert code == 0 and json.loads(out)["model"] == pattern


def test_a_wrong_pattern_is_pointed_at(neocog, tmp_path):
    code, out, err = neocog(
        "train", "digits", "--model", "[conv3-8 relu pool2]*9 fc", "--runs", tmp_path
    )
    assert code == 2 and not out
    assert f"  [conv3-8 relu pool2]*9 fc\n{' ' * 16}^^^^^" in err
    assert "does not fit into maps of 1 x 1" in err and "At most 1 fits here" in err
    assert not list(tmp_path.iterdir())


def test_a_finished_run_is_not_trained_again(neocog_command, tmp_path):
    neocog_command("train", "digits", "--epochs", 1, "--runs", tmp_path, "--name", "one")
    before = (tmp_path / "one" / "metrics.jsonl").read_text()
    code, out, _ = neocog_command("train", "--resume", tmp_path / "one")
    assert code == 0 and "already complete" in out
    assert (tmp_path / "one" / "metrics.jsonl").read_text() == before


def test_the_time_in_all_is_that_of_the_command(tmp_path):
    """From the start of the process: imports, plots and the report are in it."""
    begin = time.perf_counter()
    answer = subprocess.run(
        [sys.executable, "-m", "neocog", "train", "digits", "--epochs", "1", "--json", "--runs",
         str(tmp_path)],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    taken = time.perf_counter() - begin
    spent = json.loads(answer.stdout)["time_seconds"]
    assert sum(v for k, v in spent.items() if k != "total") < spent["total"] <= taken
    assert taken - spent["total"] < max(
        1.0, 0.35 * taken
    )  # the end of the process, on a busy machine
    assert f"({spent['total']:.1f} s in total)" in answer.stderr
    kept = json.loads((tmp_path / "digits-digits-1" / "evaluation.json").read_text())
    assert kept["time_seconds"] == spent
