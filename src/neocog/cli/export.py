"""`neocog export`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from neocog.cli.options import JsonOption, RunsOption
from neocog.errors import UsageError
from neocog.escaping import to_json


def export(
    run: Annotated[str, typer.Argument(help="Run folder, model file or latest.")] = "latest",
    to: Annotated[str, typer.Option(help="onnx, openvino or torch.")] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize to int8, calibrated on training images.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write int8 even if accuracy falls by over 0.3 points.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="The file to write.", show_default="beside the model file"),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Check the existing ONNX file again; write nothing."),
    ] = False,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a network for other programs; exits with 3 if it predicts differently there."""
    if check:
        if to != "onnx" or force or output:
            raise UsageError(
                "--check applies to an existing ONNX file and combines only with --int8.",
                f"For example: neocog export {shlex.quote(run)} --check",
            )
        _check(run, int8, runs, as_json)
        return
    from neocog.export.standalone import SCRIPT
    from neocog.export_run import export as export_run
    from neocog.terminal import make_console
    from neocog.terminal.exported import show_exported

    result = export_run(run, to, int8=int8, force=force, output=output, runs_dir=runs)
    show_exported(make_console(stderr=as_json), result, SCRIPT)
    if as_json:
        print(to_json(result.to_json()))
    if not result.files:
        raise typer.Exit(3)


def _check(run: str, int8: bool, runs: Path | None, as_json: bool) -> None:
    """Check an exported file again, without torch."""
    from neocog.export_check import check_export
    from neocog.terminal import make_console
    from neocog.terminal.exported import show_checked

    result = check_export(run, int8=int8, runs_dir=runs)
    show_checked(make_console(stderr=as_json), result)
    if as_json:
        print(to_json(result.to_json()))
    if not result.passed:
        raise typer.Exit(3)
