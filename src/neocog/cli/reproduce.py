"""`neocog reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from neocog.cli.failure import stopped_training
from neocog.cli.options import DeviceOption, JsonOption, RunsOption
from neocog.escaping import to_json

MAX_SEEDS = 1000  # runs of a recipe

RecipesArgument = Annotated[
    list[str] | None, typer.Argument(help="Recipes' names.", show_default="every published one")
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_SEEDS,
        help="Runs of each.",
        show_default="5, 3 or 1, by how long one takes",
    ),
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Only what ends within a minute, one seed each.")
]
ResultsOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the figures; one with more seeds is kept.",
        show_default="benchmarks/results, if it is there",
    ),
]


def reproduce(
    recipes: RecipesArgument = None,
    seeds: SeedsOption = None,
    quick: QuickOption = False,
    device: DeviceOption = "auto",
    runs: RunsOption = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train what was published, and set the printed figures beside the measured ones."""
    from neocog import training
    from neocog.reproduce import Reproduction
    from neocog.reproduce import reproduce as run_all
    from neocog.terminal import make_console, tables
    from neocog.terminal.progress import ReproductionProgress

    console = make_console(stderr=as_json)
    kept = Path("benchmarks", "results")
    if results is None and not quick and kept.is_dir():
        results = kept
    progress = ReproductionProgress(console)
    rows: list[Reproduction] = []
    try:
        rows.extend(
            run_all(
                recipes or (),
                seeds=seeds,
                quick=quick,
                runs_dir=runs,
                results=results,
                device=device,
                observer=progress,
            )
        )
    except training.Interrupted as stopped:
        hint = "Go on with the same command: what is finished is kept."
        raise stopped_training(hint, stopped.exit_code) from None
    finally:
        progress.close()
        if rows:  # also those that were known before an error
            tables.show_reproduction(console, rows)
    if as_json:
        print(to_json({"rows": [row.to_json() for row in rows]}))
    if any(row.error for row in rows):
        raise typer.Exit(1)
    if any(row.verdict == "FAIL" for row in rows):
        raise typer.Exit(3)
