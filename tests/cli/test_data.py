"""`neocog data`, as a user types it."""

import numpy as np
from PIL import Image


def test_help_names_the_defaults_that_are_not_values(neocog_command):
    _, out, _ = neocog_command("data", "--help")
    text = " ".join(out.replace("│", " ").split())
    assert "RUNS/data/NAME" in text and "NEOCOG_RUNS or ./runs" in text


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
    assert "Findings marked `error` would make the accuracy wrong" in out
    assert "grey images" in out
