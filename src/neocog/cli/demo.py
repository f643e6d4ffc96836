"""The demos: ideas at work on small numbers, on your own, or on a trained network's."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neocog.errors import UsageError
from neocog.escaping import to_json

demos = typer.Typer(help="See an idea at work on your own numbers or images.")

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
SeedOption = Annotated[int, typer.Option(help="Another seed, other numbers.")]


@demos.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@demos.command()
def convolution(
    size: Annotated[int | None, typer.Option(help="Side of the input.", show_default="5")] = None,
    channels: Annotated[int | None, typer.Option(help="Its channels.", show_default="3")] = None,
    filters: Annotated[int | None, typer.Option(help="How many filters.", show_default="2")] = None,
    kernel: Annotated[int | None, typer.Option(help="Side of a filter.", show_default="3")] = None,
    stride: Annotated[
        int | None, typer.Option(help="Cells from window to window.", show_default="2")
    ] = None,
    padding: Annotated[
        int | None, typer.Option(help="Zeros on each side.", show_default="1")
    ] = None,
    dilation: Annotated[
        int | None, typer.Option(help="Cells from weight to weight.", show_default="1")
    ] = None,
    seed: SeedOption = 0,
    run: Annotated[
        str | None, typer.Option(help="Show a trained network's filters: a run, or latest.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Which of its convolutions.", show_default="the first")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="The image that it is shown.")] = None,
    filter_: Annotated[
        list[int] | None,
        typer.Option(
            "--filter",
            help="Which of its filters, counted from 0; may be given several times.",
            show_default="all of up to 6, else those that answer most strongly",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the page that steps, plays and can be edited.")
    ] = None,
    gif: Annotated[Path | None, typer.Option(help="Write the animation for slides.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write one step for slides.")] = None,
    lang: Annotated[
        str | None, typer.Option(help="Of page and images: en or zh.", show_default="yours")
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Folder of runs.", show_default="NEOCOG_RUNS or ./runs")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convolution, number by number: an example, or a trained layer on an image of yours.

    `neocog demo convolution --html out.html` writes the page; `--run latest --image x.png` shows
    what the network's own filters do with x.png.
    """
    from neocog.report.words import language

    spoken = language(lang)
    given: dict[str, Any] = {
        "size": size, "channels": channels, "filters": filters, "kernel": kernel, "stride": stride,
        "padding": padding, "dilation": dilation,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    trained = run is not None or layer is not None or image is not None or bool(filter_)
    if trained and given:
        raise UsageError(
            f"A trained layer has its own dimensions: --{next(iter(given))} is for the example.",
            "Leave it away, or leave --run, --layer, --image and --filter away.",
        )
    if trained and image is None:
        raise UsageError(
            "A trained layer needs an image.",
            f"For example: neocog demo convolution --run {run or 'latest'} --image photo.jpg",
        )
    from neocog.demos import convolution_page
    from neocog.demos import terminal as shown
    from neocog.demos.convolution import Dimensions
    from neocog.terminal import make_console

    if trained:
        assert image is not None
        demo = convolution_page.from_run(
            run or "latest", image, layer, filter_ or (), runs_dir=runs, lang=spoken
        )
    else:
        demo = convolution_page.from_dimensions(Dimensions(**given), seed, spoken)
    written = convolution_page.write(demo, html, gif, png)
    found = demo.to_json()
    if as_json:
        print(to_json({**found, "files": [str(path) for path in written]}))
        return
    console = make_console(stderr=False)
    again = shlex.join(["neocog", *sys.argv[1:], "--html", "convolution.html"])
    shown.show_convolution(console, found, "" if html else again)
    shown.show_files(console, written)


@demos.command()
def pooling(
    size: Annotated[int, typer.Option(help="Side of the numbers.")] = 8,
    window: Annotated[int, typer.Option(help="Side of a window.")] = 4,
    stride: Annotated[
        int | None, typer.Option(help="Cells from window to window.", show_default="the window")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Pooling by maximum and by mean: 224 x 224 x 64 to 112 x 112 x 64, and 8 x 8 to 2 x 2."""
    from neocog.demos import pooling as explained
    from neocog.demos import terminal as shown
    from neocog.terminal import make_console

    published, found = explained.published(), explained.example(size, window, stride, seed)
    if as_json:
        print(to_json({"published": published, "example": found}))
    else:
        shown.show_pooling(make_console(stderr=False), published, found)


@demos.command(context_settings={"ignore_unknown_options": True})
def softmax(
    logits: Annotated[
        list[float] | None, typer.Argument(help="What a network gave.", show_default="2.0 1.0 0.1")
    ] = None,
    label: Annotated[int, typer.Option(help="The right class, counted from 0.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Softmax, log-softmax, cross-entropy and nll on the same logits, and the wrong pairings."""
    from neocog.demos import softmax as explained
    from neocog.demos import terminal as shown
    from neocog.terminal import make_console

    found = explained.compare(logits or (2.0, 1.0, 0.1), label)
    if as_json:
        print(to_json(found))
    else:
        shown.show_softmax(make_console(stderr=False), found)


@demos.command()
def padding(
    size: Annotated[int, typer.Option(help="Side of the input.")] = 5,
    kernel: Annotated[int, typer.Option(help="Side of the kernel.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """What a border of zeros does: valid, same and full, and how often the border is seen."""
    from neocog.demos import padding as explained
    from neocog.demos import terminal as shown
    from neocog.terminal import make_console

    found = explained.compare(size, kernel)
    if as_json:
        print(to_json(found))
    else:
        shown.show_padding(make_console(stderr=False), found)


@demos.command()
def sharing(
    model: Annotated[
        str | None,
        typer.Option(
            help="A network's name, or a layer pattern: neocog models", show_default="lenet5"
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="One of its convolutions; without --model also one of your own: conv5-6p0."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="The input: 1x28x28")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Parameters of full connection, local connection and shared weights.

    For a network's convolutions (--model lenet5 --layer c1) or for one of your own
    (--input 1x28x28 --layer conv5-6p0).
    """
    from dataclasses import asdict

    from neocog.demos import terminal as shown
    from neocog.demos.sharing import sharing as count
    from neocog.terminal import make_console

    name, rows = count(model, layer, size)
    if as_json:
        print(to_json({"model": name, "layers": [asdict(row) for row in rows]}))
    else:
        shown.show_sharing(make_console(stderr=False), name, rows)


@demos.command(context_settings={"ignore_unknown_options": True})
def normalization(
    numbers: Annotated[list[float], typer.Argument(help="The values of some pixels, or any.")],
    as_json: JsonOption = False,
) -> None:
    """Bring numbers to mean 0 and standard deviation 1: 16 48 27 238 12."""
    from neocog.demos import terminal as shown
    from neocog.demos.normalization import standardise
    from neocog.terminal import make_console

    found = standardise(numbers)
    if as_json:
        print(to_json(found))
    else:
        shown.show_normalization(make_console(stderr=False), found)
