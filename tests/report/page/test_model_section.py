from dataclasses import replace

import numpy as np
import pytest

from neocog.data import ImageSet
from neocog.evaluation.evaluate import evaluate
from neocog.model_card import Architecture
from neocog.models import build
from neocog.report.page import model_section
from neocog.report.page.diagram import blocks
from neocog.report.page.setup_section import network


@pytest.mark.parametrize("name", ["resnet-cifar", "vgg11", "[conv3-8 bn relu pool2]*2 fc"])
def test_deep_networks_show_a_few_layers_along_their_depth(quick_run, name):
    judged = evaluate(quick_run.path, device="cpu")
    size = (3, 32, 32)
    classifier = replace(
        judged.classifier,
        read_model=build(name, 10, 3, (32, 32)).eval,
        architecture=Architecture(name, 10, 3, (32, 32)),
        preprocessing=replace(
            judged.classifier.preprocessing, channels=3, image_size=(32, 32), fit="square",
            mean=(0.5,) * 3, std=(0.5,) * 3,
        ),
    )  # fmt: skip
    images = np.random.default_rng(0).integers(0, 256, (3, *size[1:], 3), dtype=np.uint8)
    test = ImageSet(images, np.arange(3), judged.test.classes)
    shares = np.eye(10, dtype=np.float32)[:3]
    found = replace(judged, classifier=classifier, test=test, probabilities=shares)
    chosen = model_section.select_correct(found)
    assert chosen.tolist() == [0, 1, 2]
    ways, layers = model_section.layer_traces(found, chosen, blocks(network(classifier)))
    assert len(ways) == 3
    for way in ways:
        names = [output.layer for output in way.outputs]
        assert 3 <= len(names) <= model_section.MAX_LAYERS
        assert len(names) == len(set(names))
        assert layers >= len(names)
        assert way.outputs[-1].shape == (10,)
        assert all(output.image or output.bars for output in way.outputs)
