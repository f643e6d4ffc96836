"""What surrounds the loop: signals, a full disk, results on the way."""

import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from neocog.data import Splits
from neocog.errors import NeocogError, WriteError
from neocog.recipes import Recipe
from neocog.records import EpochMetrics
from neocog.runs import Run
from neocog.training.head import fine_tunes

log = logging.getLogger(__name__)

# Called with the splits when they have been read, then with the metrics of each epoch.
OnResult = Callable[[Splits | EpochMetrics], None]


class Interrupted(Exception):  # noqa: N818 - not an error: the run stopped on request
    """A signal stopped the training after the current step; the checkpoint is written."""

    def __init__(self, run: Run, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.run = run
        self.exit_code = 128 + signal_number


class StopRequest:
    """Whether a signal has asked a run to stop; true if so."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None

    def raise_if_requested(self) -> None:
        """Raise Interrupted if a signal has arrived; call it when the checkpoint is written."""
        if self.signal_number is not None:
            raise Interrupted(self.run, self.signal_number)


@contextmanager
def catch_signals(run: Run) -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a stop request; a SIGINT after it interrupts at once.

    Outside the main thread, where Python allows no signal handlers, the request is never set.
    """
    request = StopRequest(run)

    def handle(number: int, _frame: object) -> None:
        if request and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not request:
            request.signal_number = number

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into Interrupted, where no step has to be finished first."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(run, signal.SIGINT) from None
    except SystemExit:  # the command line turns SIGTERM into it
        raise Interrupted(run, signal.SIGTERM) from None


@contextmanager
def full_disk_as_error(run: Run) -> Iterator[None]:
    """Turn an OSError while writing the run folder into a WriteError that says what is kept.

    A folder in which training has not begun is removed.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of standard output is gone; the disk is fine
    except OSError as error:
        kept = "no epoch was finished"
        hint = f"Make room, then begin it again: neocog train --resume {run.path}"
        if run.checkpoint_file.exists():
            kept, hint = (
                "its last good checkpoint is kept",
                hint.replace("begin it again", "continue"),
            )
        elif not run.recipe_file.exists():
            kept, hint = "training has not begun", "Make room, then train again."
            shutil.rmtree(run.path, ignore_errors=True)
        message = f"{run.path} cannot be written ({error.strerror or error}); {kept}."
        raise WriteError(message, hint) from None


def is_finished(run: Run, recipe: Recipe) -> bool:
    """Whether a run has reached the end of its recipe, so that nothing is left to train."""
    try:
        lines = run.read_metrics()
    except NeocogError:
        return False  # damaged metrics: the checkpoint decides
    if not lines or not run.model_file.exists():
        return False
    if recipe.feature_views and not fine_tunes(recipe, lines[0]):
        return True
    return lines[-1].epoch >= recipe.epochs


def warn_of_differences(compared: Iterable[tuple[str, object, object]]) -> None:
    """Log a warning if a run goes on in another environment: (name, value then, value now)."""
    differences = [f"{key} was {was}, is {now}" for key, was, now in compared if was != now]
    if differences:
        log.warning(
            "The run began in another environment (%s): its result may differ in the last bits "
            "from one that was never stopped.",
            "; ".join(differences),
        )
