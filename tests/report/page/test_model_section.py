from dataclasses import replace

import numpy as np
import pytest

from neocog.classifier import Classifier, load
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
    rule = replace(
        judged.classifier.preprocessing, channels=3, image_size=(32, 32), fit="square",
        mean=(0.5,) * 3, std=(0.5,) * 3,
    )  # fmt: skip
    classifier = Classifier.of_network(
        build(name, 10, 3, (32, 32)).eval(),
        Architecture(name, 10, 3, (32, 32)),
        rule,
        judged.classifier.classes,
    )
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


def test_the_engine_shows_what_the_network_does(quick_run):
    """Filters, and the output of each layer, from the ONNX file and from the network."""
    judged = evaluate(quick_run.path)
    assert judged.classifier.engine.name == "onnx"
    by_torch = replace(judged, classifier=load(quick_run.path, engine="torch"))
    chosen = model_section.select_correct(judged)
    assert network(judged.classifier) == network(by_torch.classifier)
    parts = blocks(network(judged.classifier))
    found, layers = model_section.layer_traces(judged, chosen, parts)
    expected, expected_layers = model_section.layer_traces(by_torch, chosen, parts)
    assert layers == expected_layers
    for one, other in zip(found, expected, strict=True):
        assert [o.layer for o in one.outputs] == [o.layer for o in other.outputs]
        for output, reference in zip(one.outputs, other.outputs, strict=True):
            assert (output.shape, output.total) == (reference.shape, reference.total)
            np.testing.assert_allclose(output.bars, reference.bars, atol=2e-3)
    filters = model_section.filters_image(judged)
    assert filters == model_section.filters_image(by_torch)
