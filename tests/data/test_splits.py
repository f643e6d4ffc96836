import numpy as np
import pytest

from neocog.data.splits import by_content, stratified
from neocog.errors import NeocogError

LABELS = np.random.RandomState(3).choice(4, size=1000, p=[0.5, 0.3, 0.15, 0.05]).astype(np.int64)


def test_parts_are_disjoint_and_cover_everything():
    parts = stratified(LABELS, [100, 250], seed=0)
    assert [len(p) for p in parts] == [100, 250, 650]
    assert sorted(np.concatenate(parts)) == list(range(1000))


@pytest.mark.parametrize("sizes", [[100], [37, 411], [1, 998]])
def test_every_class_has_its_share_to_within_one_image(sizes):
    counts = np.bincount(LABELS, minlength=4)
    for part in stratified(LABELS, sizes, seed=1):
        share = np.bincount(LABELS[part], minlength=4) - counts * len(part) / 1000
        assert np.abs(share).max() <= 2


def test_the_split_depends_on_the_seed():
    a, b, c = (stratified(LABELS, [100], seed)[0] for seed in (5, 5, 6))
    assert (a == b).all()
    assert (a != c).any()


def test_nothing_left_to_train_on_is_an_error():
    with pytest.raises(NeocogError, match="leaves none for training"):
        stratified(LABELS, [1000], seed=0)


def test_by_content_every_class_has_its_share_and_groups_stay_together():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [200, 100, 20])
    groups = random.integers(0, 60, 320) + 100 * labels
    digests = [f"{n:x}" for n in random.integers(0, 2**60, 320)]
    parts = by_content(digests, labels, groups, [0.15, 0.15], seed=0)
    assert sorted(np.concatenate(parts)) == list(range(320))
    for label, count in enumerate((200, 100, 20)):
        for part in parts[:2]:
            assert (labels[part] == label).sum() == pytest.approx(0.15 * count, abs=4)
    where = {int(g): {k for k, part in enumerate(parts) if g in groups[part]} for g in groups}
    assert all(len(parts) == 1 for parts in where.values())


def test_by_content_a_large_group_does_not_swallow_a_small_part():
    labels = np.zeros(100, dtype=np.int64)
    groups = np.array([0] * 60 + list(range(1, 41)))
    for seed in range(5):
        test, train = by_content([f"{n}" for n in range(100)], labels, groups, [0.15], seed)
        assert len(test) == 15 and set(range(60)) <= set(train)


def test_by_content_a_class_of_few_is_in_every_part():
    labels = np.array([0, 0, 0, 1, 1])
    parts = by_content(list("abcde"), labels, np.arange(5), [0.15, 0.15], seed=0)
    assert [sorted(labels[part]) for part in parts] == [[0, 1], [0], [0, 1]]
