import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neocog import models
from neocog.errors import UsageError
from neocog.models import pattern as pattern_module
from neocog.models.meta_device import build_on_meta

LENET = "conv5-6p0 relu pool2 conv5-16p0 relu pool2 fc120 relu fc84 relu fc"
LENET5 = "conv5-6 relu avgpool2 conv5-16p0 relu avgpool2 fc120 relu fc84 relu fc"
VGG16 = (
    "[conv3-64 relu]*2 pool2 [conv3-128 relu]*2 pool2 [conv3-256 relu]*3 pool2 "
    "[[conv3-512 relu]*3 pool2]*2 [fc4096 relu drop0.5]*2 fc"
)


def layers_of(model):
    """The layers in order as (type, window, shapes), without those that have no effect."""
    rows = []
    for layer in model.modules():
        if list(layer.children()) or isinstance(layer, nn.AdaptiveAvgPool2d | nn.Flatten):
            continue
        window = [
            (v, v) if isinstance(v, int) else tuple(v)
            for v in (getattr(layer, key, 0) for key in ("kernel_size", "stride", "padding"))
        ]
        shapes = [tuple(p.shape) for p in layer.parameters()]
        rows.append((type(layer).__name__, window, shapes))
    return rows


@pytest.mark.parametrize(
    ("pattern", "name", "size"),
    [(LENET, "lenet", (1, 28, 28)), (LENET5, "lenet5", (1, 28, 28)),
     (VGG16, "vgg16", (3, 224, 224))],
)  # fmt: skip
def test_a_pattern_equals_the_class_layer_by_layer(pattern, name, size):
    with torch.device("meta"):
        written = models.build(pattern, 10, size[0], size[1:])
        ours = models.build(name, 10, size[0], size[1:])
    assert layers_of(written) == layers_of(ours)


@pytest.mark.parametrize(("pattern", "name"), [(LENET, "lenet"), (LENET5, "lenet5")])
def test_a_pattern_with_the_weights_of_the_class_gives_its_logits(pattern, name):
    written, ours = (models.build(n, 10, 1, (28, 28)) for n in (pattern, name))
    weights = dict(zip(written.state_dict(), ours.state_dict().values(), strict=True))
    written.load_state_dict(weights)
    batch = torch.randn(3, 1, 28, 28)
    assert torch.equal(written(batch), ours(batch))


def test_repetition_norms_and_pools():
    model = models.build(
        "[conv3-8 bn gelu]*2 pool3s2p1 [conv3-4s2 tanh] gap drop0.5 fc9 bn sigmoid fc",
        7, 3, (20, 31),
    )  # fmt: skip
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == [
        "Conv2d", "BatchNorm2d", "GELU", "Conv2d", "BatchNorm2d", "GELU", "MaxPool2d",
        "Conv2d", "Tanh", "AdaptiveAvgPool2d", "Dropout",
        "Flatten", "Linear", "BatchNorm1d", "Sigmoid", "Linear",
    ]  # fmt: skip
    assert model(torch.randn(2, 3, 20, 31)).shape == (2, 7)


def test_the_tutorials_notation_is_accepted():
    plain = models.build("[[conv3-8 relu]*2 pool2]*2 [fc9 relu] fc", 10, 1, (28, 28))
    theirs = "INPUT -> [[CONV3-8 -> RELU]*2 -> POOL2]*2 -> [FC9 -> RELU] -> FC"
    assert layers_of(models.build(theirs, 10, 1, (28, 28))) == layers_of(plain)


@pytest.mark.parametrize(
    ("pattern", "wrong", "says", "hint"),
    [
        ("[[conv3-32 rleu]*2 pool2]*3 fc", "rleu", "not a layer", "'relu'"),
        ("[conv3-8 pool2]*8 fc", "pool2", "does not fit into maps of 1 x 1", "At most 1"),
        ("conv3 relu fc", "conv3", "not a layer", "conv3-32"),
        ("conv3-8 [relu fc", "[", "not closed", "]*2"),
        ("conv3-8 ] fc", "]", "closes nothing", "Remove"),
        ("fc128 conv3-2 fc", "conv3-2", "after 'fc128' there are none", "before the first fc"),
        ("conv3-8 relu", "", "must end in `fc`", "conv3-8 relu fc"),
        ("fc relu fc", "fc", "must come last", "fc128"),
        ("conv3-8p0 pool99 fc", "pool99", "99 x 99 does not fit into maps of 26 x 26", "26"),
        ("[[conv3-8]*999]*999 fc", "]*999", "more than 2,000 layers", "less often"),
        ("pool2p2 fc", "pool2p2", "at most half", "p1"),
        ("conv0-3 fc", "conv0-3", "at least 1", "conv3-32"),
        ("conv3-0 fc", "conv3-0", "1 to 65,536 maps", "conv3-32"),
        ("fc0 fc", "fc0", "1 to 65,536 units", "fc128"),
        ("conv2-8 fc", "conv2-8", "even kernel", "conv2-8p0"),
        ("conv99-8 fc", "conv99-8", "99 x 99 does not fit into maps of 28 x 28", "28"),
    ],
)
def test_an_error_marks_the_word_and_suggests_a_correction(pattern, wrong, says, hint):
    with pytest.raises(UsageError, match="layer pattern is wrong") as caught:
        models.build(pattern, 10, 1, (28, 28))
    _, line, mark = caught.value.message.split("\n")
    assert says in caught.value.message and hint in caught.value.hint
    assert line[2:] == pattern
    begin, end = mark.index("^") - 2, len(mark) - 2
    assert pattern[begin:end] == wrong or not wrong


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("fc65536 fc65536 fc", "has 4,346,478,592 parameters, and a pattern may have 250,000,000"),
        ("[conv3-65536 relu]*2 fc", "parameters, and a pattern may have 250,000,000"),
        ("conv1-8p60000 gap fc", "values for an image, and may give 100,000,000"),
        ("conv3-8p999999999 fc", "values for an image, and may give 100,000,000"),
        ("relu " * 2001 + "fc", "more than 2,000 layers"),
        ("relu " * 5000, "has 24,999 characters, and may have 20,000"),
        ("fc" + "9" * 5000 + " fc", "not a layer"),
        ("relu]*" + "9" * 5000, "closes nothing"),
        ("[relu]*" + "9" * 5000 + " fc", "more than 2,000 layers"),
        ("[" * 10_000, "not closed"),
    ],
)
def test_limits_are_checked_without_allocating_memory(pattern, says):
    tracemalloc.start()
    try:
        with pytest.raises(UsageError) as caught:
            models.build(pattern, 10, 1, (28, 28))
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert says in caught.value.message


WORDS = """conv3-32 conv5-8p0s2 conv0-0 conv2-2 pool2 pool3s2p1 avgpool2 pool0 gap bn relu gelu tanh
drop0.5 fc128 fc0 fc99999 fc [ ] ]*2 ]*0 ]*999999999 -> INPUT input conv3-9s0 conv٣-٤ drop٠.5"""
PATTERNS = st.lists(st.sampled_from(WORDS.split()), max_size=12).map(" ".join)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=60), PATTERNS), st.integers(1, 40), st.integers(1, 40))
def test_any_text_is_a_network_or_an_error(text, height, width):
    try:
        model, refusal = build_on_meta(f"[{text}] fc", 10, 1, (height, width)), None
    except UsageError as error:
        model, refusal = None, error
    if refusal:
        assert refusal.message.startswith("The layer pattern is wrong at")
        assert len(refusal.message.split("\n")) == 3 and "\n" not in refusal.hint
    else:
        assert sum(p.numel() for p in model.parameters()) <= pattern_module.MAX_PARAMETERS
