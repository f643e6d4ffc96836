import math

import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, softmax

from neocog.demos.softmax import compare_losses
from neocog.errors import UsageError

LOGITS = [2.0, 1.0, 0.1]


@pytest.fixture(scope="module")
def found():
    return compare_losses(LOGITS, 0)


def pairing(found, name):
    return next(p for p in found.pairings if p.name == name)


def test_the_numbers_are_scipys(found):
    assert found.softmax == pytest.approx(softmax(LOGITS))
    assert found.log_softmax == pytest.approx(log_softmax(LOGITS))
    assert found.cross_entropy == pytest.approx(-log_softmax(LOGITS)[0])
    assert found.nll_loss == pytest.approx(found.cross_entropy)
    gradient = pairing(found, "cross_entropy(logits)").gradient
    assert gradient == pytest.approx(softmax(LOGITS) - [1, 0, 0])


def test_softmax_before_cross_entropy_has_a_floor_and_loses_the_gradient(found):
    wrong = pairing(found, "cross_entropy(softmax(logits))")
    assert wrong.loss == pytest.approx(-log_softmax(softmax(LOGITS))[0])
    assert wrong.lowest == pytest.approx(math.log(1 + 2 / math.e), rel=1e-5)
    assert wrong.gradient_when_wrong < 1e-3 * found.pairings[0].gradient_when_wrong
    assert wrong.mended < 0.01 < 0.9 < found.pairings[0].mended
    assert "cannot fall below 0.5514" in wrong.consequence


def test_nll_of_softmax_is_minus_the_probability(found):
    wrong = pairing(found, "nll_loss(softmax(logits))")
    assert wrong.loss == pytest.approx(-softmax(LOGITS)[0])
    assert (wrong.lowest, wrong.highest) == (-1, 0)
    assert "minus the probability" in wrong.consequence


def test_nll_of_logits_falls_without_end(found):
    wrong = pairing(found, "nll_loss(logits)")
    assert (wrong.loss, wrong.lowest) == (-2, -200)
    assert wrong.gradient == [-1, 0, 0]
    assert "without bound" in wrong.consequence


def test_the_logarithm_of_softmax_overflows_and_log_softmax_does_not(found):
    assert pairing(found, "nll_loss(log(softmax(logits)))").highest == math.inf
    assert pairing(found, "nll_loss(log_softmax(logits))").highest == 200
    z = torch.tensor([[0.0, 200.0]])
    assert F.softmax(z, 1).log()[0, 0] == -math.inf


def test_log_softmax_twice_is_log_softmax(found):
    harmless = pairing(found, "cross_entropy(log_softmax(logits))")
    assert harmless.loss == pytest.approx(found.cross_entropy)
    assert "harmless" in harmless.consequence


@pytest.mark.parametrize("logits", [[0.0, 0.0], [500.0, -500.0, 3.0], [0.1] * 10])
def test_any_logits_have_their_consequences(logits):
    for label in (0, len(logits) - 1):
        texts = {p.name: p.consequence for p in compare_losses(logits, label).pairings}
        assert [t.split(":")[0].split(" ")[0] for t in texts.values()] == [
            "correct", "correct", "the", "the", "not", "correct", "harmless",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("logits", "label"), [([1.0], 0), ([1.0, math.nan], 0), ([1.0, 2.0], 2), ([1.0, 2.0], -1)]
)
def test_what_makes_no_sense_is_refused(logits, label):
    with pytest.raises(UsageError):
        compare_losses(logits, label)
