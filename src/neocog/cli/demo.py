"""`neocog demo`: one idea each, on small numbers, your own, or those of a trained network."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from neocog.errors import UsageError
from neocog.escaping import to_json

demos = typer.Typer(help="Try out an idea on your own numbers or images.")

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
SeedOption = Annotated[int, typer.Option(help="Random seed of the numbers.")]


@demos.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@demos.command()
def convolution(
    size: Annotated[int | None, typer.Option(help="Size of the input.", show_default="5")] = None,
    channels: Annotated[
        int | None, typer.Option(help="Channels of the input.", show_default="3")
    ] = None,
    filters: Annotated[
        int | None, typer.Option(help="Number of filters.", show_default="2")
    ] = None,
    kernel: Annotated[
        int | None, typer.Option(help="Size of the kernel.", show_default="3")
    ] = None,
    stride: Annotated[int | None, typer.Option(help="Stride, in cells.", show_default="2")] = None,
    padding: Annotated[
        int | None, typer.Option(help="Zero padding on each side.", show_default="1")
    ] = None,
    dilation: Annotated[
        int | None, typer.Option(help="Dilation, in cells.", show_default="1")
    ] = None,
    seed: SeedOption = 0,
    run: Annotated[
        str | None, typer.Option(help="Use the filters of a trained network: a run, or latest.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="A convolution of the network.", show_default="the first")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="The input image.")] = None,
    filter_: Annotated[
        list[int] | None,
        typer.Option(
            "--filter",
            help="A filter of the layer, counted from 0; can be repeated.",
            show_default="all of up to 6, else those with the highest activations",
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write an interactive page.")] = None,
    gif: Annotated[Path | None, typer.Option(help="Write an animation for slides.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write an image of one step for slides.")] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            help="Language of the page and images: en or zh.", show_default="the system's"
        ),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Folder of runs.", show_default="NEOCOG_RUNS or ./runs")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convolution, number by number: an example, or a trained layer applied to your own image.

    `neocog demo convolution --html out.html` writes an interactive page; with
    `--run latest --image x.png` the filters of the latest run are applied to x.png.
    """
    from neocog.rendering.i18n import language

    spoken = language(lang)
    sides = {
        "size": size, "channels": channels, "filters": filters, "kernel": kernel, "stride": stride,
        "padding": padding, "dilation": dilation,
    }  # fmt: skip
    given = {name: value for name, value in sides.items() if value is not None}
    trained = run is not None or layer is not None or image is not None or bool(filter_)
    if trained and given:
        raise UsageError(
            f"A trained layer has its own dimensions: --{next(iter(given))} is for the example.",
            "Remove it, or remove --run, --layer, --image and --filter.",
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
    if as_json:
        files = [str(path) for path in written]
        print(to_json({**demo.to_json(), "files": files}))
        return
    console = make_console(stderr=False)
    again = shlex.join(["neocog", *sys.argv[1:], "--html", "convolution.html"])
    shown.show_convolution(console, demo, "" if html else again)
    shown.show_files(console, written)


@demos.command()
def pooling(
    size: Annotated[int, typer.Option(help="Size of the input.")] = 8,
    window: Annotated[int, typer.Option(help="Size of the window.")] = 4,
    stride: Annotated[
        int | None, typer.Option(help="Stride, in cells.", show_default="the window")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Max and average pooling: 224 x 224 x 64 to 112 x 112 x 64, and 8 x 8 to 2 x 2."""
    from neocog.demos import pooling as explained
    from neocog.demos import terminal as shown
    from neocog.terminal import make_console

    published = explained.published_example()
    example = explained.pooling_example(size, window, stride, seed)
    if as_json:
        print(to_json({"published": published.to_json(), "example": example.to_json()}))
    else:
        shown.show_pooling(make_console(stderr=False), published, example)


@demos.command(context_settings={"ignore_unknown_options": True})
def softmax(
    logits: Annotated[
        list[float] | None, typer.Argument(help="Outputs of a network.", show_default="2.0 1.0 0.1")
    ] = None,
    label: Annotated[int, typer.Option(help="The true class, counted from 0.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Softmax, log-softmax, cross-entropy and NLL loss on the same logits, and wrong pairings."""
    from neocog.demos import softmax as explained
    from neocog.demos import terminal as shown
    from neocog.terminal import make_console

    comparison = explained.compare_losses(logits or (2.0, 1.0, 0.1), label)
    if as_json:
        print(to_json(comparison.to_json()))
    else:
        shown.show_softmax(make_console(stderr=False), comparison)


@demos.command()
def padding(
    size: Annotated[int, typer.Option(help="Size of the input.")] = 5,
    kernel: Annotated[int, typer.Option(help="Size of the kernel.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Valid, same and full padding: output sizes, and how many windows cover each cell."""
    from neocog.demos import padding as explained
    from neocog.demos import terminal as shown
    from neocog.terminal import make_console

    comparison = explained.compare_paddings(size, kernel)
    if as_json:
        print(to_json(comparison.to_json()))
    else:
        shown.show_padding(make_console(stderr=False), comparison)


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
            help="A convolution of the network; without --model also one of your own: conv5-6p0."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="The input, for example 1x28x28.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Parameters with full connections, local connections and shared weights.

    For a network's convolutions (--model lenet5 --layer c1) or for one of your own
    (--input 1x28x28 --layer conv5-6p0).
    """
    from dataclasses import asdict

    from neocog.demos import terminal as shown
    from neocog.demos.sharing import count_parameters
    from neocog.terminal import make_console

    name, rows = count_parameters(model, layer, size)
    if as_json:
        print(to_json({"model": name, "layers": [asdict(row) for row in rows]}))
    else:
        shown.show_sharing(make_console(stderr=False), name, rows)


@demos.command(context_settings={"ignore_unknown_options": True})
def normalization(
    numbers: Annotated[list[float], typer.Argument(help="Pixel values, or any numbers.")],
    as_json: JsonOption = False,
) -> None:
    """Standardise numbers to mean 0 and standard deviation 1: 16 48 27 238 12."""
    from neocog.demos import terminal as shown
    from neocog.demos.normalization import standardize
    from neocog.terminal import make_console

    result = standardize(numbers)
    if as_json:
        print(to_json(result.to_json()))
    else:
        shown.show_normalization(make_console(stderr=False), result)
