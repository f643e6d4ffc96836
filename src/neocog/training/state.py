"""The checkpoint: everything that a run needs to go on, bit for bit."""

import io
import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neocog.errors import NeocogError
from neocog.runs import Run
from neocog.storage.atomic import write_atomic

log = logging.getLogger(__name__)

FORMAT_VERSION = 1


@dataclass
class Progress:
    """How far a run has come: epochs that ended, and the batches of the one under way.

    `losses` (one a batch of the epoch) and `correct` (a count) are on the device, so that nothing
    waits for them within the epoch. `best_weights` are those of `best_epoch`, chosen by
    `best_value`. `seconds` is the time spent training, over all sittings. `lines` are the epochs'
    lines in metrics.jsonl, which can so be restored.
    """

    losses: Tensor
    correct: Tensor
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_value: float | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)

    def line_of(self, epoch: int) -> dict[str, Any]:
        """The line of an epoch; its number alone where the line is lost."""
        return next((line for line in self.lines if line["epoch"] == epoch), {"epoch": epoch})


def save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write the checkpoint whole or not at all. Raises OSError, the last good one kept."""
    content = {
        "format_version": FORMAT_VERSION,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }
    buffer = io.BytesIO()  # torch.save hides the error of a full disk; a write of bytes shows it
    torch.save(content, buffer)
    write_atomic(path, buffer.getvalue())


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put model, optimiser and random state back as they were; runs no code from the file.

    Raises NeocogError where the checkpoint is damaged or does not fit.
    """
    device = next(model.parameters()).device
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not look at the checksums
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"the checksum of {damaged} is wrong")
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(content["rng"].cpu())
        if content["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([state.cpu() for state in content["cuda_rng"]])
        return Progress(**content["progress"])
    except Exception as error:
        raise NeocogError(
            f"The checkpoint {path} is damaged or of another network ({error}).",
            "Train anew: the run's recipe.json holds the command.",
        ) from None


def lines_until(run: Run, epoch: int) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, for a checkpoint of an earlier version, which has none."""
    try:
        lines = run.read_metrics()
    except NeocogError as error:
        log.warning("%s The curves of the run begin anew.", error.message)
        return []
    return [line for line in lines if line["epoch"] <= epoch]
