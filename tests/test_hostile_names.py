"""Every command over files, classes, runs and archives whose names attack who reads them."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CLEAR, TITLE, TURN = "\x1b[2J\x1b[31m", "\x1b]0;owned\x07", "\u202egpj.exe"
CLASSES = (f"{CLEAR}{TITLE}red", f"{TURN} \x9b31m", "=cmd|'-C calc'!A0")
FILES = (
    '=HYPERLINK("x","y") {}.png', f"{TITLE}{CLEAR}{{}}.png", "a\nError: fake\r{}.png",
    f"{TURN}{{}}.png", "[bold]x:warning: {}.png", "-1+1 {}.png", "plain {}.png",
)  # fmt: skip
# Controls, and what turns or hides text; a line end is Neocog's own, at the end of a line.
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Small images that a network can tell apart, in folders and files of hostile names."""
    root = tmp_path_factory.mktemp("hostile") / f"p{CLEAR}{TURN}"
    random = np.random.default_rng(0)
    for place, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for n in range(42):
            pixels = random.integers(0, 60, (28, 28), dtype=np.uint8)
            pixels[9 * place : 9 * place + 6] += 150
            Image.fromarray(pixels).save(root / name / FILES[n % len(FILES)].format(n))
        (root / name / f"{TITLE}broken.png").write_bytes(b"no image")
        (root / name / f"{CLEAR}notes.txt").write_text("text")
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / f"r{TITLE}"


NAME = f"run{CLEAR}{TURN}"
SETTINGS = ("--recipe", "scratch", "--set", "epochs=2", "image_size_pixels=28")


@pytest.fixture
def harmless(neocog_command):
    """Runs a command; gives its code and output when nothing in that acts on a terminal."""

    def run(*arguments):
        code, out, err = neocog_command(*arguments)
        assert not FORBIDDEN.search(out), FORBIDDEN.findall(out)
        assert not FORBIDDEN.search(err), FORBIDDEN.findall(err)
        for line in (out + err).splitlines():
            # A traceback's last lines are Python's own.
            assert "--debug" in arguments or not line.startswith("Error: fake"), line
        return code, out, err

    return run


@pytest.fixture(scope="module")
def trained(photos, runs):
    from neocog import recipes
    from neocog.training import train

    recipe = recipes.get("scratch", {"data": str(photos), "epochs": 2, "image_size_pixels": 28})
    return train(recipe, runs_dir=runs, name=NAME, device="cpu").run


def test_data(harmless, photos, runs):
    code, out, _ = harmless("data", photos, "--runs", runs)
    assert code in (0, 3)
    assert r"\x1b" in out and r"\u202e" in out
    code, out, _ = harmless("data", photos, "--runs", runs, "--json")
    assert set(json.loads(out)["classes"]) == set(CLASSES)  # to the letter
    for sheet in runs.rglob("*.png"):
        assert not FORBIDDEN.search(sheet.name)


def test_train_and_resume(harmless, photos, runs):
    command = ("train", photos, *SETTINGS, "--runs", runs, "--name", f"other{CLEAR}")
    code, out, _ = harmless(*command)
    assert code == 0
    assert "Run folder:" in out
    assert harmless("train", "--resume", runs / f"other{CLEAR}", "--json")[0] == 0
    harmless(*command)
    shutil.rmtree(runs / f"other{CLEAR}")


def test_evaluate(harmless, trained, photos):
    code, out, _ = harmless("evaluate", trained.path)
    assert code == 0
    assert r"\x1b[2J" in out
    assert json.loads(harmless("evaluate", trained.path, "--json")[1])["run"] == str(trained.path)
    assert harmless("evaluate", trained.path, photos)[0] == 0
    texts = [f.read_text("utf-8") for f in (trained.predictions_file, trained.split_file)]
    cells = [cell for text in texts for row in csv.reader(io.StringIO(text)) for cell in row]
    assert "'" + CLASSES[2] in cells
    check_cells(cells)


def test_predict(harmless, trained, photos):
    code, out, err = harmless("predict", trained.path, photos)
    assert code == 1  # for the broken ones
    assert r"\x1b[2J" in out and "broken.png" in err
    assert "[bold]x:warning:" in out  # neither markup nor an emoji
    found = json.loads(harmless("predict", trained.path, photos, "--json")[1])["predictions"]
    assert {p["path"] for p in found} >= {str(photos / CLASSES[0] / "plain 6.png")}
    for name in ("", "answers.csv"):
        _, out, _ = harmless("predict", trained.path, photos, "--csv", *filter(None, [name]))
        text = out
        if name:
            text = Path(name).read_text("utf-8")
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) == len(found) + 1
        check_cells(cell for row in rows for cell in row)


def test_a_relative_file_that_is_a_formula(harmless, trained, photos, monkeypatch):
    monkeypatch.chdir(photos / CLASSES[2])
    name = FILES[0].format(0)
    _, out, _ = harmless("predict", trained.path, name, "--csv")
    assert list(csv.reader(io.StringIO(out)))[1][0] == f"'{name}"


def check_cells(cells):
    for cell in cells:
        assert not FORBIDDEN.search(cell) and "\n" not in cell
        number = re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", cell)
        assert number or not re.match(r"\s*[=+\-@]", cell), cell


def test_report_and_explain(harmless, trained, photos, tmp_path):
    image = photos / CLASSES[0] / FILES[1].format(1)
    assert harmless("report", trained.path, "--lang", "en")[0] == 0
    assert harmless("report", trained.path, "--json")[0] == 0
    out = tmp_path / "explained"
    assert harmless("explain", trained.path, image, "--out", out)[0] == 0
    assert harmless("explain", trained.path, image, "--json", "--out", out)[0] == 0
    harmless("explain", trained.path, photos / CLASSES[0] / f"{TITLE}broken.png", "--out", out)
    harmless("explain", trained.path, image, "--layer", TITLE, "--label", CLEAR)
    html, gif = tmp_path / "demo.html", tmp_path / "demo.gif"
    command = ("demo", "convolution", "--run", trained.path, "--image", image)
    assert harmless(*command, "--html", html, "--gif", gif)[0] == 0
    assert harmless(*command, "--json")[0] == 0
    pages = [trained.report_file, html, *out.rglob("*.html")]
    assert len(pages) >= 3
    for page in pages:
        text = page.read_text("utf-8", errors="surrogateescape")
        assert not FORBIDDEN.search(text.replace("\t", " ")), page
    assert r"\u202egpj.exe" in trained.report_file.read_text("utf-8")
    # A script that reads its data from the page gets no hidden character either.
    data = re.search('id="data">(.*?)</script>', html.read_text("utf-8"), re.DOTALL)[1]
    assert not FORBIDDEN.search(json.dumps(json.loads(data), ensure_ascii=False))


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", TITLE), ("train", "--recipe", TITLE), ("train", "--model", f"conv3-8 {CLEAR}"),
        ("train", "--set", f"{TITLE}=1"), ("train", "--set", f"epochs={CLEAR}"),
        ("train", "--resume", f"a{CLEAR}\nError: fake"), ("train", "--weights", TURN),
        ("data", f"a\nError: fake{TURN}"), ("predict", TITLE), ("predict", "latest", TURN),
        ("evaluate", TURN), ("explain", TURN), ("report", TITLE), ("models", TITLE),
        ("recipes", TURN), ("reproduce", TITLE), (f"{TITLE}",), (f"--{TURN}",),
        ("predict", "--top", TITLE), ("demo", "convolution", "--run", TITLE, "--image", TURN),
        ("demo", TITLE), ("report", "--lang", TITLE), ("train", "--device", TITLE),
        ("data", f"{TITLE}.zip"), ("data", f"{TURN}.csv"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", [(), ("--json",), ("--debug",)])
def test_errors(harmless, arguments, more):
    assert harmless(*arguments, *more)[0] in (1, 2)


def test_archives_and_tables(harmless, photos, tmp_path):
    packed = shutil.make_archive(str(tmp_path / f"z{TITLE}"), "zip", photos)
    code, out, _ = harmless("data", packed, "--runs", tmp_path)
    assert code in (0, 3)
    assert r"\x1b" in out
    damaged = tmp_path / f"{CLEAR}damaged.zip"
    damaged.write_bytes(b"PK\x03\x04 no archive")
    assert harmless("data", damaged)[0] == 1
    table = tmp_path / f"t{TURN}.csv"
    table.write_text(f"path,label\n{CLEAR}.png,{TITLE}\n")
    assert harmless("data", table)[0] == 1


def test_a_terminal_gets_only_escapes_of_neocog(neocog_command, trained, photos, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    code, out, _ = neocog_command("predict", trained.path, photos)
    assert code == 1
    assert "\x1b[" in out  # the table's own
    for attack in (CLEAR, TITLE, "\x1b]", "\x1b[2J", "\x07", "\u202e", "\x9b"):
        assert attack not in out
