import numpy as np
import pytest

from neocog.demos.normalization import standardize
from neocog.errors import UsageError


def test_the_tutorials_example():
    numbers = [16, 48, 27, 238, 12]
    found = standardize(numbers).normalized
    assert [round(x, 4) for x in found] == [-0.5441, -0.2105, -0.4294, 1.7698, -0.5858]
    assert np.mean(found) == pytest.approx(0, abs=1e-12)
    assert np.std(found, ddof=1) == pytest.approx(1)


def test_what_does_not_differ_is_refused():
    with pytest.raises(UsageError, match="do not differ"):
        standardize([2, 2, 2])


@pytest.mark.parametrize("numbers", [[], [3], [np.inf, 1], [1, np.nan, 2], [np.nan]])
def test_too_few_numbers_or_such_without_end_are_refused(numbers):
    with pytest.raises(UsageError, match="two numbers or more, all of them finite"):
        standardize(numbers)
