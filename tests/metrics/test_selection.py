import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import log_loss

from neocog.metrics.selection import differences, first_of_equals, log_losses, one_more_wrong


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_log_loss_is_scikit_learns(classes, smoothing):
    """Smoothed, it is that of each image under every label, weighed by the label's share."""
    random = np.random.default_rng(classes)
    logits, labels = random.normal(0, 4, (40, classes)), random.integers(0, classes, 40)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weights = np.full((40, classes), smoothing / (classes - 1))
    weights[np.arange(40), labels] = 1 - smoothing
    expected = log_loss(
        np.tile(np.arange(classes), 40),
        np.repeat(shares, classes, 0),
        sample_weight=weights.ravel(),
        labels=range(classes),
    )
    assert log_losses(logits, labels, smoothing).mean() == pytest.approx(expected)


def test_certainty_does_not_become_infinite():
    found = log_losses(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert found.tolist() == [0.0, 1e4]


def test_the_error_of_a_difference_is_scipys():
    losses = np.random.default_rng(0).gamma(2, size=(4, 30)) + np.array([[3], [1], [0], [2]])
    means, errors = differences(losses)
    assert means.argmin() == 2 and means[2] == errors[2] == 0
    for k in range(4):
        assert means[k] == pytest.approx(losses[k].mean() - losses[2].mean())
        assert errors[k] == pytest.approx(scipy.stats.sem(losses[k] - losses[2]))


def test_of_equals_the_first_is_taken():
    random = np.random.default_rng(1)
    best = random.gamma(2, size=200)
    noise = random.normal(0, 1, (2, 200))
    worse, equal = best + 0.5 + noise[0], best + noise[1] - noise[1].mean() + 0.05
    assert first_of_equals(np.stack([worse, equal, best])) == 1
    assert first_of_equals(np.stack([best, equal, worse])) == 0
    assert first_of_equals(np.stack([worse, best])) == 1
    assert first_of_equals(np.array([[2.0], [1.0]])) == 1  # one image has no spread


def test_certainty_is_not_free_where_all_are_right():
    """All right, and ever more certain: plain log-loss takes the last, the other does not."""
    labels = np.arange(40) % 2
    direction = np.where(np.eye(2)[labels] == 1, 1.0, -1.0)
    scales = (0.5, 1.0, 2.0, 4.0, 8.0)
    plain = [log_losses(s * direction, labels).mean() for s in scales]
    doubting = [log_losses(s * direction, labels, one_more_wrong(40)).mean() for s in scales]
    assert int(np.argmin(plain)) == 4
    assert int(np.argmin(doubting)) == 2  # a probability of 98.2%: one of 55
    assert 1 - one_more_wrong(40) == pytest.approx(40 / 41)
