"""`neocog demo`: one concept per command, on examples, your numbers or a trained network."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neocog.cli.arguments import typed_command
from neocog.cli.options import JsonOption, RunsOption
from neocog.errors import UsageError
from neocog.escaping import to_json

if TYPE_CHECKING:
    from neocog.demos.convolution_page import Demo

demos = typer.Typer(help="Try a concept on your own numbers or images.")

SeedOption = Annotated[int, typer.Option(help="Random seed of the example.")]


@demos.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _dimension(help_: str, default: int) -> Any:
    return typer.Option(help=help_, show_default=str(default))


SizeOption = Annotated[int | None, _dimension("Size of the input.", 5)]
ChannelsOption = Annotated[int | None, _dimension("Channels of the input.", 3)]
FiltersOption = Annotated[int | None, _dimension("Number of filters.", 2)]
KernelOption = Annotated[int | None, _dimension("Size of the kernel.", 3)]
StrideOption = Annotated[int | None, _dimension("Stride, in cells.", 2)]
PaddingOption = Annotated[int | None, _dimension("Zero padding on each side.", 1)]
DilationOption = Annotated[int | None, _dimension("Dilation, in cells.", 1)]
RunOption = Annotated[
    str | None, typer.Option(help="Use the filters of a trained network: a run or latest.")
]
LayerOption = Annotated[
    str | None, typer.Option(help="Name of a convolution layer.", show_default="the first")
]
ImageOption = Annotated[Path | None, typer.Option(help="The input image.")]
FilterOption = Annotated[
    list[int] | None,
    typer.Option(
        "--filter",
        help="Index of a filter, from 0; can be repeated.",
        show_default="all of up to 6, else those with the highest activations",
    ),
]
HtmlOption = Annotated[Path | None, typer.Option(help="Write an interactive page.")]
GifOption = Annotated[Path | None, typer.Option(help="Write an animation for slides.")]
PngOption = Annotated[Path | None, typer.Option(help="Write an image of one step for slides.")]
PageLangOption = Annotated[
    str | None,
    typer.Option(help="Language of the page and images: en or zh.", show_default="the system's"),
]


@demos.command()
def convolution(
    size: SizeOption = None,
    channels: ChannelsOption = None,
    filters: FiltersOption = None,
    kernel: KernelOption = None,
    stride: StrideOption = None,
    padding: PaddingOption = None,
    dilation: DilationOption = None,
    seed: SeedOption = 0,
    run: RunOption = None,
    layer: LayerOption = None,
    image: ImageOption = None,
    filter_: FilterOption = None,
    html: HtmlOption = None,
    gif: GifOption = None,
    png: PngOption = None,
    lang: PageLangOption = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convolution, number by number: an example, or a trained layer applied to your own image.

    `neocog demo convolution --html out.html` writes an interactive page; with
    `--run latest --image x.png` the filters of the latest run are applied to x.png.
    """
    from neocog.rendering.i18n import language

    spoken = language(lang)
    given = {
        "size": size, "channels": channels, "filters": filters, "kernel": kernel, "stride": stride,
        "padding": padding, "dilation": dilation,
    }  # fmt: skip
    dimensions = {name: value for name, value in given.items() if value is not None}
    trained = run is not None or layer is not None or image is not None or bool(filter_)
    if trained:
        checked = _check_trained(dimensions, run or "latest", image)
    from neocog.demos import convolution_page
    from neocog.demos.convolution import Dimensions

    if trained:
        demo = convolution_page.from_run(
            run or "latest", checked, layer, filter_ or (), runs_dir=runs, lang=spoken
        )
    else:
        demo = convolution_page.from_dimensions(Dimensions(**dimensions), seed, spoken)
    written = convolution_page.write(demo, html, gif, png)
    _show_convolution(demo, written, html, as_json)


def _check_trained(dimensions: dict[str, int], run: str, image: Path | None) -> Path:
    """The image for a trained layer, which takes no dimensions."""
    if dimensions:
        raise UsageError(
            f"A trained layer has its own dimensions: --{next(iter(dimensions))} is for the "
            "example.",
            "Remove it, or remove --run, --layer, --image and --filter.",
        )
    if image is None:
        raise UsageError(
            "A trained layer needs an image.",
            f"For example: neocog demo convolution --run {run} --image photo.jpg",
        )
    return image


def _show_convolution(
    demo: "Demo", written: Sequence[Path], html: Path | None, as_json: bool
) -> None:
    from neocog.demos import terminal as shown
    from neocog.terminal import make_console

    if as_json:
        print(to_json({**demo.to_json(), "files": [str(path) for path in written]}))
        return
    console = make_console(stderr=False)
    again = "" if html else f"{typed_command()} --html convolution.html"
    shown.show_convolution(console, demo, again)
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
        list[float] | None, typer.Argument(help="Logits of one image.", show_default="2.0 1.0 0.1")
    ] = None,
    label: Annotated[int, typer.Option(help="Index of the true class, from 0.")] = 0,
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
            help="Name of a network or a layer pattern: see neocog models.", show_default="lenet5"
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Name of a convolution layer; with --input, a layer pattern: conv5-6p0."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Input size, for example 1x28x28."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the parameters of full connections, local connections and shared weights.

    For the convolutions of a network (--model lenet5 --layer c1) or for one that you define
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
