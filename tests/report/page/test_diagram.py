from xml.etree import ElementTree

import pytest
import torch

from neocog import models
from neocog.inspection.layers import LayerSummary
from neocog.inspection.summary import summarize_layers
from neocog.rendering.i18n import translator
from neocog.report.page import diagram
from neocog.report.phrases.report import REPORT

SIZES = {
    "lenet5": (1, 28, 28), "lenet5-1998": (1, 32, 32), "threenet": (1, 28, 28),
    "cifarnet": (3, 32, 32), "resnet110": (3, 32, 32), "resnet18": (3, 224, 224),
    "efficientnet-lite0": (3, 224, 224), "vgg16": (3, 224, 224), "vit_b_16": (3, 224, 224),
    "[[conv3-32 bn relu]*2 pool2]*3 [fc128 relu drop0.5]*1 fc": (3, 32, 32),
}  # fmt: skip


def network(name):
    size = SIZES[name]
    with torch.device("meta"):
        model = models.build(name, 10, size[0], size[1:]).to("meta")
    return summarize_layers(model, size)


@pytest.mark.parametrize("name", SIZES)
def test_every_network_is_a_few_blocks_that_hold_all_of_it(name):
    found = network(name)
    blocks = diagram.blocks(found)
    assert 3 <= len(blocks) <= diagram.MAX_BLOCKS
    assert [layer for block in blocks for layer in block.layers] == found
    assert sum(block.parameters for block in blocks) == sum(layer.parameters for layer in found)
    assert blocks[-1].output[0] == 10
    for lang in ("en", "zh"):
        cards = diagram.draw(SIZES[name], blocks, translator(REPORT, lang))
        items = ElementTree.fromstring(str(cards)).findall("li")
        assert len(items) == len(blocks) + 1
        assert all(item.find("b").text and item.find("span").text for item in items)


def test_lenet5_is_named_as_in_the_paper():
    blocks = diagram.blocks(network("lenet5"))
    assert [block.name for block in blocks] == ["c1", "s2", "c3", "s4", "c5", "f6", "output"]
    assert [block.kind for block in blocks] == ["conv", "pool", "conv", "pool"] + ["full"] * 3
    assert [block.output for block in blocks[2:5]] == [(16, 10, 10), (16, 5, 5), (120,)]
    text = str(diagram.draw((1, 28, 28), blocks, translator(REPORT, "en")))
    assert "convolution 5×5 · ReLU" in text
    assert "average pooling 2×2, stride 2" in text
    assert "6 × 28 × 28" in text


def test_a_residual_block_is_one():
    names = [block.name for block in diagram.blocks(network("resnet18"))]
    stages = [f"layer{k}.{n}" for k in range(1, 5) for n in range(2)]
    assert names == ["conv1", "maxpool", *stages, "avgpool", "fc"]


def test_neighbours_of_the_same_shape_become_one_in_a_long_network():
    blocks = diagram.blocks(network("efficientnet-lite0"))
    assert [block.name for block in blocks][1:5] == [
        "blocks.0", "blocks.1–2", "blocks.3–4", "blocks.5–7",
    ]  # fmt: skip
    vgg = diagram.blocks(network("vgg16"))
    assert (vgg[0].name, vgg[0].repeats, vgg[0].kind) == ("features.0–2", 2, "conv")


def test_what_is_drawn_stays_inside_its_card():
    blocks = diagram.blocks(network("efficientnet-lite0"))
    cards = diagram.draw((3, 224, 224), blocks, translator(REPORT, "en"))
    whole = diagram.SIDE + diagram.DEPTH
    for box in ElementTree.fromstring(str(cards)).iter("rect"):
        x, y, wide, tall = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        assert min(x, y) > -0.1
        assert max(x + wide, y + tall) < whole + 0.1


def test_a_layers_name_is_escaped():
    layer = LayerSummary("<script>", "Conv2d", 3, 1, (4, 5, 5), 10, 10, 3)
    text = diagram.draw((1, 7, 7), diagram.blocks([layer]), translator(REPORT, "en"))
    assert "<script>" not in text


def test_stages_end_where_new_weights_or_shapes_come():
    names = diagram.stage_ends(network("lenet5"))
    assert names == ["c1_relu", "s2", "c3_relu", "s4", "c5_relu", "f6_relu", "output"]
