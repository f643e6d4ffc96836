import json

import numpy as np
import torch

from neocog.classifier import load
from neocog.data.decode import read_size


def test_the_strongest_images_of_each_map_are_shown(
    neocog_command, open_page, quick_run, mnist5k, tmp_path
):
    code, out, _ = neocog_command(
        "explain", quick_run.path, "--layer", "c1", "--maximize", "--out", tmp_path, "--json"
    )
    assert code == 0
    values = json.loads(out)
    assert len(values["maps"]) == 6 and len(values["maps"][0]["images"]) == 9
    classifier = load(quick_run.path)
    inputs = classifier.preprocessing.normalize(torch.tensor(np.asarray(mnist5k.test.images)))
    with torch.no_grad():
        peaks = classifier.model.c1(inputs).flatten(2).amax(2)
    for number, found in enumerate(values["maps"]):
        assert abs(peaks[:, number].max().item() - found["values"][0]) < 1e-4
        assert peaks[found["images"][0], number].item() >= found["values"][1]
    assert read_size((tmp_path / "strongest-c1.png").read_bytes())[1] > 6 * 64
    page = open_page(values["page"])
    assert page.locator(".map img").count() == 6
    assert "5 × 5 pixels" in page.inner_text("main")


def test_maximize_needs_a_layer_and_no_image(neocog_command, quick_run):
    for wrong in (["--maximize"], ["--maximize", "--layer", "c1", "more.png"]):
        code, _, err = neocog_command("explain", quick_run.path, *wrong)
        assert code == 2 and "--layer c1 --maximize" in err
