"""The checkpoint: all state that a run needs to resume bit for bit."""

import io
import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from neocog.errors import DamagedFileError, NeocogError
from neocog.records import EpochMetrics
from neocog.runs import Run
from neocog.storage.atomic import write_atomic

log = logging.getLogger(__name__)

FORMAT_VERSION = 1


@dataclass
class TrainingState:
    """Position and results of a run: `epoch` complete epochs, `batch` batches of the current one.

    `losses` (one per batch of the epoch) and `correct` (a count) are on the device, so that no step
    of the epoch waits for them. `best_weights` are those of `best_epoch`, the one with the
    largest selection score, `best_value`. `seconds` is the training time of all sessions. `lines`
    are the epochs' metrics, from which metrics.jsonl can be restored. The names of the fields are
    part of the checkpoint's format.
    """

    losses: Tensor
    correct: Tensor
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_value: float | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    lines: list[EpochMetrics] = field(default_factory=list)

    @classmethod
    def initial(cls, batches: int, device: torch.device) -> Self:
        """The state before the first step of epochs with `batches` batches."""
        correct = torch.zeros((), dtype=torch.long, device=device)
        return cls(torch.zeros(batches, device=device), correct)

    def begin_epoch(self, epoch: int) -> None:
        """Move to the first batch of the epoch with index `epoch`."""
        self.epoch, self.batch = epoch, 0
        self.losses.zero_()
        self.correct.zero_()

    def keep_if_best(self, model: nn.Module, epoch: int, score: float) -> bool:
        """Copy the weights if `score` exceeds all scores before it; ties go to the earlier epoch.

        Returns whether the weights were copied.
        """
        if self.best_value is not None and not score > self.best_value:
            return False
        self.best_epoch, self.best_value = epoch, score
        self.best_weights = {name: value.clone() for name, value in model.state_dict().items()}
        return True

    def metrics_of(self, epoch: int) -> EpochMetrics | None:
        """The metrics of an epoch; None if they are lost."""
        return next((line for line in self.lines if line.epoch == epoch), None)


def save(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainingState
) -> None:
    """Write the checkpoint atomically.

    Raises OSError if it cannot be written; the checkpoint before it is then kept.
    """
    content = {
        "format_version": FORMAT_VERSION,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": {**vars(state), "lines": [line.to_json() for line in state.lines]},
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }
    buffer = io.BytesIO()  # torch.save hides the error of a full disk; a write of bytes shows it
    torch.save(content, buffer)
    write_atomic(path, buffer.getvalue())


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Restore model, optimizer and random state in place; no code from the file is run.

    Raises NeocogError if the checkpoint is damaged or belongs to another network.
    """
    device = next(model.parameters()).device
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not verify the checksums
            damaged = archive.testzip()
        if damaged:
            raise ValueError(f"the checksum of {damaged} is wrong")
        content = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(content["rng"].cpu())
        if content["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([state.cpu() for state in content["cuda_rng"]])
        lines = [EpochMetrics.from_json(line) for line in content["progress"].get("lines", [])]
        return TrainingState(**{**content["progress"], "lines": lines})
    except Exception as error:
        raise DamagedFileError(
            f"The checkpoint {path} is damaged or belongs to another network ({error}).",
            "Train again with the command in the run's recipe.json.",
        ) from None


def recorded_lines(run: Run, epoch: int) -> list[EpochMetrics]:
    """The metrics in metrics.jsonl up to `epoch`, for checkpoints of earlier versions without any.

    Logs a warning and returns none if the file is damaged.
    """
    try:
        lines = run.read_metrics()
    except NeocogError as error:
        log.warning("%s The curves of the run start again from here.", error.message)
        return []
    return [line for line in lines if line.epoch <= epoch]
