"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RunsOption = Annotated[
    Path | None,
    typer.Option(
        "--runs", help="Folder that contains the runs.", show_default="NEOCOG_RUNS or ./runs"
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object to standard output.")
]
LangOption = Annotated[
    str | None, typer.Option(help="Language of the page: en or zh.", show_default="the system's")
]
OutsideOption = Annotated[
    bool,
    typer.Option(
        "--allow-outside",
        "--follow-links",
        help="Also read files outside DATA's folder that links or a CSV file refer to.",
    ),
]
DeviceOption = Annotated[str, typer.Option(help="Device: auto, cpu, cuda or mps.")]
EngineOption = Annotated[str, typer.Option(help="Inference engine: auto, onnx, torch or openvino.")]
