import numpy as np
import pytest

from neocog.errors import UsageError
from neocog.metrics.normalization import standardise


def test_the_tutorials_example():
    numbers = [16, 48, 27, 238, 12]
    found = standardise(numbers)["normalized"]
    assert [round(x, 4) for x in found] == [-0.5441, -0.2105, -0.4294, 1.7698, -0.5858]
    assert np.mean(found) == pytest.approx(0, abs=1e-12)
    assert np.std(found, ddof=1) == pytest.approx(1)


@pytest.mark.parametrize("numbers", [[], [3], [2, 2, 2]])
def test_what_does_not_differ_is_refused(numbers):
    with pytest.raises(UsageError, match="do not differ"):
        standardise(numbers)
