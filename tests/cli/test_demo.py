"""The demos as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neocog.demos.terminal import number

DEMOS = ["convolution", "pooling", "softmax", "padding", "sharing"]


@pytest.fixture
def demo(neocog_command):
    return lambda *arguments: neocog_command("demo", *arguments)


@pytest.fixture(scope="module")
def image(tmp_path_factory, mnist5k):
    path = tmp_path_factory.mktemp("images") / "seven.png"
    test = mnist5k.test
    Image.fromarray(test.images[np.nonzero(test.labels == 7)[0][0], :, :, 0]).save(path)
    return path


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_alone_speaks_to_people_and_to_programs(demo, name):
    code, out, err = demo(name)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) > 8
    code, out, err = demo(name, "--json")
    assert (code, err) == (0, "")
    assert isinstance(json.loads(out), dict)


def test_convolution_shows_the_first_sum_and_says_how_to_get_the_page(demo):
    _, out, _ = demo("convolution")
    assert "(W - F + 2P)/S + 1 = (5 - 3 + 2 x 1)/2 + 1 = 3" in out
    total = json.loads(demo("convolution", "--json")[1])["output"][0][0][0]
    assert f"(bias) = {total}" in out
    assert "neocog demo convolution --html convolution.html" in out


def test_convolution_writes_page_animation_and_image(demo):
    code, out, _ = demo(
        "convolution", "--size", 4, "--filters", 1, "--html", "c.html", "--gif", "c.gif", "--png",
        "c.png", "--lang", "zh",
    )  # fmt: skip
    assert code == 0
    assert "Wrote c.html" in out
    assert "卷积" in Path("c.html").read_text("utf-8")
    for name in ("c.gif", "c.png"):
        with Image.open(name) as image:
            image.verify()


def test_convolution_of_a_trained_layer(demo, quick_run, image):
    code, out, _ = demo(
        "convolution", "--run", quick_run.path, "--image", image, "--layer", "c3", "--filter", 2,
        "--filter", 9,
    )  # fmt: skip
    assert code == 0
    assert "2 of its 16 filters are shown" in out
    assert "channel 5" in out
    found = json.loads(demo("convolution", "--run", quick_run.path, "--image", image, "--json")[1])
    assert (found["layer"], found["output_shape"]) == ("c1", [6, 28, 28])
    assert np.shape(found["input"]) == (1, 28, 28)
    assert np.shape(found["output"]) == (6, 28, 28)
    assert np.max(found["output"]) == pytest.approx(found["sum"]["total"], rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["convolution", "--kernel", 9], "(W - F + 2P)/S + 1 = (5 - 9 + 2 x 1)/2 + 1 = 0"),
        (["convolution", "--size", 40], "must be 1 to 32"),
        (["convolution", "--lang", "fr"], "no language 'fr'"),
        (["convolution", "--run", "latest"], "needs an image"),
        (["convolution", "--layer", "c1", "--size", "7"], "has its own dimensions"),
        (["convolution", "--seed", "x"], "valid integer"),
        (["pooling", "--window", 9], "does not fit into 8"),
        (["softmax", "1.0"], "two logits"),
        (["softmax", "1.0", "2.0", "--label", 2], "no label 2"),
        (["padding", "--kernel", 7], "does not fit into 5"),
        (["sharing", "--layer", "c9"], "no convolution 'c9'"),
        (["sharing", "--model", "lenet6"], "no network 'lenet6'"),
        (["normalization", "3", "3"], "do not differ"),
        (["normalization", "inf", "1"], "finite"),
        (["normalization", "3"], "two numbers or more"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused_with_what_would(demo, arguments, expected):
    code, out, err = demo(*arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert len(err.splitlines()) >= 2
    code, out, _ = demo(*arguments, "--json")
    assert code == 2
    assert expected in json.loads(out)["error"]["message"]


def test_a_missing_image_or_run_is_named(demo, quick_run, tmp_path):
    code, _, err = demo("convolution", "--run", quick_run.path, "--image", "gone.png")
    assert (code, "gone.png: there is no such file" in err) == (1, True)
    code, _, err = demo("convolution", "--image", "x.png", "--runs", tmp_path)
    assert code == 2
    assert "neocog train" in err


def test_softmax_shows_the_wrong_pairings_on_ones_own_logits(demo):
    _, out, _ = demo("softmax", "-1.5", "3", "0.5", "--label", "2")
    assert "2 (label)" in out
    told = " ".join(out.replace("│", " ").split())  # a cell may go on in the next line
    assert "cannot fall below 0.5514" in told
    found = json.loads(demo("softmax", "-1.5", "3", "0.5", "--label", "2", "--json")[1])
    assert found["logits"] == [-1.5, 3.0, 0.5]
    assert sum(found["softmax"]) == pytest.approx(1)


def test_demo_alone_is_help(demo):
    code, out, err = demo()
    assert (code, err) == (0, "")
    assert all(name in out for name in [*DEMOS, "normalization"])


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
@pytest.mark.parametrize("name", DEMOS)
def test_in_a_narrow_terminal_nothing_is_cut(demo, monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = demo(name)
    assert code == 0
    assert "…" not in out
    told = out.split("Step through it")[0].splitlines()  # a command is one line, to be copied
    assert max(map(len, told)) <= columns


@pytest.mark.parametrize("columns", [24, 60, 100, 160])
def test_a_trained_window_is_shown_in_whole_lines_or_not_at_all(
    demo, monkeypatch, quick_run, image, columns
):
    monkeypatch.setenv("COLUMNS", str(columns))
    given = ("convolution", "--run", quick_run.path, "--image", image, "--layer", "c3")
    _, out, _ = demo(*given)
    found = json.loads(demo(*given, "--json")[1])["sum"]
    if columns == 24:
        assert "need a terminal of" in " ".join(out.split())
        return
    for part in found["parts"]:
        for kind in ("window", "weights", "products"):
            texts = [[number(value) for value in row] for row in part[kind]]
            wide = max(len(text) for row in texts for text in row)
            for row in texts:
                assert " ".join(text.rjust(wide) for text in row) in out


def test_shapes_are_the_layers_own_and_then_what_is_shown(demo, quick_run, image):
    _, out, _ = demo("convolution", "--run", quick_run.path, "--image", image, "--layer", "c3")
    told = " ".join(out.split())
    assert "14 x 14 x 6 under 16 filters of 5 x 5 x 6 give 10 x 10 x 16" in told
    assert "Shown: 14 x 14 x 6 of the input, 6 filters, 10 x 10 x 6 of the output" in told
    _, out, _ = demo("convolution")
    assert "5 x 5 x 3 under 2 filters of 3 x 3 x 3 give 3 x 3 x 2" in out
    assert "Shown" not in out


def test_pooling_shows_both_published_examples(demo):
    _, out, _ = demo("pooling")
    assert "224 x 224 x 64 -> 112 x 112 x 64" in out
    assert "8 x 8 -> 2 x 2" in out


def test_padding_says_how_often_a_corner_is_seen(demo):
    _, out, _ = demo("padding", "--size", "5", "--kernel", "3")
    assert "4 6 6 6 4" in out
    told = " ".join(out.split())
    assert "makes a side F - 1 = 2 shorter: 5 -> 3 -> 1" in told
    assert "'same' adds F - 1 = 2 zeros to a side in all" in told


def test_sharing_writes_the_arithmetic_out(demo):
    _, out, _ = demo("sharing", "--model", "lenet5", "--layer", "c1")
    assert "(784 + 1 bias) x 4,704 = 3,692,640" in out
    assert "(25 + 1 bias) x 6 = 156" in out
    assert "c3" not in out


def test_normalization_is_the_tutorials(demo):
    _, out, _ = demo("normalization", "16", "48", "27", "238", "12")
    assert "-0.5441 -0.2105 -0.4294 1.7698 -0.5858" in out
