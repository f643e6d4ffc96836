import pytest
import torch
from torch import nn

from neocog import recipes
from neocog.errors import UsageError
from neocog.training.loss import check_gives_logits, make_loss


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
