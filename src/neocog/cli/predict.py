"""`neocog predict` and `neocog explain`."""

from pathlib import Path
from typing import Annotated

import typer

from neocog.cli.options import DeviceOption, EngineOption, JsonOption, LangOption, RunsOption
from neocog.errors import UsageError
from neocog.escaping import to_json

MAX_TOP = 10_000  # classes that `predict` reports per image


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] IMAGE|FOLDER|- ...",
            help="RUN: a run folder, a model file or latest (the default). -: standard input.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, max=MAX_TOP, help="Classes to report per image.")] = 3,
    csv: Annotated[
        str | None,
        typer.Option(metavar="[FILE.csv]", help="Write CSV, to a file or to standard output."),
    ] = None,
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify images."""
    from neocog.predict import predict as predict_images
    from neocog.terminal import make_console
    from neocog.terminal import predictions as shown

    if as_json and csv == "-":
        raise UsageError(
            "--json and --csv both print to standard output.", "Name a file: --csv predictions.csv"
        )
    outcome = predict_images(arguments, top=top, device=device, engine=engine, runs_dir=runs)
    shown.show_engine(make_console(stderr=True), outcome.engine, outcome.precision)
    if csv and csv != "-":
        shown.write_csv(Path(csv), outcome.predictions, top)
        shown.show_written(make_console(stderr=True), Path(csv), outcome.predictions)
    if as_json:
        print(to_json(outcome.to_json()))
    elif csv == "-":
        print(shown.predictions_csv(outcome.predictions, top), end="")
    elif not csv:
        shown.show_predictions(make_console(stderr=False), outcome.predictions)
    if outcome.failed:
        shown.show_failures(make_console(stderr=True), outcome.predictions)
        raise typer.Exit(1)


ImagesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN] IMAGE|FOLDER|- ...",
        help="As for predict; with --maximize, only a run.",
    ),
]
LayerOption = Annotated[
    str | None, typer.Option(help="The layer for Grad-CAM.", show_default="the last convolution")
]
LabelOption = Annotated[
    str | None, typer.Option(help="The class to explain.", show_default="the prediction")
]
MaximizeOption = Annotated[
    bool,
    typer.Option("--maximize", help="Show the test images that most activate each map of --layer."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(help="Folder for the page and its images.", show_default="RUN/explain"),
]


def explain(
    arguments: ImagesArgument = None,
    layer: LayerOption = None,
    label: LabelOption = None,
    maximize: MaximizeOption = False,
    out: OutOption = None,
    lang: LangOption = None,
    device: DeviceOption = "auto",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the evidence for a prediction, and the output of every layer."""
    if maximize:
        if label is not None:
            raise UsageError("--maximize works on feature maps, not classes.", "Remove --label.")
        _maximize(arguments or ["latest"], layer, out, lang, device, runs, as_json)
        return
    from neocog.explanations import ExplainRequest
    from neocog.report.explanation_page import explain as explain_images
    from neocog.terminal import make_console
    from neocog.terminal import predictions as shown
    from neocog.terminal import progress as bars

    console = make_console(stderr=as_json)
    with bars.looking(console) as progress:
        seen = explain_images(
            arguments or [],
            ExplainRequest(layer, label),
            out=out,
            lang=lang,
            device=device,
            runs_dir=runs,
            progress=progress,
        )
    if as_json:
        print(to_json(seen.to_json()))
    predictions = [one.prediction for one in seen.images]
    shown.show_explained(console, predictions, seen.layer, seen.page, len(seen.files))
    if seen.failed:
        shown.show_failures(make_console(stderr=True), predictions)
        raise typer.Exit(1)


def _maximize(
    arguments: list[str],
    layer: str | None,
    out: Path | None,
    lang: str | None,
    device: str,
    runs: Path | None,
    as_json: bool,
) -> None:
    """The test images with the highest activations of a layer's maps."""
    if not layer or len(arguments) > 1:
        raise UsageError(
            "--maximize needs --layer, and no images: it searches the test images of the run.",
            "For example: neocog explain latest --layer c1 --maximize",
        )
    from neocog.report.top_activations import maximize
    from neocog.terminal import make_console
    from neocog.terminal import predictions as shown

    found = maximize(arguments[0], layer, out=out, lang=lang, device=device, runs_dir=runs)
    shown.show_maximized(make_console(stderr=as_json), found.layer, found.page, found.image)
    if as_json:
        print(to_json(found.to_json()))
