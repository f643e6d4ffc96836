"""The command line as a user types it, in one process: arguments in, text and exit code out."""

import csv
import errno
import io
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from neocog import cli, data
from neocog.cli.arguments import spell_out


@pytest.fixture
def neocog(neocog_command):
    return neocog_command


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Clean digits as files, one of them large and dark on light."""
    folder = tmp_path_factory.mktemp("我的 images")
    test = data.load("mnist5k").test
    for label in (0, 1, 7):
        image = test.images[np.nonzero(test.labels == label)[0][3], :, :, 0]
        Image.fromarray(image).save(folder / f"{label}.png")
    large = Image.fromarray(255 - image).resize((280, 280))
    large.save(folder / "7 large.jpg")
    return folder


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


def test_predict_as_a_table_json_and_csv(neocog, quick_run, images, tmp_path):
    files = [images / "0.png", images / "7 large.jpg"]
    code, out, _ = neocog("predict", quick_run.path, *files)
    assert code == 0
    assert "7 large.jpg" in out
    code, out, _ = neocog("predict", quick_run.path, *files, "--json", "--top", 2)
    found = json.loads(out)["predictions"]
    assert [p["label"] for p in found] == ["0", "7"]
    assert set(found[0]) == {"path", "label", "probability", "top", "rejected", "error"}
    assert len(found[0]["top"]) == 2
    code, out, _ = neocog("predict", quick_run.path, images, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["path"]: row["label"] for row in rows} == {
        str(images / f"{name}"): name[0] for name in ("0.png", "1.png", "7 large.jpg", "7.png")
    }
    neocog("predict", quick_run.path, "--csv", tmp_path / "out.csv", images)
    assert (tmp_path / "out.csv").read_text() == out


def test_a_csv_that_cannot_be_written_is_named(neocog, quick_run, images, tmp_path):
    target = tmp_path / "no folder" / "out.csv"
    code, _, err = neocog("predict", quick_run.path, images, "--csv", target)
    assert code == 1
    assert f"{target} cannot be written" in err


def test_predict_reads_standard_input_and_takes_the_latest_run(
    neocog, quick_run, images, monkeypatch
):
    monkeypatch.setenv("NEOCOG_RUNS", str(quick_run.path.parent))
    stream = io.TextIOWrapper(io.BytesIO((images / "7.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    code, out, _ = neocog("predict", "-", "--json")
    assert code == 0
    assert json.loads(out)["predictions"][0]["label"] == "7"


def test_predict_tells_each_failure_and_predicts_the_others(neocog, quick_run, images, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("RGB", (50, 50), "white").save(tmp_path / "blank.png")
    (tmp_path / "nothing").mkdir()
    wrong = [tmp_path / name for name in ("text.png", "empty.png", "blank.png", "nothing", "gone")]
    code, out, err = neocog("predict", quick_run.path, *wrong, images / "0.png", "--json")
    assert code == 1
    found = {p["path"].rsplit("/", 1)[1]: p for p in json.loads(out)["predictions"]}
    assert found["0.png"]["label"] == "0"
    assert "not an image" in found["text.png"]["error"]
    assert "empty" in found["empty.png"]["error"]
    assert "no ink" in found["blank.png"]["error"]
    assert "no images" in found["nothing"]["error"]
    assert "no such file" in found["gone"]["error"]
    assert len(err.strip().splitlines()) == 5


def test_evaluate_prints_json_and_people_read_the_table(neocog, digits_run):
    code, out, err = neocog("evaluate", digits_run.path, "--json")
    assert code == 0
    assert json.loads(out)["n"] == 360
    assert "Accuracy" in err
    code, out, err = neocog("evaluate", digits_run.path)
    assert (code, err) == (0, "")
    assert "Accuracy" in out


def test_recipes_and_models_are_listed(neocog):
    assert "threenet" in neocog("recipes")[1]
    names = {r["name"] for r in json.loads(neocog("recipes", "--json")[1])["recipes"]}
    assert {"quickstart", "mnist", "threenet", "lenet", "lenet5", "convnet"} <= names
    assert json.loads(neocog("recipes", "lenet5", "--json")[1])["epochs"] == 50
    rows = json.loads(neocog("models", "--json")[1])["models"]
    assert {"name": "lenet5", "parameters": 61706}.items() <= next(
        row for row in rows if row["name"] == "lenet5"
    ).items()
    assert "lenet5" in neocog("models")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "--recipe", "quikstart"], 2, "Did you mean 'quickstart'"),
        (["train", "--set", "learnig_rate=1"], 2, "Did you mean 'learning_rate'"),
        (["train", "--set", "epochs"], 2, "--set wants FIELD=VALUE"),
        (["train", "--epochs", "x"], 2, "neocog train --help"),
        (["train", "minst"], 2, "Did you mean 'mnist'"),
        (["train", "--model", "lenet6"], 2, "Did you mean"),
        (["train", "--resume", "none", "--epochs", "3"], 2, "nothing else can be changed"),
        (["train", "--resume", "none"], 2, "There is no run 'none'"),
        (["predict", "latest"], 2, "No image is named"),
        (["predict", "a.png"], 2, "There is no run in"),
        (["evaluate"], 2, "There is no run in"),
        (["evaluate", "x.safetensors"], 1, "no model file"),
        (["nonsense"], 2, "No such command"),
        (["train", "--nonsense"], 2, "No such option"),
        (["train", "--device", "gpu"], 2, "no device 'gpu'"),
    ],
)
def test_a_wrong_call_is_answered_in_two_lines_and_with_the_right_code(
    neocog, arguments, code, message
):
    found, out, err = neocog(*arguments)
    assert found == code
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 2
    found, out, err = neocog(*arguments, "--json")
    assert found == code
    error = json.loads(out)["error"]
    assert message in f"{error['message']} {error['hint']}"


def test_alone_it_shows_the_help(neocog):
    code, out, err = neocog()
    assert (code, err) == (0, "")
    assert "Commands" in out


def test_debug_shows_the_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["neocog", "evaluate", "x.safetensors", "--debug"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert "Traceback" in capsys.readouterr().err


def test_set_takes_all_that_follow_and_csv_a_file_only_by_its_name():
    spelled = spell_out(["train", "--set", "a=1", "b=2", "--epochs", "3", "x=y"])
    assert spelled == ["train", "--set", "a=1", "--set", "b=2", "--epochs", "3", "x=y"]
    assert spell_out(["predict", "--csv", "a.png"]) == ["predict", "--csv", "-", "a.png"]
    assert spell_out(["predict", "--csv", "a.csv"]) == ["predict", "--csv", "a.csv"]
    assert spell_out(["predict", "--csv"]) == ["predict", "--csv", "-"]
    assert spell_out(["predict", "--csv", "-"]) == ["predict", "--csv", "-"]
    joined = spell_out(["train", "--set=a=1", "b=2"])
    assert joined == ["train", "--set=a=1", "--set", "b=2"]


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


def test_models_lists_and_shows_the_layers_of_one(neocog):
    code, out, _ = neocog("models", "--json")
    assert code == 0
    rows = json.loads(out)["models"]
    assert {"name", "year", "paper", "input", "parameters", "flops"} <= set(rows[0])
    code, out, _ = neocog("models", "lenet5-1998", "--json")
    found = json.loads(out)
    counts = [layer["parameters"] for layer in found["layers"] if layer["parameters"]]
    assert (found["parameters"], counts) == (60_000, [156, 12, 1516, 32, 48120, 10164])
    assert {"name", "kind", "output", "parameters", "flops", "receptive_field"} <= set(
        found["layers"][0]
    )
    _, out, _ = neocog("models", "lenet5")
    assert "61,706 parameters, 833K FLOPs" in out
    assert "every output to every input 3,692,640" in out


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


def test_help_names_the_defaults_that_are_not_values(neocog_command):
    _, out, _ = neocog_command("data", "--help")
    text = " ".join(out.replace("│", " ").split())
    assert "RUNS/data/NAME" in text and "NEOCOG_RUNS or ./runs" in text


def test_a_mistyped_run_is_not_answered_by_another(neocog_command, quick_run, images, tmp_path):
    image = next(p for p in images.iterdir() if p.suffix == ".png")
    runs = quick_run.path.parent
    for command in ("predict", "explain"):
        code, _, err = neocog_command(command, "quikstart", image, "--runs", runs)
        assert code == 2 and "There is no run 'quikstart'" in err and quick_run.path.name in err
    code, out, err = neocog_command("predict", "gone.png", image, "--runs", runs)
    assert code == 1 and "gone.png" in err  # called like an image: the others are answered
    assert image.name in out


def test_a_finished_run_is_not_trained_again(neocog_command, tmp_path):
    neocog_command("train", "digits", "--epochs", 1, "--runs", tmp_path, "--name", "one")
    before = (tmp_path / "one" / "metrics.jsonl").read_text()
    code, out, _ = neocog_command("train", "--resume", tmp_path / "one")
    assert code == 0 and "nothing is trained" in out
    assert (tmp_path / "one" / "metrics.jsonl").read_text() == before


class OutOfMemoryError(RuntimeError):  # as torch calls its own
    pass


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (MemoryError(), "There is not enough memory."),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "There is not enough memory."),
        (MemoryError("Unable to allocate 9.31 GiB for an array with shape (9,)"), "9.31 GiB more"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 34359738368 bytes. Error code 12"
            ),
            "34.4 GB more were needed",
        ),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
            "0.0 MB more",
        ),
        (
            OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0"),
            "2.00 GiB more",
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "not enough memory."),
    ],
)
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_full_memory_is_said_in_one_line(neocog, monkeypatch, error, needed, more):
    def full(_name):
        raise error

    monkeypatch.setattr("neocog.recipes.get", full)
    code, out, err = neocog("recipes", "lenet5", *more)
    assert code == 1
    message = json.loads(out)["error"]["message"] if more else err.splitlines()[0]
    assert needed in message
    assert "Error" not in message.removeprefix("Error: ")
    assert more or len(err.splitlines()) == 2


def test_another_runtime_error_is_no_lack_of_memory(neocog, monkeypatch):
    def fail(_name):
        raise RuntimeError("shapes do not fit\nError: fake")

    monkeypatch.setattr("neocog.recipes.get", fail)
    _, _, err = neocog("recipes", "lenet5")
    assert err.startswith("Error: RuntimeError: shapes do not fit\n  Error: fake\n")


@pytest.mark.parametrize(
    "arguments",
    [("predict", "latest", "x.png", "--top", 30_000_000), ("reproduce", "--seeds", 10**9)],
)
def test_a_number_beyond_all_measure_is_refused(neocog, arguments):
    code, _, err = neocog(*arguments)
    assert code == 2
    assert arguments[-2] in err
    assert len(err.splitlines()) == 2


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
    assert f"({spent['total']:.1f} s in all)" in answer.stderr
    kept = json.loads((tmp_path / "digits-digits-1" / "evaluation.json").read_text())
    assert kept["time_seconds"] == spent


def test_no_color_is_asked_for_by_name(neocog, monkeypatch, tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for n in range(6):
            pixels = np.full((20, 20), 20 * n + ord(label) % 2 * 100, np.uint8)
            pixels[n, :] = 255
            Image.fromarray(pixels).save(tmp_path / label / f"{n}.png")
    (tmp_path / "a" / "copy.png").write_bytes((tmp_path / "b" / "0.png").read_bytes())
    monkeypatch.setenv("NO_COLOR", "1")
    code, out, _ = neocog("data", tmp_path, "--runs", tmp_path / "runs")
    assert code == 3
    assert "red would" not in out
    assert "Findings marked `error` make the reported accuracy wrong" in out
    assert "images in shades of grey" in out


def test_one_of_a_thing_is_not_said_in_the_plural(neocog, quick_run, images, tmp_path):
    target = tmp_path / "out.csv"
    _, _, err = neocog("predict", quick_run.path, images / "0.png", "--csv", target)
    assert "1 of 1 image answered (1 0)" in err
