import pytest
import torch

from neocog.demos import pooling
from neocog.errors import UsageError


def test_the_large_example_is_the_tutorials():
    found = pooling.published_example()
    assert (found.input, found.output) == ((64, 224, 224), (64, 112, 112))
    assert (found.kept, found.parameters) == (0.25, 0)
    assert found.formula.endswith("(224 - 2 + 2 x 0)/2 + 1 = 112")


@pytest.mark.parametrize(("size", "window", "stride"), [(8, 4, None), (7, 3, 2), (5, 2, 3)])
def test_maxima_and_means_are_those_of_each_window(size, window, stride):
    found = pooling.pooling_example(size, window, stride, seed=5)
    step = found.stride
    assert step == (stride or window)
    numbers = torch.tensor(found.input)
    places = range(0, size - window + 1, step)
    for i, top in enumerate(places):
        for j, left in enumerate(places):
            seen = numbers[top : top + window, left : left + window].double()
            assert found.max.output[i][j] == seen.max()
            assert found.mean.output[i][j] == pytest.approx(float(seen.mean()))
    assert len(found.max.output) == len(places)


def test_a_maximum_hands_its_gradient_to_one_number_and_a_mean_to_all():
    found = pooling.pooling_example()
    assert torch.tensor(found.max.gradient).unique().tolist() == [0, 1]
    assert torch.tensor(found.max.gradient).sum() == 4
    assert torch.tensor(found.mean.gradient).unique().tolist() == [1 / 16]


def test_windows_that_do_not_fit_are_refused_with_options_that_can_be_typed():
    with pytest.raises(UsageError, match="does not fit") as refused:
        pooling.pooling_example(4, 5)
    assert refused.value.hint == "Use --window 1 to 4, or --size 5."
    with pytest.raises(UsageError, match="does not fit") as refused:
        pooling.pooling_example(8, 33)
    assert refused.value.hint == "Use --window 1 to 8."
    with pytest.raises(UsageError, match="stride must be at least 1, not 0"):
        pooling.pooling_example(8, 4, 0)
    with pytest.raises(UsageError, match="does not fit"):
        pooling.pooling_example(8, 0)
    with pytest.raises(UsageError, match="1 to 32"):
        pooling.pooling_example(64)
