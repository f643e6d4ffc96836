import pytest
import torch

from neocog import models
from neocog.inspection.receptive_field import receptive_fields

CASES = [
    ("lenet5", "c3", 1, 28),
    ("lenet5", "s4", 1, 28),
    ("stridednet", None, 1, 28),
    ("efficientnet-lite0", "blocks.2.depthwise", 3, 64),
    ("efficientnet-lite0", "blocks.4.depthwise", 3, 64),
]


@pytest.mark.parametrize(("name", "layer", "channels", "side"), CASES)
def test_a_unit_sees_its_window_and_nothing_else(name, layer, channels, side):
    """The window of the input that changes a unit: in the middle, and at the edges."""
    model = models.build(name, 10, channels, (side, side)).double().eval()
    for parameter in model.parameters():
        parameter.data.abs_().add_(0.1)  # nothing cancels, no ReLU is off
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU6):
            module.max_val = float("inf")
    layer = layer or [n for n, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)][-1]
    outputs = {}
    hook = model.get_submodule(layer).register_forward_hook(lambda *g: outputs.update(o=g[2]))
    image = torch.rand(1, channels, side, side, dtype=torch.float64).mul_(0.01).requires_grad_()
    model(image)
    hook.remove()
    maps = outputs["o"][0, 0]
    field = receptive_fields(model, (channels, side, side))[layer]
    last = maps.shape[0] - 1
    for row, column in ((0, 0), (last // 2, last // 2), (last, 0)):
        (slope,) = torch.autograd.grad(maps[row, column], image, retain_graph=True)
        seen = torch.nonzero(slope[0].abs().sum(0))
        top, left, bottom, right = field.window(row, column, side, side)
        assert seen.amin(0).tolist() == [top, left]
        assert seen.amax(0).tolist() == [bottom - 1, right - 1]
