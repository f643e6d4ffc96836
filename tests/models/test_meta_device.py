"""Networks on the meta device have shapes but no memory."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from neocog import models
from neocog.models import MODELS
from neocog.models.meta_device import build_on_meta

PATTERNS = {"[conv3-8 bn relu pool2]*2 [fc9 drop0.5]*2 fc": (1, 28, 28), "gap fc": (3, 9, 30)}
EVERYTHING = {**{name: network.input for name, network in MODELS.items()}, **PATTERNS}


def contents(model: nn.Module):
    return [(name, tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()]


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_network_has_its_shapes_without_memory(name, monkeypatch):
    channels, height, width = EVERYTHING[name]
    model = build_on_meta(name, 10, channels, (height, width))
    tensors = [*model.parameters(), *model.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    # Without drawing weights, which takes 10 s for the largest: empty ones have the same shapes.
    for draw in ("kaiming_normal_", "kaiming_uniform_", "trunc_normal_", "normal_", "uniform_"):
        monkeypatch.setattr(nn.init, draw, lambda tensor, *_, **__: tensor)
    assert contents(model) == contents(models.build(name, 10, channels, (height, width)))


def test_a_network_too_large_for_any_memory_is_built():
    model = build_on_meta("threenet", 10, 3, (10**6, 10**6))
    assert model.f1.weight.shape == (200, 3 * 10**12)


def test_the_random_state_is_not_changed():
    before = torch.get_rng_state()
    build_on_meta("convnet", 10, 1, (28, 28))
    assert torch.equal(torch.get_rng_state(), before)


def test_torchs_decompositions_are_not_imported():
    code = """
import sys
from neocog.models.meta_device import build_on_meta
for name in ("lenet5-1998", "allconv", "efficientnet-lite0", "cifarnet"):
    build_on_meta(name, 10, 1 if name == "lenet5-1998" else 3, (32, 32))
print("sympy" in sys.modules)
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert answer.stdout.strip() == "False"
