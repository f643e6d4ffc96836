"""How a command that fails ends: the error as two lines or as JSON, and the exit code."""

import re
import sys

from neocog.cli.memory import HINT as MEMORY_HINT
from neocog.cli.memory import shortage
from neocog.errors import NeocogError, UsageError
from neocog.escaping import to_json, visible, visible_block

CTRL_C = 130


class Stopped(Exception):  # noqa: N818 - not an error: the user asked for it
    """Training ended on a signal; `hint` says how to go on."""

    def __init__(self, hint: str, exit_code: int) -> None:
        super().__init__("Stopped after the step in hand.")
        self.hint = hint
        self.exit_code = exit_code


def report_failure(error: BaseException, as_json: bool) -> int:
    """Print an error and return the exit code."""
    message, hint, exit_code = _describe(error)
    if as_json:
        print(to_json({"error": {"message": message, "hint": hint}}))
    else:
        print(_lines(message if exit_code >= 128 else f"Error: {message}"), file=sys.stderr)
        if hint:
            print(visible(hint), file=sys.stderr)
    return exit_code


def _describe(error: BaseException) -> tuple[str, str, int]:
    """Return message, hint and exit code."""
    if isinstance(error, NeocogError):
        return error.message, error.hint, 2 if isinstance(error, UsageError) else 1
    if isinstance(error, Stopped):
        return str(error), error.hint, error.exit_code
    if isinstance(error, SystemExit):
        return "Stopped.", "", int(error.code or 0)
    if _is_ctrl_c(error):
        return "Stopped.", "", CTRL_C
    if hasattr(error, "format_message"):  # the option parser's own
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "neocog"
        return error.format_message(), f"See: {command} --help", 2
    no_memory = shortage(error)
    if no_memory:
        return no_memory, MEMORY_HINT, 1
    debug = "Add --debug to see where."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename2 or error.filename}: {error.strerror}.", debug, 1
    text = str(error).replace("\n", "\n  ")
    return f"{type(error).__name__}: {text}", debug, 1


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether Ctrl-C is the cause; in the middle of an import it may become an ImportError."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__context__
    return type(error).__name__ == "Abort" or any(isinstance(e, KeyboardInterrupt) for e in chain)


def _lines(message: str) -> str:
    """A message for the terminal: only indented lines may follow the first.

    A file's name that goes on after a line end cannot pose as a line of Neocog's.
    """
    return visible_block(re.sub(r"\n(?!  )", r"\\n", message))
