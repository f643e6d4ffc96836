import pytest
import torch
import torch.nn.functional as F
from torch import nn

from neocog import models
from neocog.demos import convolution as parts
from neocog.demos.convolution import Convolution, Dimensions
from neocog.errors import NeocogError, UsageError


def of_torch(c):
    """The same by torch: every filter over the channels that it sees."""
    weights = c.weights * c.sees[:, :, None, None]
    return F.conv2d(c.padded[None], weights, c.bias, c.stride, 0, c.dilation)[0]


CASES = [
    {}, {"size": 7, "stride": 1}, {"size": 6, "kernel": 2, "padding": 0}, {"size": 1, "kernel": 3},
    {"size": 9, "dilation": 2, "padding": 3}, {"size": 12, "kernel": 5, "stride": 3, "filters": 4},
    {"size": 4, "kernel": 1, "channels": 8, "padding": 2}, {"size": 32, "kernel": 11, "stride": 4},
]  # fmt: skip


@pytest.mark.parametrize("given", CASES, ids=str)
def test_the_output_is_torchs(given):
    dimensions = Dimensions(**given)
    c = parts.example(dimensions, seed=3)
    expected = F.conv2d(
        c.inputs[None], c.weights, c.bias, dimensions.stride, dimensions.padding,
        dimensions.dilation,
    )[0]  # fmt: skip
    assert torch.equal(parts.output(c), expected)
    assert c.output_shape == tuple(expected.shape) == (dimensions.filters, *[dimensions.output] * 2)


@pytest.mark.parametrize("given", CASES[:6], ids=str)
def test_every_number_is_the_sum_of_its_products_and_the_bias(given):
    c = parts.example(Dimensions(**given), seed=1)
    expected = of_torch(c)
    for place in torch.cartesian_prod(*map(torch.arange, expected.shape)).tolist():
        found = parts.one_sum(c, *place)
        assert found.total == expected[tuple(place)]
        assert found.total == sum(part.sum for part in found.parts) + found.bias
        for part in found.parts:
            window, weights = torch.tensor(part.window), torch.tensor(part.weights)
            assert torch.equal(torch.tensor(part.products), window * weights)
            assert part.sum == sum(map(sum, part.products))


def test_sides_may_differ_in_all_that_they_have():
    generator = torch.Generator().manual_seed(0)
    c = Convolution(
        torch.randn(2, 9, 6, generator=generator),
        torch.randn(3, 2, 3, 2, generator=generator),
        torch.randn(3, generator=generator),
        stride=(2, 1),
        padding=(1, 2, 0, 3),
        dilation=(1, 2),
        sees=torch.tensor([[True, True], [True, False], [False, True]]),
    )
    torch.testing.assert_close(parts.output(c), of_torch(c))
    assert parts.one_sum(c, 1, 2, 3).total == pytest.approx(float(of_torch(c)[1, 2, 3]))
    assert [part.channel for part in parts.one_sum(c, 2, 0, 0).parts] == [1]


def test_the_formula_gives_torchs_size_and_refuses_what_torch_refuses():
    for size in (1, 2, 5, 8):
        for kernel in (1, 2, 3, 5):
            for stride in (1, 2, 3):
                for padding in (0, 1, 2):
                    for dilation in (1, 2):
                        window = (kernel, stride, padding, dilation)
                        x, w = torch.zeros(1, 1, size, size), torch.zeros(1, 1, kernel, kernel)
                        try:
                            made = F.conv2d(x, w, None, *window[1:]).shape[3]
                        except RuntimeError:
                            with pytest.raises(UsageError, match=r"\(W - F"):
                                parts.output_size(size, *window)
                        else:
                            assert parts.output_size(size, *window) == made
                            assert str(made) in parts.formula(size, *window).split("= ")[-1]


def test_what_does_not_fit_says_why_and_what_would():
    with pytest.raises(UsageError, match="spans 7 cells does not fit") as refused:
        parts.output_size(5, 7)
    assert "(5 - 7 + 2 x 0)/1 + 1 = -1" in refused.value.message
    assert "kernel of at most 5, a padding of at least 1, or an input of at least 7" in (
        refused.value.hint
    )
    assert parts.output_size(5, 5) == parts.output_size(7, 7) == parts.output_size(5, 7, 1, 1) == 1
    with pytest.raises(UsageError, match="spans 9") as refused:
        parts.output_size(5, 3, 1, 0, 4)
    assert "kernel of at most 2" in refused.value.hint
    assert parts.output_size(5, 2, 1, 0, 4) == 1
    for wrong in ((0, 1), (3, 0), (3, 1, 0), (3, 1, 1, -1), (3, 1, 1, 0, 0)):
        with pytest.raises(UsageError, match="must be at least"):
            parts.output_size(*wrong)


@pytest.mark.parametrize(
    ("name", "value"), [("size", 33), ("size", 0), ("filters", 9), ("kernel", 12)]
)
def test_an_example_that_cannot_be_looked_at_is_refused(name, value):
    with pytest.raises(UsageError, match=f"The {name} must be"):
        Dimensions(**{name: value})


def test_what_a_stride_leaves_over_is_never_seen():
    dimensions = Dimensions(size=8, kernel=3, stride=3, padding=0)
    left = parts.unseen(8, 3, 3, 0)
    assert left == 2
    c = parts.example(dimensions)
    before = parts.output(c)
    c.inputs[:, -left:, :] = 99
    c.inputs[:, :, -left:] = 99
    assert torch.equal(parts.output(c), before)
    c.inputs[:, -left - 1, 0] = 99
    assert not torch.equal(parts.output(c), before)
    assert "rounded down to 2" in parts.formula(8, 3, 3, 0)


def test_numbers_depend_on_their_place_alone_and_all_occur():
    small, large = parts.example(Dimensions()), parts.example(Dimensions(size=9, channels=5))
    assert torch.equal(small.inputs, large.inputs[:3, :5, :5])
    assert torch.equal(small.weights, large.weights[:, :3])
    assert not torch.equal(parts.example(Dimensions(), 1).inputs, small.inputs)
    many = parts.example(Dimensions(size=32, channels=8)).inputs
    shares = [float((many == k).double().mean()) for k in (0, 1, 2)]
    assert sum(shares) == 1
    assert all(abs(share - 1 / 3) < 0.02 for share in shares)


class Same(nn.Conv2d):
    """As TensorFlow pads: the odd zero at the end."""

    def forward(self, x):
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Doubled(nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


LAYERS = {
    "plain": nn.Conv2d(3, 4, 3, padding=1),
    "strided": nn.Conv2d(3, 16, 5, stride=2, padding=2, bias=False),
    "dilated": nn.Conv2d(3, 2, 3, dilation=(2, 3), padding=(4, 1)),
    "many channels": nn.Conv2d(24, 9, 3),
    "depthwise": nn.Conv2d(12, 12, 3, padding=1, groups=12),
    "grouped": nn.Conv2d(24, 8, 3, stride=2, groups=2),
    "same": nn.Conv2d(3, 2, 5, padding="same"),
    "one side": Same(3, 2, 3, stride=2),
}


@pytest.mark.parametrize("side", [20, 70])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_shown_with_the_numbers_that_it_gives(kind, side):
    torch.manual_seed(1)
    layer = LAYERS[kind]
    x = torch.randn(1, layer.in_channels, side, side + 3)
    c = parts.of_layer(nn.Sequential(nn.Identity(), layer), x)
    e = c.excerpt
    assert max(c.inputs.shape[1:]) <= parts.SIDE
    assert len(c.inputs) <= parts.MAX_CHANNELS
    with torch.no_grad():
        whole = layer(x)[0].double()
    assert e.output == tuple(whole.shape)
    _, rows, columns = c.output_shape
    top, left = e.corner
    shown = whole[list(e.filters), top : top + rows, left : left + columns]
    torch.testing.assert_close(parts.output(c), shown, rtol=1e-4, atol=1e-4)
    best = e.strongest
    assert shown[best] == whole[list(e.filters)].max()
    assert parts.one_sum(c, *best).total == pytest.approx(float(shown[best]), rel=1e-4)
    if e.patch:
        first, last, begin, end = e.patch
        assert torch.equal(
            c.inputs, x[0, list(e.channels), first : last + 1, begin : end + 1].double()
        )
    seen = c.sees.sum(1) + torch.tensor(e.hidden)
    assert seen.tolist() == [layer.in_channels // layer.groups] * len(e.filters)
    assert c.sees.any(1).all()


def test_of_many_filters_the_strongest_are_shown_or_those_asked_for():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(1, 20, 3), torch.randn(1, 1, 12, 12)
    strongest = layer(x)[0].flatten(1).amax(1).topk(parts.MAX_FILTERS).indices.tolist()
    assert parts.of_layer(layer, x).excerpt.filters == tuple(sorted(strongest))
    assert parts.of_layer(layer, x, filters=(7, 0)).excerpt.filters == (0, 7)
    with pytest.raises(UsageError, match="no filter 20"):
        parts.of_layer(layer, x, filters=(20,))
    with pytest.raises(UsageError, match="too many"):
        parts.of_layer(layer, x, filters=tuple(range(9)))


def test_a_deeper_layer_is_given_what_the_network_gives_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3))
    x = torch.randn(1, 1, 20, 20)
    c = parts.of_layer(model, x, "3")
    assert torch.equal(c.inputs, model[:3](x)[0].double())
    with pytest.raises(UsageError, match="no convolution '2'"):
        parts.of_layer(model, x, "2")


def test_a_network_is_shown_as_it_answers_and_left_in_its_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.9), nn.Conv2d(1, 2, 3))
    x = torch.randn(1, 1, 9, 9) + 5
    before = {name: value.clone() for name, value in model.state_dict().items()}
    c = parts.of_layer(model, x)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    torch.testing.assert_close(c.inputs, model.eval()[0](x)[0].detach().double())


def test_of_a_deep_network_a_few_names_are_told_in_its_order():
    model = nn.Sequential(*[nn.Conv2d(1, 1, 1) for _ in range(30)])
    with pytest.raises(UsageError, match="no convolution 'x'") as refused:
        parts.of_layer(model, torch.randn(1, 1, 4, 4), "x")
    assert refused.value.hint == ("There are 30: 0, 1, 2, 3, 4, ..., 29. For example: --layer 0")
    with pytest.raises(UsageError, match="no convolution '1_'") as refused:
        parts.of_layer(model, torch.randn(1, 1, 4, 4), "1_")
    assert refused.value.hint.endswith("--layer 1")
    model = nn.Sequential(nn.Conv2d(1, 1, 1), models.build("lenet5-1998", 10, 1, (32, 32)))
    with pytest.raises(NeocogError, match="a convolution with a connection table") as refused:
        parts.of_layer(model, torch.randn(1, 1, 32, 32), "1.c3")
    assert refused.value.hint.endswith("--layer 0")


@pytest.mark.parametrize("kind", LAYERS)
def test_shapes_are_those_of_the_whole_layer(kind):
    layer = LAYERS[kind]
    e = parts.of_layer(layer, torch.randn(1, layer.in_channels, 40, 40)).excerpt
    assert e.kernel == tuple(layer.weight.shape[1:])
    assert e.uneven == ([(0, 1), (0, 1)] if kind == "one side" else [])


def test_what_is_no_plain_convolution_is_refused():
    x = torch.randn(1, 1, 8, 8)
    with pytest.raises(NeocogError, match="no convolution to show"):
        parts.of_layer(nn.Flatten(), x)
    for layer in (nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), Doubled(1, 1, 3)):
        with pytest.raises(NeocogError, match="more than a convolution"):
            parts.of_layer(nn.Sequential(layer), x)
