"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RunsOption = Annotated[
    Path | None,
    typer.Option("--runs", help="Folder of runs.", show_default="NEOCOG_RUNS or ./runs"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
LangOption = Annotated[
    str | None, typer.Option(help="Language of the page: en or zh.", show_default="the system's")
]
OutsideOption = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        "--follow-links",
        help="Read files outside DATA's folder, too, where links or a CSV file lead there.",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
EngineOption = Annotated[
    str, typer.Option(help="auto, onnx, torch or openvino: what computes the predictions.")
]
