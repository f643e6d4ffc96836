"""The demos as text in a terminal."""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from neocog.escaping import rich_escape
from neocog.wording import counted

if TYPE_CHECKING:  # these import torch
    from neocog.demos.convolution import Convolution, Part, Sum
    from neocog.demos.convolution_page import Demo
    from neocog.demos.normalization import Standardized
    from neocog.demos.padding import PaddingComparison
    from neocog.demos.pooling import PoolingExample, PoolingShapes
    from neocog.demos.sharing import ParameterCounts
    from neocog.demos.softmax import Pairing, SoftmaxComparison

MAX_CELLS = 16  # side of the largest grid that is shown
WINDOW, BORDER = "bold reverse", "dim"  # styles
SHAPES = ("input", "output", "kernel")
KINDS = ("window", "weights", "products")
WIDE = 100  # columns that a table with sentences needs

Style = Callable[[int, int], str]


def show_convolution(console: Console, demo: "Demo", page_command: str) -> None:
    """Inputs, filters, output, one sum in full, and the command that writes the page, if any."""
    from neocog.demos.convolution import one_sum

    c = demo.convolution
    _show_shapes(console, demo)
    for line in demo.formulas:
        console.print(line, highlight=False, markup=False)
    for note in [*replace(demo, lang="en").notes, *_uncovered(demo)]:
        console.print(f"[bold]Note:[/bold] {rich_escape(note)}", highlight=False)
    if max(*c.inputs.shape[1:], *c.output_shape[1:]) <= MAX_CELLS and c.excerpt is None:
        _show_planes(console, c, demo.start)
    _show_sum(console, c, one_sum(c, *demo.start))
    if page_command:
        console.print()
        console.print(
            rich_escape(f"Step through it: {page_command}"), highlight=False, soft_wrap=True
        )


def _show_shapes(console: Console, demo: "Demo") -> None:
    """Print the shapes, and for an excerpt of a layer which part is shown."""
    c, excerpt = demo.convolution, demo.convolution.excerpt
    shown = tuple(c.inputs.shape), c.output_shape
    title, whole, kernel = "Convolution", shown, tuple(c.weights.shape[1:])
    if excerpt:
        title = f"{excerpt.layer} of {demo.run} on {demo.image}"
        whole, kernel = (excerpt.input, excerpt.output), excerpt.kernel
    inputs, outputs = map(_channels_last, whole)
    console.print(
        f"[bold]{rich_escape(title)}[/bold]: {inputs} under {counted(whole[1][0], 'filter')} of "
        f"{_channels_last(kernel)} give {outputs}",
        highlight=False,
    )
    if whole != shown:
        inputs, outputs = map(_channels_last, shown)
        console.print(
            f"Shown: {inputs} of the input, {counted(shown[1][0], 'filter')}, "
            f"{outputs} of the output",
            highlight=False,
        )


def show_files(console: Console, written: Sequence[Path]) -> None:
    """The written files with their sizes."""
    for path in written:
        size = path.stat().st_size / 1000
        console.print(rich_escape(f"Wrote {path} ({size:,.0f} kB)"), highlight=False)


def _uncovered(demo: "Demo") -> list[str]:
    """A note if the stride leaves rows or columns that no window covers."""
    from neocog.demos.convolution import unseen

    rows, columns = (unseen(*side) for side in demo.sides)
    if not rows and not columns:
        return []
    sides = zip((rows, columns), ("row", "column"), strict=True)
    rest = [noun if n == 1 else counted(n, noun) for n, noun in sides if n]
    return [
        "the stride does not divide evenly: no window covers the last "
        f"{' and the last '.join(rest)} of the padded input."
    ]


def _show_planes(console: Console, c: "Convolution", position: tuple[int, int, int]) -> None:
    """Every number of inputs, filters and outputs, with the window marked."""
    from neocog.demos.convolution import output

    top, _, left, _ = c.padding
    height, width = c.inputs.shape[1:]
    _, row, column = position
    window = {
        (row * c.stride[0] + i * c.dilation[0], column * c.stride[1] + j * c.dilation[1])
        for i in range(c.weights.shape[2])
        for j in range(c.weights.shape[3])
    }

    def input_style(i: int, j: int) -> str:
        if (i, j) in window:
            return WINDOW
        inside = top <= i < top + height and left <= j < left + width
        return "" if inside else BORDER

    inputs = [
        (f"input, channel {k}", _grid(plane, input_style))
        for k, plane in enumerate(c.padded.tolist())
    ]
    _show_beside(console, inputs)
    for f, planes in enumerate(c.weights.tolist()):
        title = f"filter {f}, bias {number(float(c.bias[f]))}: channel "
        parts = [
            (title + str(k) if k == 0 else f"channel {k}", _grid(plane))
            for k, plane in enumerate(planes)
        ]
        _show_beside(console, parts)
    outputs = [
        (
            f"output, filter {f}",
            _grid(plane, lambda i, j, f=f: WINDOW if (f, i, j) == position else ""),  # type: ignore[misc]
        )
        for f, plane in enumerate(output(c).tolist())
    ]
    _show_beside(console, outputs)


def _show_beside(console: Console, planes: Sequence[tuple[str, Text]]) -> None:
    """Titled grids beside and below each other; none if one of them would be cut off."""
    console.print()
    widest = max(_width(grid) for _, grid in planes)
    if widest > console.width:
        _show_too_narrow(console, planes[0][0], widest)
    else:
        tables = [_titled(title, grid) for title, grid in planes]
        console.print(Columns(tables, padding=(0, 4)))


def _show_too_narrow(console: Console, title: str, needed: int) -> None:
    text = f"{title}: its numbers need a terminal of {needed} columns."
    console.print(text, highlight=False, markup=False)


def _width(content: Text | Table) -> int:
    """The number of columns that it needs without wrapping."""
    console = Console(width=10_000, file=io.StringIO())
    return console.measure(content).maximum


def _show_sum(console: Console, c: "Convolution", total: "Sum") -> None:
    """Window, weights, products and sum of each channel, and the total."""
    excerpt = c.excerpt
    channels = excerpt.channels if excerpt else tuple(range(len(c.inputs)))
    filters = excerpt.filters if excerpt else tuple(range(len(c.weights)))
    corner = excerpt.corner if excerpt else (0, 0)
    position = filters[total.filter], total.row + corner[0], total.column + corner[1]
    console.print(
        f"\n[bold]Output of filter {position[0]}, row {position[1]}, column {position[2]}[/bold] "
        "(counted from 0): window x weights = products",
        highlight=False,
    )
    _show_parts(console, total.parts, [f"channel {channels[p.channel]}" for p in total.parts])
    terms = [number(part.sum) for part in total.parts]
    hidden = excerpt.hidden[total.filter] if excerpt else 0
    if hidden:
        terms.append(f"{number(total.rest)} ({counted(hidden, 'more channel')})")
    terms.append(f"{number(total.bias)} (bias)")
    console.print(
        f"{' + '.join(terms)} = [bold]{number(total.total)}[/bold]".replace("+ -", "- "),
        highlight=False,
    )


def _show_parts(console: Console, parts: Sequence["Part"], names: Sequence[str]) -> None:
    """The grids of each channel: side by side if they fit, else below each other."""
    layouts = [
        _beside(parts, names),
        _beside(parts, names, compact=True),
        _below(parts, names),
        _below(parts, names, decimals=1),
    ]
    fitting = [table for table in layouts if _width(table) <= console.width]
    if fitting:
        console.print(fitting[0])
    else:
        _show_too_narrow(console, "window x weights = products", _width(layouts[-1]))


def _beside(parts: Sequence["Part"], names: Sequence[str], *, compact: bool = False) -> Table:
    """window x weights = products in a line; if `compact`, the name is above and the sum below."""
    table = Table.grid(padding=(0, 1 if compact else 2))
    for part, name in zip(parts, names, strict=True):
        middle = "\n" * ((len(part.window) - 1) // 2)
        window, weights, products = (_grid(getattr(part, kind)) for kind in KINDS)
        cells: list[RenderableType] = [window, f"{middle}x", weights, f"{middle}=", products]
        total = f"sum {number(part.sum)}"
        if compact:
            table.add_row(Text(name))
            table.add_row(*cells)
            table.add_row("", "", "", "", Text(total, justify="right"))
        else:
            table.add_row(name, *cells, middle + total)
        table.add_row()
    return table


def _below(parts: Sequence["Part"], names: Sequence[str], decimals: int = 2) -> Table:
    """Window, weights, products and sum below each other."""
    table = Table.grid(padding=(0, 1))
    for part, name in zip(parts, names, strict=True):
        table.add_row("", Text(name))
        for sign, kind in zip(" x=", KINDS, strict=True):
            table.add_row(sign, _grid(getattr(part, kind), decimals=decimals))
        table.add_row("", f"sum {number(part.sum)}")
        table.add_row()
    return table


def number(value: float, decimals: int = 2) -> str:
    """An integer as it is, other numbers rounded to `decimals`."""
    text = str(int(value)) if value == int(value) else f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def _grid(values: Sequence[Sequence[float]], style: Style | None = None, decimals: int = 2) -> Text:
    """Numbers in aligned columns that do not wrap; `style` maps (row, column) to a cell's style."""
    texts = [[number(value, decimals) for value in line] for line in values]
    width = max(len(text) for line in texts for text in line)
    grid = Text(no_wrap=True, overflow="ignore")
    for i, line in enumerate(texts):
        grid.append("\n" if i else "")
        for j, text in enumerate(line):
            grid.append(" " if j else "")
            grid.append(text.rjust(width), style(i, j) if style else "")
    return grid


def _titled(title: str, content: RenderableType) -> Table:
    table = Table.grid()
    table.add_row(Text(title, "bold"))
    table.add_row(content)
    return table


def show_pooling(console: Console, published: "PoolingShapes", example: "PoolingExample") -> None:
    """The two examples of the tutorials: the sizes of a large one, the numbers of a small one."""
    channels, height, width = published.input
    maps, rows, columns = published.output
    console.print(
        f"[bold]{height} x {width} x {channels} -> {rows} x {columns} x {maps}[/bold]: windows of "
        f"{published.window} x {published.window}, stride {published.stride}",
        highlight=False,
    )
    console.print(
        f"{published.formula}. Each of the {channels} channels is pooled separately; "
        f"{published.kept:.0%} of the numbers remain. Pooling has {published.parameters} "
        "parameters.",
        highlight=False,
    )
    window, stride = example.window, example.stride
    marked = "; the first window is marked, the maxima are bold" if console.color_system else ""
    size, output = len(example.input), len(example.max.output)
    console.print(
        f"\n[bold]{size} x {size} -> {output} x {output}[/bold]: windows of {window} x {window}, "
        f"stride {stride}{marked}",
        highlight=False,
    )
    console.print(example.formula, highlight=False)

    def style(i: int, j: int) -> str:
        first = "reverse" if i < window and j < window else ""
        is_maximum = example.max.gradient[i][j]
        return f"{first} {'bold' if is_maximum else 'dim' if not first else ''}".strip()

    grids = [
        ("input", _grid(example.input, style)),
        ("maximum", _grid(example.max.output)),
        ("mean", _grid(example.mean.output)),
    ]
    _show_beside(console, grids)
    console.print(
        "\nGradients: max pooling passes the gradient to the maximum and 0 to the other numbers; "
        f"average pooling passes 1/{window * window} of it to each number.",
        highlight=False,
    )


def show_softmax(console: Console, comparison: "SoftmaxComparison") -> None:
    """Softmax and log-softmax of each logit, then every pairing with its loss."""
    table = Table()
    table.add_column("class", justify="right")
    for name in ("logit", "softmax", "log-softmax"):
        table.add_column(name, justify="right", overflow="fold")
    rows = zip(comparison.logits, comparison.softmax, comparison.log_softmax, strict=True)
    for k, (logit, probability, log) in enumerate(rows):
        label = f"{k} (label)" if k == comparison.label else str(k)
        style = "bold" if k == comparison.label else ""
        table.add_row(label, f"{logit:g}", f"{probability:.4f}", f"{log:.4f}", style=style)
    console.print(table)
    console.print(
        "softmax: exp(logit) divided by the sum over all classes; cross-entropy: -log-softmax of "
        f"the label = {comparison.cross_entropy:.4f}",
        highlight=False,
    )
    console.print(_pairings(comparison.pairings, merged=console.width < WIDE))
    console.print(
        "Let the network return logits and train with cross_entropy; apply softmax afterwards to "
        "show probabilities.",
        highlight=False,
    )


def _pairings(pairings: Sequence["Pairing"], *, merged: bool) -> Table:
    """Each pairing with loss and consequence; if `merged`, the consequence is below the name."""
    table = Table(title="Inputs of a loss, and their consequences", show_lines=True)
    table.add_column("pairing", overflow="fold")
    table.add_column("loss", justify="right", no_wrap=True)
    if not merged:
        table.add_column("consequence")
    for pairing in pairings:
        name = Text(pairing.name, "bold" if pairing.right else "")
        loss = f"{pairing.loss:.4f}"
        if merged:
            table.add_row(name.append(f"\n{pairing.consequence}", "not bold"), loss)
        else:
            table.add_row(name, loss, pairing.consequence)
    return table


def show_padding(console: Console, comparison: "PaddingComparison") -> None:
    """The output size of each kind of padding, and how many windows cover each cell."""
    size, kernel = comparison.size, comparison.kernel
    table = Table(title=f"Input {size} x {size}, kernel {kernel} x {kernel}, stride 1")
    heads = ("padding", "zeros before, after", "output", "windows, corner", "windows, middle")
    for name in heads:
        table.add_column(name, justify="left" if name == "padding" else "right", overflow="fold")
    for kind in comparison.kinds:
        before, after = kind.padding
        output = f"{kind.output} x {kind.output}"
        table.add_row(kind.name, f"{before}, {after}", output, str(kind.corner), str(kind.middle))
    console.print(table)
    if size <= MAX_CELLS:
        console.print("Number of windows that cover each cell of the input:", highlight=False)
        _show_beside(console, [(kind.name, _grid(kind.seen)) for kind in comparison.kinds])
    sizes = comparison.shrinking
    if kernel > 1:
        layers = counted(len(sizes) - 1, "layer")
        console.print(
            f"\nWithout padding every layer makes a side F - 1 = {kernel - 1} shorter: "
            f"{' -> '.join(map(str, sizes))}; after {layers} the kernel "
            f"no longer fits. 'same' adds F - 1 = {kernel - 1} zeros to a side in all and keeps "
            "the size.",
            highlight=False,
        )


def show_sharing(console: Console, name: str, rows: Sequence["ParameterCounts"]) -> None:
    """The parameters of each convolution for three ways to connect its outputs."""
    title = f"Parameters of the convolutions of {rich_escape(name)}, biases included"
    layouts = [_counts(title, rows, shapes) for shapes in (SHAPES, SHAPES[:2], ())]
    fitting = [table for table in layouts if _width(table) <= console.width]
    console.print((fitting or layouts[-1:])[0])
    first = rows[0]
    outputs, inputs = math.prod(first.output), math.prod(first.input)
    window = first.input[0] // first.groups * math.prod(first.kernel)
    num_biases = 1 if first.bias else 0
    bias = " + 1 bias" if first.bias else ""
    console.print(f"{first.layer} in detail:", highlight=False, markup=False)
    for kind, weights, count, total in (
        ("full, all inputs for every output", inputs, outputs, first.full),
        ("local, one window of weights per output", window, outputs, first.local),
        ("shared, one window of weights per feature map", window, first.output[0], first.shared),
    ):
        assert (weights + num_biases) * count == total
        console.print(f"  {kind}: ({weights:,}{bias}) x {count:,} = {total:,}", highlight=False)
    console.print(
        f"Weight sharing needs {first.local / first.shared:,.0f} times fewer parameters than local "
        f"connections and {first.full / first.shared:,.0f} times fewer than full connections.",
        highlight=False,
    )


def _counts(title: str, rows: Sequence["ParameterCounts"], shapes: Sequence[str]) -> Table:
    """One row per layer: the `shapes`, fewer in a narrow terminal, and the three counts."""
    table = Table(title=title)
    counts = ("full", "local", "shared")
    for head in ("layer", *shapes):
        table.add_column(head, overflow="fold")
    for head in counts:
        table.add_column(head, justify="right", overflow="fold")
    for row in rows:
        texts = [_shape(getattr(row, shape)) for shape in shapes]
        table.add_row(row.layer, *texts, *(f"{getattr(row, head):,}" for head in counts))
    return table


def _channels_last(shape: Sequence[int]) -> str:
    """(C, H, W) as text with the channels last: "28 x 28 x 6"."""
    return _shape([*shape[1:], shape[0]])


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def show_normalization(console: Console, result: "Standardized") -> None:
    """The standardised numbers, mean and standard deviation."""
    console.print(" ".join(f"{x:.4f}" for x in result.normalized), highlight=False)
    console.print(
        f"Mean {result.mean:.4g}, standard deviation {result.std:.4g} (of a sample: n - 1).",
        highlight=False,
    )
