import pytest
import torch
import torch.nn.functional as F

from neocog.demos import padding
from neocog.errors import UsageError


@pytest.mark.parametrize(("size", "kernel"), [(5, 3), (8, 5), (6, 4), (7, 1)])
def test_sizes_are_torchs_and_cells_are_counted_as_gradients_count_them(size, kernel):
    found = padding.compare_paddings(size, kernel)
    for kind in found.kinds:
        first, last = kind.padding
        x = torch.zeros(1, 1, size, size, requires_grad=True)
        made = F.conv2d(F.pad(x, (first, last) * 2), torch.ones(1, 1, kernel, kernel))
        assert made.shape[3] == kind.output
        (seen,) = torch.autograd.grad(made.sum(), x)
        assert kind.seen == seen[0, 0].tolist()
    valid, same, full = found.kinds
    assert (valid.padding, full.padding) == ((0, 0), (kernel - 1, kernel - 1))
    assert same.output == size
    assert valid.corner == 1
    assert full.corner == full.middle == kernel**2


def test_without_padding_nothing_is_left_in_the_end():
    assert padding.compare_paddings(8, 3).shrinking == [8, 6, 4, 2]
    assert padding.compare_paddings(5, 1).shrinking == [5]


@pytest.mark.parametrize(("size", "kernel"), [(3, 5), (0, 1), (33, 3), (5, 0)])
def test_what_cannot_be_is_refused(size, kernel):
    with pytest.raises(UsageError) as refused:
        padding.compare_paddings(size, kernel)
    assert "--" in refused.value.hint
