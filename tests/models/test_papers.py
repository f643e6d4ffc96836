"""The networks have the parameter counts and shapes stated in their papers."""

import pytest
import torch
from torchvision import models as theirs

from neocog import models
from neocog.models import MODELS, summary
from neocog.models.lenet1 import H3_TABLE
from neocog.models.lenet5_1998 import C3_TABLE, LeNet5Of1998, PartialConvolution, output_codes


def parameters(name):
    with torch.device("meta"):
        model = models.build(name, 10, 3, (32, 32))
    return sum(p.numel() for p in model.parameters())


def test_lenet5_of_1998_has_the_papers_parameters_layer_by_layer():
    network = summary.summarize("lenet5-1998")
    assert network.parameters == 60_000
    counts = [layer.parameters for layer in network.layers if layer.parameters]
    assert counts == [156, 12, 1516, 32, 48120, 10164]
    shapes = {layer.name: list(layer.output) for layer in network.layers}
    assert shapes["c1"] == [6, 28, 28] and shapes["s2"] == [6, 14, 14]
    assert shapes["c3"] == [16, 10, 10] and shapes["s4"] == [16, 5, 5]
    assert shapes["c5"] == [120, 1, 1] and shapes["f6"] == [84] and shapes["output"] == [10]


def test_c1_has_the_number_of_connections_in_the_paper():
    c1 = summary.summarize("lenet5-1998").layers[0]
    assert c1.locally_connected_parameters == 122_304


def test_the_connection_tables_equal_the_papers():
    assert [len(row) for row in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    assert len({tuple(sorted(row)) for row in C3_TABLE}) == 16
    for six in range(6):  # each map of S2 is seen by ten maps of C3
        assert sum(six in row for row in C3_TABLE) == 10
    assert sum(map(len, H3_TABLE)) == 20


def test_partial_convolution_equals_a_full_one_with_zeros():
    layer = PartialConvolution(6, C3_TABLE)
    full = torch.zeros(16, 6, 5, 5)
    kernels = iter(layer.weight)
    for out, row in enumerate(C3_TABLE):
        for seen in row:
            full[out, seen] = next(kernels)
    x = torch.randn(2, 6, 14, 14)
    expected = torch.nn.functional.conv2d(x, full, layer.bias)
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_the_rbf_units_compute_squared_distances_to_the_codes():
    codes = output_codes()
    assert codes.shape == (10, 84) and set(codes.unique().tolist()) == {-1.0, 1.0}
    apart = torch.cdist(codes, codes).square() / 4 + 99 * torch.eye(10)
    assert apart.min() >= 12  # all codes differ in at least twelve pixels
    model = LeNet5Of1998(10, 1, (32, 32))
    f6 = torch.randn(3, 84)
    expected = -((f6[:, None, :] - codes) ** 2).sum(2)
    assert torch.allclose(model.output(f6), expected, atol=1e-3)


def test_alexnet_of_2012_has_the_papers_maps():
    layers = summary.summarize("alexnet-2012").layers
    maps = [layer.output for layer in layers if layer.kind in ("Conv2d", "MaxPool2d")]
    assert maps == [
        (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13),
        (384, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6),
    ]  # fmt: skip
    assert [layer.output for layer in layers if layer.kind == "Linear"] == [
        (4096,), (4096,), (1000,),
    ]  # fmt: skip


@pytest.mark.parametrize("name", [n for n in MODELS if MODELS[n].torchvision])
def test_torchvisions_networks_have_its_parameters_and_names(name):
    with torch.device("meta"):
        ours = models.build(name, 1000, 3, (224, 224))
        reference = theirs.get_model(name, weights=None)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in reference.state_dict().items()
    }


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet20", 0.27), ("resnet32", 0.46), ("resnet44", 0.66), ("resnet56", 0.85),
     ("resnet110", 1.7), ("allconv", 1.4)],
)  # fmt: skip
def test_has_the_papers_millions_of_parameters(name, millions):
    digits = 1 if millions > 1 else 2
    assert round(parameters(name) / 1e6, digits) == millions


def test_the_tutorials_resnet_by_hand():
    def block(i, o, first):
        return 9 * i * o + 2 * o + 9 * o * o + 2 * o + (9 * i * o + 2 * o if first else 0)

    stages = (
        2 * block(16, 16, False)
        + block(16, 32, True) + block(32, 32, False)
        + block(32, 64, True) + block(64, 64, False)
    )  # fmt: skip
    assert parameters("resnet-cifar") == 9 * 3 * 16 + 32 + stages + 650
