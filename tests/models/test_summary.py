import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from neocog import models
from neocog.errors import UsageError
from neocog.inspection.summary import summarize_layers
from neocog.models import MODELS, summary


def field(name, layer):
    layers = summary.summarize(name).layers
    return next(row.receptive_field for row in layers if row.name == layer)


DEEP = [f"resnet{n}" for n in (32, 34, 44, 50, 56, 101, 110, 152)]  # a second or more each
COUNTED = [
    pytest.param(name, marks=pytest.mark.slow) if name in DEEP else name
    for name in MODELS
    if name not in ("lenet1", "lenet5-1998")
]


@pytest.mark.parametrize("name", COUNTED)
def test_flops_are_those_that_torch_counts(name):
    """The two left out are counted by their connections; torch counts zeros, too."""
    network = MODELS[name]
    channels, height, width = network.input
    with torch.device("meta"):
        model = models.build(name, network.num_classes, channels, (height, width)).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model(torch.empty(1, channels, height, width))
    assert summary.summarize(name).flops == counter.get_total_flops()


def test_receptive_fields_are_the_known_ones():
    assert field("lenet5", "c3") == 14
    assert field("vgg16", "features.28") == 196 and field("vgg16", "features.30") == 212
    assert field("alexnet", "features.10") == 163 and field("alexnet", "features.12") == 195
    assert field("resnet18", "layer4.1.conv2") == 435
    assert field("threenet", "f1") == 28


@pytest.mark.parametrize("name", ["lenet5", "resnet-cifar", "stridednet"])
def test_receptive_fields_are_what_gradients_reach(name):
    """The window of the input that changes a unit in the middle of the last map."""
    rows = [r for r in summary.summarize(name).layers if r.kind in ("Conv2d", "AvgPool2d")]
    channels = 3 if name == "resnet-cifar" else 1
    model = models.build(name, 10, channels, (160, 160)).double()
    for parameter in model.parameters():
        parameter.data.abs_().add_(0.1)  # nothing cancels, no ReLU is off
    outputs = {}
    wanted = rows[len(rows) // 2]
    layer = model.get_submodule(wanted.name)
    layer.register_forward_hook(lambda *given: outputs.update(o=given[2]))
    model.eval()
    image = torch.rand(1, channels, 160, 160, dtype=torch.float64, requires_grad=True)
    model(image)
    middle = outputs["o"].shape[2] // 2
    outputs["o"][0, 0, middle, middle].backward()
    reached = (image.grad[0].abs().sum(0) > 0).any(1).nonzero().flatten()
    assert int(reached.max() - reached.min()) + 1 == wanted.receptive_field


def test_full_connection_is_counted_as_the_tutorials_do():
    """1,000 x 1,000 pixels to as many units: 10^12; a shared window of 10 x 10: 100."""
    c1 = summary.summarize("lenet5").layers[0]
    assert c1.fully_connected_parameters == 784 * 4704 + 4704
    assert c1.locally_connected_parameters == 4704 * 26
    assert c1.parameters == 156


def test_layers_are_shown_for_another_input():
    network = summary.summarize("[conv3-8 relu pool2]*3 fc", summary.parse_input("3x64x48"))
    assert network.to_json(with_layers=False)["input"] == "3 x 64 x 48"
    assert network.layers[0].output == (8, 64, 48)
    for wrong in ("3x64", "x", "3x0x8", "axbxc"):
        with pytest.raises(UsageError, match="channels x height x width"):
            summary.parse_input(wrong)


def test_every_network_is_listed_with_year_and_paper():
    rows = summary.summarize_all()
    assert [row.name for row in rows] == list(MODELS)
    assert all(row.parameters > 0 and row.flops > 0 and row.paper for row in rows)


def test_json_has_kernels_as_text_and_shapes_as_lists():
    first, pool = summary.summarize("lenet5").to_json(with_layers=True)["layers"][:3:2]
    assert (first["kernel"], first["kernel_size"], first["stride"]) == ("5 x 5", 5, 1)
    assert (pool["kernel"], pool["output"]) == ("2 x 2 / 2", [6, 14, 14])


@pytest.mark.parametrize("name", ["lenet5-1998", "resnet18", "efficientnet-lite0", "vit_b_16"])
def test_layers_are_the_same_with_numbers_and_without(name):
    size = MODELS[name].input
    model = models.build(name, MODELS[name].num_classes, size[0], size[1:])
    assert tuple(summarize_layers(model, size)) == summary.summarize(name).layers
