import pytest
import torch
from torch import nn

from neocog import models
from neocog.errors import UsageError
from neocog.explain.gradcam import default_layer, grad_cam

LAST = {
    "lenet5": "c3",
    "lenet5-1998": "c3",
    "alexnet": "features.10",
    "resnet18": "layer4.1.conv2",
    "efficientnet-lite0": "last",
    "vit_b_16": "encoder.layers.encoder_layer_11.ln_1",
}


def network(name):
    torch.manual_seed(0)
    channels, height, width = models.describe(name).input
    model = models.build(name, 10, channels, (height, width)).eval()
    return model, torch.rand(2, channels, height, width)


@pytest.mark.parametrize("name", LAST)
def test_the_layer_to_look_at_is_the_last_convolution_with_places(name):
    model, images = network(name)
    assert default_layer(model, images) == LAST[name]


def test_a_network_without_places_has_no_layer_to_look_at():
    assert default_layer(*network("threenet")) is None


@pytest.mark.parametrize("name", ["lenet5", "convnet", "resnet-cifar", "squeezenet1_1", "resnet18"])
def test_grad_cam_is_captums(name):
    captum = pytest.importorskip("captum.attr")
    model, images = network(name)
    layer = default_layer(model, images)
    targets = torch.tensor([3, 7])
    theirs = captum.LayerGradCam(model, model.get_submodule(layer)).attribute(
        images, targets, relu_attributions=True
    )
    size = tuple(images.shape[2:])
    theirs = captum.LayerAttribution.interpolate(theirs, size, interpolate_mode="bilinear")
    ours = grad_cam(model, images, targets, layer)
    assert ours.max() > 0
    assert torch.allclose(ours, theirs[:, 0].detach(), atol=1e-6, rtol=1e-4)


LARGE = [name for name, network in models.MODELS.items() if network.input[1] >= 224]
NETWORKS = [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in models.MODELS]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_looked_into(name):
    model, images = network(name)
    layer = default_layer(model, images)
    if name == "threenet":
        assert layer is None
        return
    heat = grad_cam(model, images, torch.tensor([0, 1]), layer)
    assert heat.shape == (2, *images.shape[2:]) and torch.isfinite(heat).all()
    assert (heat >= 0).all()


def test_frozen_networks_and_layers_that_work_in_place_are_looked_into():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 3)
    ).requires_grad_(requires_grad=False)
    assert grad_cam(model, torch.rand(1, 1, 8, 8), torch.tensor([1]), "0").shape == (1, 8, 8)


def test_a_layer_without_places_is_refused():
    model, images = network("lenet5")
    with pytest.raises(UsageError, match="f6 has no feature maps"):
        grad_cam(model, images, torch.tensor([0, 0]), "f6")


def test_other_weights_give_another_map(quick_run, mnist5k):
    """Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018."""
    from neocog.classifier import load

    classifier = load(quick_run.path)
    inputs = classifier.preprocessing.normalize(torch.tensor(mnist5k.test.images[::100]))
    targets = torch.tensor(mnist5k.test.labels[::100])
    before = grad_cam(classifier.model, inputs, targets, "c3")
    torch.manual_seed(0)
    for layer in (classifier.model.output, classifier.model.f6, classifier.model.c5):
        layer.reset_parameters()
    after = grad_cam(classifier.model, inputs, targets, "c3")
    both = torch.stack([before.flatten(1), after.flatten(1)])
    alike = [torch.corrcoef(both[:, n])[0, 1].item() for n in range(len(inputs))]
    assert torch.tensor(alike).nan_to_num().mean() < 0.5
