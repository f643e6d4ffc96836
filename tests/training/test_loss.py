import math

import pytest
import torch
from torch import nn

from neocog import recipes
from neocog.errors import UsageError
from neocog.training.loss import check_gives_logits, make_loss, map_criterion, squared_error


def test_cross_entropy_and_nll_are_the_same_number_with_the_same_gradient():
    torch.manual_seed(0)
    labels = torch.randint(0, 10, (64,))
    found = []
    for name in ("cross_entropy", "nll"):
        torch.manual_seed(1)
        logits = (5 * torch.randn(64, 10, dtype=torch.float64)).requires_grad_()
        loss = make_loss(recipes.get("quickstart", {"loss": name}))(logits, labels)
        loss.backward()
        found.append((loss.detach(), logits.grad))
    by_hand = -torch.log(torch.exp(logits.detach()) / torch.exp(logits.detach()).sum(1, True))
    assert torch.allclose(found[0][0], by_hand[range(64), labels].mean())
    assert torch.allclose(found[0][0], found[1][0])
    assert torch.allclose(found[0][1], found[1][1])


@pytest.mark.parametrize(
    ("last", "reason"),
    [(nn.Softmax(dim=1), "ends in softmax"), (nn.LogSoftmax(dim=1), "ends in log-softmax")],
)
def test_a_network_that_gives_no_logits_is_refused(last, reason):
    body = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    inputs = torch.randn(8, 1, 28, 28)
    check_gives_logits(body, inputs)
    with pytest.raises(UsageError, match=reason):
        check_gives_logits(nn.Sequential(body, last), inputs)


def test_the_map_criterion_is_the_papers_equation():
    penalties = torch.rand(5, 10, dtype=torch.float64) * 4
    labels = torch.arange(5)
    j = 1.5
    expected = [
        y[k] + math.log(math.exp(-j) + sum(math.exp(-v) for v in y))
        for k, y in zip(labels.tolist(), penalties.tolist(), strict=True)
    ]
    found = map_criterion(-penalties, labels, j)
    assert found.item() == pytest.approx(sum(expected) / 5)


def test_the_map_criterion_without_rubbish_is_cross_entropy():
    logits = torch.randn(4, 10)
    labels = torch.arange(4)
    expected = nn.functional.cross_entropy(logits, labels)
    assert torch.allclose(map_criterion(logits, labels, 1e9), expected)


def test_squared_error_is_nothing_where_the_outputs_are_the_targets():
    right = math.atanh(1 / 1.7159) * 1.5  # 1.7159 tanh(2/3 x) = 1
    logits = torch.full((3, 10), -right)
    logits[range(3), range(3)] = right
    assert squared_error(logits, torch.arange(3)).item() == pytest.approx(0, abs=1e-9)
    assert squared_error(-logits, torch.arange(3)).item() == pytest.approx(40, rel=1e-5)
