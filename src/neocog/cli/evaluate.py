"""`neocog evaluate` and `neocog report`."""

from typing import TYPE_CHECKING, Annotated

import typer

from neocog.cli.elapsed import STOPWATCH
from neocog.cli.options import (
    DeviceOption,
    EngineOption,
    JsonOption,
    LangOption,
    OutsideOption,
    RunsOption,
)
from neocog.escaping import to_json

if TYPE_CHECKING:
    from rich.console import Console

    from neocog.evaluation.evaluate import Evaluation


def evaluate(
    run: Annotated[str, typer.Argument(help="Run folder, model file or latest.")] = "latest",
    data: Annotated[
        str | None, typer.Argument(help="Another dataset: a name or a path, as for neocog train.")
    ] = None,
    allow_outside: OutsideOption = False,
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a run on its test split, or on another dataset."""
    from neocog.evaluation.evaluate import evaluate as evaluate_run
    from neocog.terminal import make_console, results
    from neocog.terminal.predictions import show_engine

    evaluation = evaluate_run(
        run, data, runs_dir=runs, device=device, engine=engine, allow_outside=allow_outside
    )
    console = make_console(stderr=as_json)
    used = evaluation.classifier.engine
    show_engine(console, used.name, used.precision)
    results.show_evaluation(console, evaluation.result)
    if evaluation.run and evaluation.recorded:
        draw(evaluation, console, trained=False)
    if as_json:
        print(to_json(evaluation.with_total_seconds(STOPWATCH.seconds()).result.to_json()))


def draw(evaluation: "Evaluation", console: "Console", *, trained: bool) -> None:
    """Draw the plots of a run and, if it was just trained, its report.

    `report` is a leaf: without it the results are the same, and only the plots are missing.
    """
    from neocog.rendering.i18n import language

    assert evaluation.run is not None, "plots belong to a run"
    try:
        from neocog.report import plots
    except ModuleNotFoundError as error:
        if error.name != "neocog.report":
            raise
        console.print("neocog.report is missing: no plots or report are written.")
        return
    plots.draw(evaluation.run, evaluation, trained=trained)
    if trained:
        from neocog.report import page  # needs torch

        page.write(evaluation, language())


def report(
    run: Annotated[str, typer.Argument(help="Run folder or latest.")] = "latest",
    again: Annotated[
        bool,
        typer.Option(
            "--evaluate", help="Evaluate again, instead of using the recorded evaluation."
        ),
    ] = False,
    lang: LangOption = None,
    device: DeviceOption = "auto",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write report.html: the results, mistakes and feature maps of a run on one page."""
    from neocog.rendering.i18n import language
    from neocog.terminal import make_console, results

    spoken = language(lang)  # before the work
    from neocog.evaluation.recorded import evaluation_of_run
    from neocog.report import page

    console = make_console(stderr=as_json)
    evaluation = evaluation_of_run(
        run,
        again=again,
        runs_dir=runs,
        device=device,
        on_evaluate=lambda: results.show_nothing_recorded(console),
    )
    written = page.write(evaluation, spoken)
    results.show_report(console, written)
    if as_json:
        print(to_json({"run": str(written.parent), "report": str(written)}))
