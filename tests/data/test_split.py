import numpy as np
import pytest

from neocog.data.split import stratified
from neocog.errors import NeocogError

LABELS = np.random.RandomState(3).choice(4, size=1000, p=[0.5, 0.3, 0.15, 0.05]).astype(np.int64)


def test_parts_are_disjoint_and_cover_everything():
    parts = stratified(LABELS, [100, 250], seed=0)
    assert [len(p) for p in parts] == [100, 250, 650]
    assert sorted(np.concatenate(parts)) == list(range(1000))


@pytest.mark.parametrize("sizes", [[100], [37, 411], [1, 998]])
def test_every_class_has_its_share_to_within_a_picture(sizes):
    counts = np.bincount(LABELS, minlength=4)
    for part in stratified(LABELS, sizes, seed=1):
        share = np.bincount(LABELS[part], minlength=4) - counts * len(part) / 1000
        assert np.abs(share).max() <= 2


def test_the_seed_decides():
    a, b, c = (stratified(LABELS, [100], seed)[0] for seed in (5, 5, 6))
    assert (a == b).all()
    assert (a != c).any()


def test_nothing_left_to_train_on_is_an_error():
    with pytest.raises(NeocogError, match="leave any to train on"):
        stratified(LABELS, [1000], seed=0)
