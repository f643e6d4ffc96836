"""`neocog predict` and `neocog explain`, as a user types them."""

import csv
import io
import json
import sys

from PIL import Image


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
    engine, *failures = err.strip().splitlines()
    assert engine == "Engine: ONNX Runtime." and len(failures) == 5


def test_a_mistyped_run_is_not_answered_by_another(neocog_command, quick_run, images, tmp_path):
    image = next(p for p in images.iterdir() if p.suffix == ".png")
    runs = quick_run.path.parent
    for command in ("predict", "explain"):
        code, _, err = neocog_command(command, "quikstart", image, "--runs", runs)
        assert code == 2 and "There is no run 'quikstart'" in err and quick_run.path.name in err
    code, out, err = neocog_command("predict", "gone.png", image, "--runs", runs)
    assert code == 1 and "gone.png" in err  # called like an image: the others are answered
    assert image.name in out


def test_one_of_a_thing_is_not_said_in_the_plural(neocog, quick_run, images, tmp_path):
    target = tmp_path / "out.csv"
    _, _, err = neocog("predict", quick_run.path, images / "0.png", "--csv", target)
    assert "1 of 1 image classified (1 0)" in err
