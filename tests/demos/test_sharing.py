import pytest

from neocog.demos.sharing import count_parameters
from neocog.errors import NeocogError, UsageError
from neocog.models import summary


def test_the_counts_by_hand_of_lenets_first_layer():
    name, (c1, c3) = count_parameters()
    assert name == "lenet5"
    assert c1.full == 28 * 28 * (28 * 28 * 6) + 28 * 28 * 6
    assert c1.local == (5 * 5 + 1) * 28 * 28 * 6
    assert c1.shared == (5 * 5 + 1) * 6
    assert (c3.input, c3.output, c3.shared) == ((6, 14, 14), (16, 10, 10), 2416)


@pytest.mark.parametrize("name", ["lenet", "alexnet", "efficientnet-lite0", "resnet20"])
def test_the_counts_agree_with_the_summarys(name):
    expected = {row.name: row for row in summary.summarize(name).layers}
    for row in count_parameters(name)[1]:
        assert row.shared == expected[row.layer].parameters
        full = expected[row.layer].fully_connected_parameters
        assert full in (None, row.full)
        assert expected[row.layer].locally_connected_parameters in (None, row.local)


def test_one_layer_of_a_network_or_of_ones_own():
    assert [row.layer for row in count_parameters("lenet", "c3")[1]] == ["c3"]
    assert [row.layer for row in count_parameters(layer="c1")[1]] == ["c1"]
    (own,) = count_parameters(layer="conv5-6p0", size="1x28x28")[1]
    assert own.output == (6, 24, 24)


def test_what_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no convolution 'c2'"):
        count_parameters("lenet", "c2")
    with pytest.raises(UsageError, match="channels x height x width"):
        count_parameters("lenet", size="28")
    with pytest.raises(NeocogError, match="shares no weights"):
        count_parameters("threenet")
