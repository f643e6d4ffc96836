"""The entry point: the commands, exit codes and signals."""

import atexit
import gc
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

import neocog
from neocog.cli import data, demo, evaluate, export, models, predict, reproduce, train
from neocog.cli.arguments import check_habits, spell_out
from neocog.cli.elapsed import STOPWATCH
from neocog.cli.failure import CTRL_C, SIGTERM, Stopped, report_failure
from neocog.escaping import visible_block

app = typer.Typer(
    help="Train, evaluate and use image classifiers, from LeNet-5 to your own photos.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Add --debug to any command to see the traceback of an error.",
)
for command in (
    train.train,
    evaluate.evaluate,
    predict.predict,
    predict.explain,
    evaluate.report,
    export.export,
    data.data,
    models.models,
    models.recipes,
    reproduce.reproduce,
):
    app.command()(command)
app.add_typer(demo.demos, name="demo")


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"neocog {neocog.__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command that was typed; every error becomes a line and an exit code."""
    STOPWATCH.start()
    # Importing torch makes half a million objects, and none is garbage: to look for it while they
    # are made, and once more when the process ends, takes a quarter of the import's time.
    gc.set_threshold(50_000, 20, 100)
    atexit.register(_end_fast)
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    as_json = "--json" in arguments
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _terminate_in_order():
            code = app(spell_out(check_habits(arguments)), standalone_mode=False)
        sys.stdout.flush()
        if code == CTRL_C:  # as typer reports it
            report_failure(KeyboardInterrupt(), as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (Exception, KeyboardInterrupt, Stopped) as error:
        if debug and isinstance(error, Exception):
            print(visible_block(traceback.format_exc()), file=sys.stderr)
        code = report_failure(error, as_json)
    sys.exit(code or 0)


@contextmanager
def _terminate_in_order() -> Iterator[None]:
    """Turn SIGTERM into an exception, like Ctrl-C; while it runs, training handles it itself."""

    def terminate(_number: int, _frame: object) -> None:
        raise Stopped(SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_fast() -> None:
    """Leave what the process holds to the system, except where triton would call that a leak."""
    if "triton" not in sys.modules:
        gc.freeze()
