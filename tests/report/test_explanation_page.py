"""`neocog explain`, as a user types it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from neocog import models
from neocog.classifier import Classifier
from neocog.data import Preprocessing
from neocog.data.decode import read_size
from neocog.errors import UsageError
from neocog.explanations import ExplainRequest
from neocog.model_card import Architecture
from neocog.report.explanation_page import explain


@pytest.fixture
def digit(mnist5k, tmp_path):
    """A dark digit on white paper, larger than MNIST's."""
    pixels = 255 - np.asarray(mnist5k.test.images[0])[:, :, 0]
    path = tmp_path / "数字 7.png"
    Image.fromarray(pixels).resize((140, 140)).save(path)
    return path


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_image_is_explained(neocog_command, open_page, quick_run, digit, tmp_path, lang):
    out = tmp_path / "out"
    code, printed, _ = neocog_command(
        "explain", quick_run.path, digit, "--out", out, "--lang", lang, "--json"
    )
    assert code == 0
    values = json.loads(printed)
    assert values["layer"] == "c3"
    folder = out / "数字 7"
    for name in ("original", "prepared", "gradcam", "integrated_gradients", "occlusion"):
        assert read_size((folder / f"{name}.png").read_bytes())[0] >= 112
    layers = sorted(path.name for path in (folder / "layers").iterdir())
    assert layers[0] == "001-c1.png" and layers[-1] == "012-output.png" and len(layers) == 12
    assert set(values["files"]) == {str(p) for p in out.rglob("*.png")}
    page = open_page(values["page"], width=390)
    text = page.inner_text("main")
    assert ("The network's input" if lang == "en" else "网络的输入") in text
    assert ("the image was inverted" if lang == "en" else "反色处理") in text
    assert "6 × 28 × 28" in text
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_chinese_letters_have_glyphs(open_page, quick_run, digit, tmp_path):
    """Each is drawn in another way than a letter that no font has."""
    found = explain(
        [str(quick_run.path), str(digit)], ExplainRequest(), out=tmp_path / "o", lang="zh"
    )
    page = open_page(found.page)
    drawn = page.evaluate(
        """async () => {
          await document.fonts.ready;
          const family = getComputedStyle(document.body).fontFamily;
          const draw = (letter) => {
            const canvas = Object.assign(document.createElement("canvas"), {width: 40, height: 40});
            const pen = canvas.getContext("2d");
            pen.font = "30px " + family;
            pen.fillText(letter, 2, 32);
            return pen.getImageData(0, 0, 40, 40).data.join();
          };
          return ["网", "络", "看", "到", "\\u{10ffff}"].map(draw);
        }"""
    )
    assert len(set(drawn)) == 5


def test_a_image_that_cannot_be_read_costs_a_line(neocog_command, quick_run, digit, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    code, _, err = neocog_command("explain", quick_run.path, bad, digit, "--out", tmp_path / "o")
    assert code == 1 and "bad.png" in err
    assert (tmp_path / "o" / "数字 7" / "gradcam.png").is_file()


def test_nothing_but_images_that_cannot_be_read_makes_no_page(neocog_command, quick_run, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    out = tmp_path / "out"
    code, printed, err = neocog_command(
        "explain", quick_run.path, tmp_path / "broken.png", "--out", out, "--json"
    )
    assert code == 1 and "broken.png" in err and "Page" not in err
    assert json.loads(printed)["page"] is None
    assert not any(out.iterdir())


def test_images_are_told_before_they_are_looked_at(quick_run, digit, tmp_path):
    told = []
    explain(
        [str(quick_run.path), str(digit), str(digit)],
        ExplainRequest(),
        out=tmp_path / "out",
        progress=lambda *facts: told.append(facts),
    )
    assert told == [(str(digit), 0, 2), (str(digit), 1, 2)]


def test_a_class_that_is_asked_for_is_explained(quick_run, digit, tmp_path):
    found = explain(
        [str(quick_run.path), str(digit)], ExplainRequest(label="3"), out=tmp_path / "o"
    )
    assert found.images[0].drawing.label == "3" and "“3”" in found.page.read_text("utf-8")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (ExplainRequest(layer="c9"), "no layer 'c9'"),
        (ExplainRequest(layer="f6"), "f6 has no feature maps"),
        (ExplainRequest(label="eleven"), "no class 'eleven'"),
    ],
)
def test_what_is_not_there_is_refused(quick_run, digit, tmp_path, wanted, message):
    with pytest.raises(UsageError, match=message):
        explain([str(quick_run.path), str(digit)], wanted, out=tmp_path / "o")
    assert not (tmp_path / "o").exists()


LARGE = [pytest.param(n, marks=pytest.mark.slow) for n in ("vit_b_16", "convnext_tiny", "vgg11")]


@pytest.mark.parametrize("name", ["threenet", "lenet5-1998", "resnet20", *LARGE])
def test_networks_of_every_kind_are_explained(name, tmp_path):
    channels, height, width = models.describe(name).input
    torch.manual_seed(0)
    rule = Preprocessing((height, width), channels, "square", (0.5,) * channels, (0.5,) * channels)
    architecture = Architecture(name, 10, channels, (height, width))
    model = models.build(name, 10, channels, (height, width))
    path = tmp_path / "model.safetensors"
    Classifier.of_network(model, architecture, rule, tuple("abcdefghij")).save(path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)).save(
        tmp_path / "noise.png"
    )
    found = explain([str(path), str(tmp_path / "noise.png")], ExplainRequest(), out=tmp_path / "o")
    assert ("gradcam" in found.images[0].drawing.heat) == (name != "threenet")
    assert found.page.stat().st_size < 8_000_000


def test_a_place_that_cannot_be_written_is_refused_before_the_work(quick_run, digit, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be created"):
        explain([str(quick_run.path), str(digit)], ExplainRequest(), out=tmp_path / "file")
