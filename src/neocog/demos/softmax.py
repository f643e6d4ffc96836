"""Softmax and the losses on logits: correct pairings of the two, and wrong ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neocog.errors import UsageError
from neocog.json_fields import JsonRecord

Loss = Callable[[Tensor, Tensor], Tensor]

CORRECT: dict[str, Loss] = {
    "cross_entropy(logits)": F.cross_entropy,
    "nll_loss(log_softmax(logits))": lambda z, y: F.nll_loss(F.log_softmax(z, 1), y),
}
WRONG: dict[str, Loss] = {
    "cross_entropy(softmax(logits))": lambda z, y: F.cross_entropy(F.softmax(z, 1), y),
    "nll_loss(softmax(logits))": lambda z, y: F.nll_loss(F.softmax(z, 1), y),
    "nll_loss(logits)": F.nll_loss,
    "nll_loss(log(softmax(logits)))": lambda z, y: F.nll_loss(F.softmax(z, 1).log(), y),
    "cross_entropy(log_softmax(logits))": lambda z, y: F.cross_entropy(F.log_softmax(z, 1), y),
}
STEPS, LEARNING_RATE = 100, 1.0  # of gradient descent on the logits themselves
LEAD, FAR_LEAD = 10.0, 200.0  # by how much one logit exceeds the others


@dataclass(frozen=True)
class LossMeasurement(JsonRecord):
    """How a loss behaves on given logits and on extreme ones.

    Attributes:
        name: Of the pairing.
        right: Whether it is a correct pairing.
        loss: For the given logits and label.
        gradient: With respect to the given logits.
        gradient_when_wrong: Norm of the gradient where a wrong class leads by LEAD.
        lowest: Loss in float32 where the label leads by FAR_LEAD.
        highest: Loss in float32 where a wrong class leads by FAR_LEAD.
        mended: Probability of the label after STEPS steps of gradient descent, which start where a
            wrong class leads by LEAD.
    """

    name: str
    right: bool
    loss: float
    gradient: list[float]
    gradient_when_wrong: float
    lowest: float
    highest: float
    mended: float


@dataclass(frozen=True)
class Pairing(LossMeasurement):
    """A measured loss with its `consequence` as a sentence."""

    consequence: str


@dataclass(frozen=True)
class SoftmaxComparison(JsonRecord):
    """Softmax and losses for some logits and a label."""

    logits: list[float]
    label: int
    softmax: list[float]
    log_softmax: list[float]
    cross_entropy: float
    nll_loss: float
    pairings: list[Pairing]


def compare_losses(logits: Sequence[float], label: int = 0) -> SoftmaxComparison:
    """Compare all pairings of softmax and loss.

    Raises UsageError for fewer than two logits, logits that are not finite, or an invalid label.
    """
    if len(logits) < 2 or not all(map(math.isfinite, logits)):
        raise UsageError(
            "Softmax needs two logits or more, all of them finite numbers.",
            "For example: neocog demo softmax 2.0 1.0 0.1 --label 0",
        )
    if not 0 <= label < len(logits):
        raise UsageError(
            f"There is no label {label}.",
            f"{len(logits)} logits have the labels 0 to {len(logits) - 1}.",
        )
    z, y = torch.tensor([logits], dtype=torch.float64), torch.tensor([label])
    measured = [_measure(name, loss, z, y) for name, loss in (CORRECT | WRONG).items()]
    reference = measured[0]
    pairings = [Pairing(**vars(m), consequence=_consequence(m, reference)) for m in measured]
    return SoftmaxComparison(
        logits=list(map(float, logits)),
        label=label,
        softmax=F.softmax(z, 1)[0].tolist(),
        log_softmax=F.log_softmax(z, 1)[0].tolist(),
        cross_entropy=pairings[0].loss,
        nll_loss=pairings[1].loss,
        pairings=pairings,
    )


def _measure(name: str, loss: Loss, z: Tensor, y: Tensor) -> LossMeasurement:
    num_classes, label = z.shape[1], int(y)
    wrong_class = (label + 1) % num_classes
    value, gradient = _loss_and_gradient(loss, z, y)
    mistaken = torch.zeros_like(z)
    mistaken[0, wrong_class] = LEAD
    _, gradient_when_wrong = _loss_and_gradient(loss, mistaken, y)
    certain = torch.zeros(1, num_classes)  # float32, as in training
    certain[0, label] = FAR_LEAD
    lost = torch.zeros(1, num_classes)
    lost[0, wrong_class] = FAR_LEAD
    trained = mistaken.clone()
    for _ in range(STEPS):
        trained -= LEARNING_RATE * _loss_and_gradient(loss, trained, y)[1]
    return LossMeasurement(
        name=name,
        right=name in CORRECT,
        loss=value,
        gradient=gradient[0].tolist(),
        gradient_when_wrong=float(gradient_when_wrong.norm()),
        lowest=float(loss(certain, y)),
        highest=float(loss(lost, y)),
        mended=float(F.softmax(trained, 1)[0, label]),
    )


def _loss_and_gradient(loss: Loss, z: Tensor, y: Tensor) -> tuple[float, Tensor]:
    inputs = z.detach().clone().requires_grad_()
    value = loss(inputs, y)
    (gradient,) = torch.autograd.grad(value, inputs)
    return float(value.detach()), gradient


def _consequence(pairing: LossMeasurement, reference: LossMeasurement) -> str:
    """What is wrong with a pairing, in its own numbers."""
    if pairing.right:
        return "correct: the usual loss for training; both pairings give the same number"
    if not math.isfinite(pairing.highest):
        return (
            f"correct in theory, but where another logit leads by {FAR_LEAD:g}, softmax rounds to "
            f"0 and the loss is {pairing.highest} (cross_entropy: {reference.highest:g})"
        )
    values = (pairing.loss, pairing.lowest, pairing.highest)
    expected = (reference.loss, reference.lowest, reference.highest)
    if all(
        math.isclose(value, other, rel_tol=1e-6, abs_tol=1e-9)
        for value, other in zip(values, expected, strict=True)
    ):
        return "harmless: log-softmax of log-softmax changes nothing, so one of them is superfluous"
    if pairing.lowest < -1.5:
        return (
            f"not a valid loss: it is minus the logit of the label, {pairing.lowest:g} where that "
            f"leads by {FAR_LEAD:g}, and falls without bound; no gradient reaches the other classes"
        )
    floor = f"the loss cannot fall below {pairing.lowest:.4f}, however confident the network is"
    if pairing.lowest < 0:
        low, high = pairing.lowest, pairing.highest
        floor = f"the loss is minus the probability, {low:g} to {high:g}"
    ratio = pairing.gradient_when_wrong / reference.gradient_when_wrong
    return (
        f"{floor}; where a wrong class leads by {LEAD:g}, the gradient is {ratio:.1g} of the "
        f"correct one, and {STEPS} steps bring the probability of the label to "
        f"{pairing.mended:.2g} instead of {reference.mended:.2g}"
    )
