"""`neocog data`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from neocog.cli.options import JsonOption, OutsideOption, RunsOption
from neocog.errors import UsageError
from neocog.escaping import to_json


def data(
    data: Annotated[
        str | None,
        typer.Argument(
            help="A folder with one folder per class, a zip or tar archive of one, a CSV file, "
            "Parquet or WebDataset."
        ),
    ] = None,
    sheets: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the contact sheets, one per class.", show_default="RUNS/data/NAME"
        ),
    ] = None,
    clear_cache: Annotated[
        bool,
        typer.Option("--clear-cache", help="Delete the cache of decoded images and features."),
    ] = False,
    allow_outside: OutsideOption = False,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a dataset for problems before training on it; exits with 3 if there are errors."""
    from neocog.examine import inspect_dataset
    from neocog.storage import cache
    from neocog.terminal import dataset, make_console
    from neocog.terminal import progress as bars

    console = make_console(stderr=as_json)
    if clear_cache:
        dataset.show_freed(console, cache.clear())
    if data is None:
        if not clear_cache:
            raise UsageError("No dataset is given.", "For example: neocog data photos/")
        return
    progress = bars.ReadingProgress(console)
    try:
        found = inspect_dataset(data, progress, allow_outside=allow_outside)
    finally:
        progress.close()
    from neocog import runs as run_folders
    from neocog.report import contact_sheets as contact

    folder = sheets or run_folders.runs_folder(runs) / "data" / _sheets_name(data)
    drawn = contact.draw(found, folder)
    if as_json:
        print(to_json({**found.to_json(), "sheets": [str(p) for p in drawn]}))
    dataset.show_data(console, found, drawn)
    if not found.is_valid:
        raise typer.Exit(3)


def _sheets_name(data: str) -> str:
    """A folder name for a dataset: `photos` for photos.tar.gz or photos-{000..007}.tar."""
    name = Path(data).absolute().name
    return re.split(r"[.{]", name)[0].rstrip("-_ ") or "images"
