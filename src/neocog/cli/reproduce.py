"""`neocog reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from neocog.cli.arguments import spell_settings
from neocog.cli.failure import stopped_training
from neocog.cli.options import DeviceOption, JsonOption, RunsOption
from neocog.escaping import to_json

MAX_SEEDS = 1000  # runs of a recipe

RecipesArgument = Annotated[
    list[str] | None, typer.Argument(help="Names of recipes.", show_default="all published ones")
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_SEEDS,
        help="Number of seeds per recipe.",
        show_default="5, 3 or 1, depending on training time",
    ),
]
QuickOption = Annotated[
    bool,
    typer.Option("--quick", help="Only recipes that train within a minute, with one seed each."),
]
ResultsOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the results; one with more seeds is not overwritten.",
        show_default="benchmarks/results, if it exists",
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
    """Train published recipes and compare the measured accuracy with the printed one."""
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
        hint = "To continue, run the same command again: finished runs are kept."
        raise stopped_training(hint, stopped.exit_code) from None
    finally:
        progress.close()
        if rows:  # also those that were known before an error
            tables.show_reproduction(console, rows, spell_settings)
    if as_json:
        print(to_json({"rows": [row.to_json(spell_settings) for row in rows]}))
    if any(row.error for row in rows):
        raise typer.Exit(1)
    if any(row.verdict == "FAIL" for row in rows):
        raise typer.Exit(3)
