"""What surrounds a training: signals, a full disk, the number of threads."""

import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from neocog.data import Splits
from neocog.errors import NeocogError
from neocog.runs import Run

log = logging.getLogger(__name__)

MOST_THREADS = 1024  # a number above it was not written by a training

# Told (steps done, steps in all, None) after every step and the epoch's line at its end.
Report = Callable[[int, int, dict[str, Any] | None], None]
# Told (images read, images in all, None) as they are decoded, and the splits at the end.
OnData = Callable[[int, int, Splits | None], None]


class Interrupted(Exception):  # noqa: N818 - not an error: the run was asked to stop, and did
    """Training was stopped by a signal after the step in hand; its checkpoint is written."""

    def __init__(self, run: Run, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.run = run
        self.exit_code = 128 + signal_number


@contextmanager
def catching_signals() -> Iterator[list[int]]:
    """A list that SIGINT and SIGTERM append to; a second SIGINT interrupts at once."""
    noted: list[int] = []

    def note(number: int, _frame: object) -> None:
        if noted and number == signal.SIGINT:
            raise KeyboardInterrupt
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def full_disk_as_error(run: Run) -> Iterator[None]:
    """Raise NeocogError where the run folder cannot be written, saying what is kept."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads what is printed: not the disk's fault
    except OSError as error:
        kept = "no epoch was finished"
        hint = f"Make room, then begin it again: neocog train --resume {run.path}"
        if run.checkpoint_file.exists():
            kept, hint = "its last good checkpoint is kept", hint.replace("begin it again", "go on")
        elif not run.recipe_file.exists():
            kept, hint = "training has not begun", "Make room, then train again."
            shutil.rmtree(run.path, ignore_errors=True)
        message = f"{run.path} cannot be written ({error.strerror or error}); {kept}."
        raise NeocogError(message, hint) from None


@contextmanager
def threads_of(environment: dict[str, Any]) -> Iterator[None]:
    """The number of threads that a run began with: another gives sums that differ in the last bits.

    A warning is logged for what differs all the same.
    """
    before, wanted = torch.get_num_threads(), environment.get("threads")
    if type(wanted) is int and 1 <= wanted <= MOST_THREADS:
        torch.set_num_threads(wanted)
    now = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "processor": torch.backends.cpu.get_cpu_capability(),
    }
    other = [
        f"{k} was {environment.get(k)}, is {v}" for k, v in now.items() if environment.get(k) != v
    ]
    if other:
        log.warning(
            "The run began in another environment (%s): its result may differ in the last bits "
            "from one that was never stopped.",
            "; ".join(other),
        )
    try:
        yield
    finally:
        torch.set_num_threads(before)
