import pytest
import torch

from neocog import models
from neocog.training.precision import has_bfloat16

CPU = torch.device("cpu")


def test_the_words_mean_what_they_say():
    assert has_bfloat16("bfloat16", CPU)
    assert not has_bfloat16("float32", CPU)


@pytest.mark.parametrize("made_for_it", [False, True])
def test_fast_depends_on_the_processor_and_on_depthwise_convolutions(monkeypatch, made_for_it):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: made_for_it)
    lite = models.build("efficientnet-lite0", 2, 3, (64, 64))
    plain = models.build("lenet5", 2, 3, (28, 28))
    assert has_bfloat16("fast", CPU) == made_for_it
    assert has_bfloat16("fast", CPU, plain) == made_for_it
    assert not has_bfloat16("fast", CPU, lite)
