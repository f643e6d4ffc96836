"""Softmax and its losses on the same logits, with the pairings that go wrong."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from neocog.errors import UsageError

Loss = Callable[[Tensor, Tensor], Tensor]

RIGHT: dict[str, Loss] = {
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
STEPS, RATE = 100, 1.0  # of gradient descent, on the logits themselves
AHEAD, FAR = 10.0, 200.0  # how far one logit leads the others


def compare(logits: Sequence[float], label: int = 0) -> dict[str, Any]:
    """Softmax, log-softmax and the losses of some logits whose class is `label`.

    Each of the `pairings` has its `loss` and `gradient` here; `lowest` and `highest`, the loss in
    float32 where the label leads by 200 and where another class does; for logits of which a wrong
    one leads by 10 the gradient's length, `gradient_when_wrong`, and the label's probability after
    100 steps of gradient descent, `mended`; and the `consequence` in words. Raises UsageError for
    fewer than two logits, ones that are no numbers, or no such label.
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
    pairings = [
        _pairing(name, loss, z, y, right=loss in RIGHT.values())
        for name, loss in (RIGHT | WRONG).items()
    ]
    for pairing in pairings:
        pairing["consequence"] = _consequence(pairing, pairings[0])
    return {
        "logits": list(map(float, logits)),
        "label": label,
        "softmax": F.softmax(z, 1)[0].tolist(),
        "log_softmax": F.log_softmax(z, 1)[0].tolist(),
        "cross_entropy": pairings[0]["loss"],
        "nll_loss": pairings[1]["loss"],
        "pairings": pairings,
    }


def _pairing(name: str, loss: Loss, z: Tensor, y: Tensor, right: bool) -> dict[str, Any]:
    classes, label = z.shape[1], int(y)
    value, gradient = _with_gradient(loss, z, y)
    mistaken = torch.zeros_like(z)
    mistaken[0, (label + 1) % classes] = AHEAD
    _, when_wrong = _with_gradient(loss, mistaken, y)
    sure = torch.zeros(1, classes)  # float32, as in training
    sure[0, label] = FAR
    lost = torch.zeros(1, classes)
    lost[0, (label + 1) % classes] = FAR
    trained = mistaken.clone()
    for _ in range(STEPS):
        trained -= RATE * _with_gradient(loss, trained, y)[1]
    return {
        "name": name,
        "right": right,
        "loss": value,
        "gradient": gradient[0].tolist(),
        "gradient_when_wrong": float(when_wrong.norm()),
        "lowest": float(loss(sure, y)),
        "highest": float(loss(lost, y)),
        "mended": float(F.softmax(trained, 1)[0, label]),
    }


def _with_gradient(loss: Loss, z: Tensor, y: Tensor) -> tuple[float, Tensor]:
    given = z.detach().clone().requires_grad_()
    value = loss(given, y)
    (gradient,) = torch.autograd.grad(value, given)
    return float(value.detach()), gradient


def _consequence(found: dict[str, Any], right: dict[str, Any]) -> str:
    """What is wrong with a pairing, in its own numbers."""
    weak = found["gradient_when_wrong"] / right["gradient_when_wrong"]
    if found["right"]:
        return "right: what networks are trained with; both give the same number"
    if not math.isfinite(found["highest"]):
        return (
            f"right on paper; but where another logit leads by {FAR:g}, softmax rounds to 0 and "
            f"the loss is {found['highest']} (cross_entropy: {right['highest']:g})"
        )
    keys = ("loss", "lowest", "highest")
    if all(math.isclose(found[key], right[key], rel_tol=1e-6, abs_tol=1e-9) for key in keys):
        return "harmless: log-softmax of log-softmax changes nothing; one is wasted work"
    if found["lowest"] < -1.5:
        return (
            f"no loss at all: minus the label's logit, {found['lowest']:g} where it leads by "
            f"{FAR:g}, without end; and no gradient reaches the other classes"
        )
    floor = f"the loss cannot fall below {found['lowest']:.4f}, however sure the network"
    if found["lowest"] < 0:
        floor = f"the loss is minus the probability, {found['lowest']:g} to {found['highest']:g}"
    return (
        f"{floor}; where a wrong class leads by {AHEAD:g}, the gradient is {weak:.1g} of the right "
        f"one, and {STEPS} steps bring the label's probability to {found['mended']:.2g}, not to "
        f"{right['mended']:.2g}"
    )
