import pytest
import torch

from neocog import models
from neocog.errors import UsageError
from neocog.explain.attributions import integrated_gradients, occlusion
from neocog.explain.explanation import explain_image
from neocog.explain.gradcam import grad_cam


@pytest.fixture
def lenet():
    torch.manual_seed(0)
    return models.build("lenet5", 10, 1, (28, 28)).eval(), torch.rand(1, 28, 28)


def test_an_explanation_has_every_method_and_every_layer_as_tensors(lenet):
    model, image = lenet
    baseline, target = torch.zeros(1, 28, 28), torch.tensor([3])
    result = explain_image(model, image, baseline, 3, "c3")
    inputs = image[None]
    assert torch.equal(result.gradcam, grad_cam(model, inputs, target, "c3")[0])
    gradients = integrated_gradients(model, inputs, target, baseline[None])
    assert torch.equal(result.integrated_gradients, gradients[0])
    assert torch.equal(result.occlusion, occlusion(model, inputs, target, baseline[None], 5)[0])
    assert result.feature_maps["c1"].shape == (6, 28, 28)
    logits = model(inputs)[0].detach()
    assert torch.allclose(result.feature_maps["output"], logits, atol=1e-6)


def test_without_feature_maps_there_is_no_grad_cam():
    model = models.build("threenet", 10, 1, (28, 28))
    result = explain_image(model, torch.rand(1, 28, 28), torch.zeros(1, 28, 28), 0, None)
    assert result.gradcam is None and result.occlusion.shape == (28, 28)


def test_gradients_of_a_large_image_are_averaged_over_squares():
    model = models.build("[conv3-4 relu pool2]*2 gap fc", 3, 3, (96, 80))
    image = torch.rand(3, 96, 80)
    result = explain_image(model, image, torch.zeros_like(image), 1, None)
    assert result.integrated_gradients.shape == (24, 20) and result.occlusion.shape == (96, 80)


def test_a_layer_without_feature_maps_is_refused(lenet):
    model, image = lenet
    with pytest.raises(UsageError, match="f6 has no feature maps"):
        explain_image(model, image, torch.zeros_like(image), 0, "f6")
