"""The command line: parse, call one public function, print."""

import atexit
import gc
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import neocog
from neocog.cli.demo import demos
from neocog.cli.elapsed import STOPWATCH
from neocog.cli.export import export
from neocog.cli.memory import HINT as MEMORY_HINT
from neocog.cli.memory import shortage
from neocog.errors import NeocogError, UsageError
from neocog.escaping import to_json, visible, visible_block

if TYPE_CHECKING:
    from rich.console import Console

    from neocog.evaluation.evaluate import Evaluation
    from neocog.recipes import Recipe
    from neocog.training import TrainingResult

app = typer.Typer(
    help="Train, judge and use image classifiers, from LeNet-5 to your own images.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="--debug, anywhere, shows the traceback of an error.",
)

app.add_typer(demos, name="demo")
app.command()(export)

MOST_TOP = 10_000  # classes that `predict` reports of an image
MOST_SEEDS = 1000  # runs of a recipe that `reproduce` makes

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


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"neocog {neocog.__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def train(
    data: Annotated[
        str | None,
        typer.Argument(
            help="A data set's name; or your images: a folder of class folders, a zip or tar "
            "file of one, a CSV file (path,label), Parquet."
        ),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe's name: neocog recipes")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A network's name, or a layer pattern: neocog models"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE ...", help="Change the recipe."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="How often every image is seen.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Begin with imagenet, random, or a file: .safetensors, .pth."),
    ] = None,
    fine_tune: Annotated[
        bool | None,
        typer.Option("--fine-tune", help="Photos: train the whole network after its last layer."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Photos: the spread of the accuracy over so many fits.")
    ] = None,
    allow_outside: OutsideOption = False,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The same seed gives the same bits with the same number of threads "
            "(OMP_NUM_THREADS), on one kind of CPU."
        ),
    ] = None,
    device: DeviceOption = "auto",
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    runs: RunsOption = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network; alone, LeNet-5 on 5,000 real digits in seconds, offline."""
    from neocog import runs as run_folders
    from neocog.terminal import make_console
    from neocog.terminal import progress as bars
    from neocog.terminal import results as judged

    folder = run_folders.runs_folder(runs)
    given = {"data": data, "model": model, "epochs": epochs, "seed": seed}
    given |= {"weights": weights, "fine_tune": fine_tune, "folds": folds}
    overrides: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    overrides |= {"allow_outside": True} if allow_outside else {}
    overrides |= _assignments(set_ or [])
    console = make_console(stderr=as_json)
    if resume:
        if overrides or recipe or name:
            raise UsageError(
                "--resume goes on with the run's own recipe; nothing else can be changed.",
                f"Say only: neocog train --resume {resume}",
            )
        run = run_folders.find(resume, folder)
        chosen = run.read_recipe()
    else:
        chosen = _recipe(data, recipe, model, overrides, console)
        judged.check_data_is_named(chosen)
    from neocog import training  # torch is loaded only when what was typed makes sense

    progress = bars.TrainingProgress(console, chosen)
    try:
        if resume:
            if training.is_finished(run, chosen):
                judged.show_nothing_to_train(console)
            trained = training.resume(run, device=device, report=progress, on_data=progress.on_data)
        else:
            trained = training.train(
                chosen,
                runs_dir=folder,
                name=name,
                device=device,
                command=_command(),
                report=progress,
                on_data=progress.on_data,
            )
    except training.Interrupted as stopped:
        progress.close()
        hint = f"Go on: neocog train --resume {stopped.run.path}"
        sys.exit(_fail("Stopped after the step in hand.", hint, as_json, stopped.exit_code))
    finally:
        progress.close()
    result = _finish(trained, console, device)
    if as_json:
        print(to_json(result))


def _recipe(
    data: str | None,
    name: str | None,
    model: str | None,
    overrides: dict[str, Any],
    console: "Console",
) -> "Recipe":
    """The recipe that was named, or that suits the network and the data."""
    from neocog import recipes
    from neocog.data import exists, measure_dataset
    from neocog.terminal import dataset

    chosen = recipes.choose(data, name, model)
    meant = name or model or {"weights", "fine_tune", "folds"} & set(overrides)
    if chosen == "photos" and not meant and data and exists(data):
        count, side = measure_dataset(data, bool(overrides.get("allow_outside")))
        small = recipes.scratch_overrides(count, side)
        if small:
            dataset.show_small(console, count, side)
            return recipes.get("scratch", {**small, **overrides})
    return recipes.get(chosen, overrides)


def _finish(trained: "TrainingResult", console: "Console", device: str) -> dict[str, Any]:
    """After training: judge, draw, and say what came of it."""
    from neocog.evaluation.evaluate import evaluate
    from neocog.terminal import results as judged

    run = trained.run
    evaluation = evaluate(run.path, device=device, splits=trained.splits)
    result = evaluation.result
    judged.show_evaluation(console, result)
    if evaluation.recorded:
        _draw(evaluation, console, with_page=True)
    result["time_seconds"]["total"] = STOPWATCH.seconds()
    if evaluation.recorded:
        run.write_evaluation(result)
    judged.show_trained(console, run, result)
    return result


def _draw(evaluation: "Evaluation", console: "Console", *, with_page: bool) -> None:
    """Draw the plots of a run and, if wanted, its report.

    `report` is a leaf: without it the results are the same, and only the plots are missing.
    """
    from neocog.rendering.i18n import language

    assert evaluation.run is not None, "plots belong to a run"
    try:
        from neocog.report import page, plots
    except ModuleNotFoundError as error:
        if error.name != "neocog.report":
            raise
        console.print("neocog.report is missing: no plots and no report are written.")
        return
    plots.draw(evaluation.run, evaluation)
    if with_page:
        page.write(evaluation, language())


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="Run folder, model file or latest.")] = "latest",
    data: Annotated[
        str | None, typer.Argument(help="Another data set, or a folder of class folders.")
    ] = None,
    allow_outside: OutsideOption = False,
    device: DeviceOption = "auto",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a run on its test split, or on another data set."""
    from neocog.evaluation.evaluate import evaluate as judge
    from neocog.terminal import make_console
    from neocog.terminal import results as judged

    evaluation = judge(run, data, runs_dir=runs, device=device, allow_outside=allow_outside)
    console = make_console(stderr=as_json)
    judged.show_evaluation(console, evaluation.result)
    if evaluation.run and evaluation.recorded:
        _draw(evaluation, console, with_page=False)
    evaluation.result["time_seconds"]["total"] = STOPWATCH.seconds()
    if as_json:
        print(to_json(evaluation.result))


@app.command()
def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] IMAGE|FOLDER|- ...",
            help="RUN: a run folder, a model file or latest (the default). -: standard input.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, max=MOST_TOP, help="How many classes to report.")] = 3,
    csv: Annotated[
        str | None,
        typer.Option(metavar="[FILE.csv]", help="Comma-separated, to a file or standard output."),
    ] = None,
    device: DeviceOption = "auto",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is on images."""
    from neocog.predict import predict as ask
    from neocog.terminal import make_console
    from neocog.terminal import predictions as answers

    if as_json and csv == "-":
        raise UsageError(
            "--json and --csv both print to standard output.", "Name a file: --csv answers.csv"
        )
    outcome = ask(arguments, top=top, device=device, runs_dir=runs)
    if csv and csv != "-":
        answers.write_csv(Path(csv), outcome.predictions, top)
        answers.show_written(make_console(stderr=True), Path(csv), outcome.predictions)
    if as_json:
        print(to_json(outcome.to_json()))
    elif csv == "-":
        print(answers.predictions_csv(outcome.predictions, top), end="")
    elif not csv:
        answers.show_predictions(make_console(stderr=False), outcome.predictions)
    if outcome.failed:
        answers.show_failures(make_console(stderr=True), outcome.predictions)
        raise typer.Exit(1)


@app.command()
def explain(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] IMAGE|FOLDER|- ...",
            help="As for predict. With --maximize a run alone.",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="The layer for Grad-CAM.", show_default="the last convolution"),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="The class to ask for.", show_default="the answer"),
    ] = None,
    maximize: Annotated[
        bool,
        typer.Option("--maximize", help="For each map of --layer, its strongest test images."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for what is drawn.", show_default="RUN/explain")
    ] = None,
    lang: LangOption = None,
    device: DeviceOption = "auto",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the network sees in an image: its layers, and what speaks for the answer."""
    from neocog.terminal import make_console
    from neocog.terminal import predictions as answers
    from neocog.terminal import progress as bars

    console = make_console(stderr=as_json)
    if maximize:
        if label is not None:
            raise UsageError("--maximize asks for maps and knows no class.", "Leave --label away.")
        if not layer or len(arguments or []) > 1:
            raise UsageError(
                "--maximize looks through a run's test images for the maps of one layer.",
                "For example: neocog explain latest --layer c1 --maximize",
            )
        from neocog.report.top_activations import maximize as look_through

        run = (arguments or ["latest"])[0]
        found = look_through(run, layer, out=out, lang=lang, device=device, runs_dir=runs)
        answers.show_maximized(console, found.layer, found.page, found.image)
        if as_json:
            print(to_json(found.to_json()))
        return
    from neocog.explanations import ExplainRequest
    from neocog.report.explanation_page import explain as explain_images

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
    answers.show_explained(console, predictions, seen.layer, seen.page, len(seen.files))
    if seen.failed:
        answers.show_failures(make_console(stderr=True), predictions)
        raise typer.Exit(1)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Run folder or latest.")] = "latest",
    lang: LangOption = None,
    device: DeviceOption = "auto",
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write report.html: all of a run on one page, its mistakes and what the network sees."""
    from neocog.rendering.i18n import language
    from neocog.terminal import make_console
    from neocog.terminal import results as judged

    spoken = language(lang)  # before the work
    from neocog.evaluation.evaluate import evaluate as judge
    from neocog.report import page

    evaluation = judge(run, runs_dir=runs, device=device)
    if evaluation.run is None:
        raise UsageError(
            f"{run} is a model file on its own, and a report is of a run folder.",
            "Name a run: neocog report latest",
        )
    written = page.write(evaluation, spoken)
    judged.show_report(make_console(stderr=as_json), written)
    if as_json:
        print(to_json({"run": str(evaluation.run.path), "report": str(written)}))


@app.command()
def data(
    data: Annotated[
        str | None,
        typer.Argument(help="A folder of class folders, a zip or tar file, a CSV file, Parquet."),
    ] = None,
    sheets: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a contact sheet of each class.", show_default="RUNS/data/NAME"
        ),
    ] = None,
    clear_cache: Annotated[
        bool,
        typer.Option("--clear-cache", help="Delete decoded images and features that are kept."),
    ] = False,
    allow_outside: OutsideOption = False,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with your images before you believe a number; exits 3 if it matters."""
    from neocog.data import decode_cache
    from neocog.examine import inspect_dataset
    from neocog.terminal import dataset, make_console
    from neocog.terminal import progress as bars

    console = make_console(stderr=as_json)
    if clear_cache:
        dataset.show_freed(console, decode_cache.clear())
    if data is None:
        if not clear_cache:
            raise UsageError("No images are named.", "For example: neocog data photos/")
        return
    progress = bars.ReadingProgress(console)
    try:
        found = inspect_dataset(data, on_progress=progress, allow_outside=allow_outside)
    finally:
        progress.close()
    from neocog import runs as run_folders
    from neocog.report import contact_sheets as contact

    folder = sheets or run_folders.runs_folder(runs) / "data" / Path(data).name.partition(".")[0]
    drawn = contact.draw(found, folder)
    if as_json:
        print(to_json({**found.to_json(), "sheets": [str(p) for p in drawn]}))
    dataset.show_data(console, found, drawn)
    if not found.is_valid:
        raise typer.Exit(3)


@app.command()
def models(
    name: Annotated[
        str | None,
        typer.Argument(help="Show the layers of one network, or of a layer pattern."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="The input to show them for: 3x32x32"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""List the networks, or show the layers of one.

    A layer pattern is a network, too, for `train --model` as well: "\[\[conv3-32 relu]*2 pool2]*3
    \[fc128 relu]*1 fc". Its words: conv3-32 (s2 strides, p0 pads by nothing), pool2, avgpool2, gap,
    bn, relu, tanh, sigmoid, gelu, drop0.5, fc128, and fc, which ends it. It may have 2,000 layers
    and 250 million parameters, and a layer may give 100 million values for an image.
    """
    from neocog.models import summary
    from neocog.terminal import make_console, tables

    if name:
        network = summary.summarize(name, summary.parse_input(size) if size else None)
        if as_json:
            print(to_json(network.to_json(with_layers=True)))
        else:
            tables.show_layers(make_console(stderr=False), network)
    elif as_json:
        rows = [network.to_json(with_layers=False) for network in summary.summarize_all()]
        print(to_json({"models": rows}))
    else:
        tables.show_models(make_console(stderr=False), summary.summarize_all())


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Show one recipe whole.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the recipes, or show one."""
    from neocog import recipes as all_recipes
    from neocog.terminal import make_console, tables

    if name:
        print(to_json(all_recipes.get(name).to_json(), indent=None if as_json else 2))
    elif as_json:
        print(to_json({"recipes": [r.to_json() for r in all_recipes.RECIPES.values()]}))
    else:
        tables.show_recipes(make_console(stderr=False))


@app.command()
def reproduce(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes' names.", show_default="every published one")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_SEEDS,
            help="Runs of each.",
            show_default="5, 3 or 1, by how long one takes",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only what ends within a minute, one seed each.")
    ] = False,
    device: DeviceOption = "auto",
    runs: RunsOption = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the figures; one with more seeds is kept.",
            show_default="benchmarks/results, if it is there",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train what was published, and set the printed figures beside the measured ones."""
    from neocog import training as training_room
    from neocog.reproduce import reproduce as run_all
    from neocog.terminal import make_console, tables
    from neocog.terminal import progress as bars

    console = make_console(stderr=as_json)
    kept = Path("benchmarks", "results")
    if results is None and not quick and kept.is_dir():
        results = kept
    progress = bars.ReproductionProgress(console)
    rows: list[dict[str, Any]] = []
    try:
        rows.extend(
            run_all(
                recipes or (),
                seeds=seeds,
                quick=quick,
                runs_dir=runs,
                results=results,
                device=device,
                announce=progress.announce,
            )
        )
    except training_room.Interrupted as stopped:
        progress.close()
        hint = "Go on with the same command: what is finished is kept."
        sys.exit(_fail("Stopped after the step in hand.", hint, as_json, stopped.exit_code))
    finally:
        progress.close()
        if rows:  # also those that were known before an error
            tables.show_reproduction(console, rows)
    if as_json:
        print(to_json({"rows": rows}))
    if any(row["error"] for row in rows):
        raise typer.Exit(1)
    if any(row["verdict"] == "FAIL" for row in rows):
        raise typer.Exit(3)


def _assignments(texts: list[str]) -> dict[str, Any]:
    """`field=value` texts as a dictionary."""
    for text in texts:
        if "=" not in text:
            raise UsageError(
                f"--set wants FIELD=VALUE, not {text!r}.", "For example: --set epochs=3"
            )
    return dict(text.split("=", 1) for text in texts)


def _command() -> str:
    import shlex

    return shlex.join(["neocog", *sys.argv[1:]])


def _spelled_out(arguments: list[str]) -> list[str]:
    """What the option parser needs spelled out: `--set a=1 b=2`, and `--csv` without a file.

    `--set` takes every FIELD=VALUE that follows; `--csv` takes what follows only
    if it is a dash or ends in .csv.
    """
    result: list[str] = []
    setting = False
    for place, argument in enumerate(arguments):
        if setting and "=" in argument and not argument.startswith("-"):
            if result[-1] != "--set":  # the first follows it already
                result.append("--set")
        else:
            setting = argument.startswith("--set")
        result.append(argument)
        following = arguments[place + 1 : place + 2]
        named = bool(following) and (following[0] == "-" or following[0].lower().endswith(".csv"))
        if argument == "--csv" and not named:
            result.append("-")
    return result


def main() -> None:
    """The entry point: runs a command and turns every error into a line and an exit code."""
    # Importing torch makes half a million objects, and none is garbage: to look for it while they
    # are made, and once more when the process ends, takes a quarter of the import's time.
    STOPWATCH.start()
    gc.set_threshold(50_000, 20, 100)
    atexit.register(_end_fast)
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    as_json = "--json" in arguments
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _ending_in_order():
            code = app(_spelled_out(arguments), standalone_mode=False)
        sys.stdout.flush()
        if code == 130:  # typer's word for Ctrl-C
            _fail("Stopped.", "", as_json, 130)
    except NeocogError as error:
        if debug:
            print(visible_block(traceback.format_exc()), file=sys.stderr)
        code = _fail(error.message, error.hint, as_json, 2 if isinstance(error, UsageError) else 1)
    except (KeyboardInterrupt, _Terminated) as stopped:
        code = _fail("Stopped.", "", as_json, getattr(stopped, "code", 130))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if debug:
            print(visible_block(traceback.format_exc()), file=sys.stderr)
        code = _unforeseen(error, as_json)
    sys.exit(code or 0)


class _Terminated(SystemExit):
    """Raised on SIGTERM, so that temporary files are deleted on exit, as after Ctrl-C."""


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Make SIGTERM an exception, as Ctrl-C is; training takes its own way meanwhile."""

    def terminate(_number: int, _frame: object) -> None:
        raise _Terminated(143)

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


def _unforeseen(error: Exception, as_json: bool) -> int:
    """A wrong call, by the parser's own exceptions, or a failure that nobody foresaw."""
    chain, cause = [], error.__context__
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__context__
    # Ctrl-C in the middle of an import may come out as an ImportError.
    if type(error).__name__ == "Abort" or any(isinstance(e, KeyboardInterrupt) for e in chain):
        return _fail("Stopped.", "", as_json, 130)
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "neocog"
        return _fail(error.format_message(), f"See: {command} --help", as_json, 2)
    no_memory = shortage(error)
    if no_memory:
        return _fail(no_memory, MEMORY_HINT, as_json, 1)
    if isinstance(error, OSError) and error.filename is not None:
        place = error.filename2 or error.filename
        return _fail(f"{place}: {error.strerror}.", "Add --debug to see where.", as_json, 1)
    text = str(error).replace("\n", "\n  ")
    return _fail(f"{type(error).__name__}: {text}", "Add --debug to see where.", as_json, 1)


def _fail(message: str, hint: str, as_json: bool, code: int) -> int:
    if as_json:
        print(to_json({"error": {"message": message, "hint": hint}}))
    else:
        print(_lines(message if code >= 128 else f"Error: {message}"), file=sys.stderr)
        if hint:
            print(visible(hint), file=sys.stderr)
    return code


def _lines(message: str) -> str:
    """A message for the terminal: only indented lines may follow the first.

    A file's name that goes on after a line end cannot pose as a line of Neocog's.
    """
    return visible_block(re.sub(r"\n(?!  )", r"\\n", message))
