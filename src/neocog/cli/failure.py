"""Failed commands: the error as two lines or as JSON, and the exit code."""

import re
import sys
from dataclasses import dataclass

from neocog.cli.arguments import spell_settings
from neocog.errors import MemoryShortageError, NeocogError, UsageError
from neocog.escaping import to_json, visible, visible_block

CTRL_C, SIGTERM = 130, 143  # exit codes
STOPPED = "stopped"  # the error code of a command that a signal ended


class Stopped(SystemExit):
    """A signal ended the command: SIGTERM, or one that training has noted.

    As a SystemExit it passes every `except Exception`, so that temporary files are deleted on the
    way out. `hint` says how to continue.
    """

    def __init__(self, exit_code: int, message: str = "Stopped.", hint: str = "") -> None:
        super().__init__(exit_code)
        self.exit_code, self.message, self.hint = exit_code, message, hint


@dataclass(frozen=True)
class Failure:
    """An error as it is printed, and the exit code; `code` is the stable name of its kind."""

    code: str
    message: str
    hint: str
    exit_code: int


def report_failure(error: BaseException, as_json: bool) -> int:
    """Print an error and return the exit code."""
    failure = _describe(error)
    message, hint = failure.message, failure.hint
    if as_json:
        print(to_json({"error": {"code": failure.code, "message": message, "hint": hint}}))
    else:
        stopped = failure.code == STOPPED
        print(_lines(message if stopped else f"Error: {message}"), file=sys.stderr)
        if hint:
            print(visible(hint), file=sys.stderr)
    return failure.exit_code


def _describe(error: BaseException) -> Failure:
    error = MemoryShortageError.caused_by(error) or error
    if isinstance(error, NeocogError):
        exit_code = 2 if isinstance(error, UsageError) else 1
        return Failure(error.code, error.message, error.spell_hint(spell_settings), exit_code)
    if isinstance(error, Stopped):
        return Failure(STOPPED, error.message, error.hint, error.exit_code)
    if _is_ctrl_c(error):
        return _describe(Stopped(CTRL_C))
    if hasattr(error, "format_message"):  # the option parser's own
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "neocog"
        return Failure(UsageError.code, error.format_message(), f"See: {command} --help", 2)
    debug = "Add --debug to see where."
    if isinstance(error, OSError) and error.filename is not None:
        place = error.filename2 or error.filename
        return Failure("system", f"{place}: {error.strerror}.", debug, 1)
    text = str(error).replace("\n", "\n  ")
    return Failure("unexpected", f"{type(error).__name__}: {text}", debug, 1)


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether Ctrl-C is the cause; in the middle of an import it may become an ImportError."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__context__
    return type(error).__name__ == "Abort" or any(isinstance(e, KeyboardInterrupt) for e in chain)


def stopped_training(hint: str, exit_code: int) -> Stopped:
    """Return the exception that ends a command whose training a signal has stopped."""
    return Stopped(exit_code, "Stopped after finishing the current step.", hint)


def _lines(message: str) -> str:
    """A message for the terminal: only indented lines may follow the first.

    A file's name that goes on after a line end cannot pose as a line of Neocog's.
    """
    return visible_block(re.sub(r"\n(?!  )", r"\\n", message))
