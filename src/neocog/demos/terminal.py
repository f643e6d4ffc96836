"""The demos as people read them in the terminal."""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from neocog.terminal import escape
from neocog.wording import counted

if TYPE_CHECKING:  # they import torch
    from neocog.demos.sharing import Sharing

MOST_CELLS = 16  # a side, of a grid that a terminal shows
WINDOW, BORDER = "bold reverse", "dim"
SHAPES = ("input", "output", "kernel")
KINDS = ("window", "weights", "products")
ROOMY = 100  # columns for a table with sentences in it

Style = Callable[[int, int], str]


def show_convolution(console: Console, found: dict[str, Any], page: str) -> None:
    """Inputs, filters and output, one sum in full, and the command, `page`, that gives the page."""
    _, height, width = found["input_shape"]
    _, rows, columns = found["output_shape"]
    _show_shapes(console, found)
    for line in found["formula"]:
        console.print(line, highlight=False, markup=False)
    for note in [*found["notes"], *_unseen(found)]:
        console.print(f"[bold]Note:[/bold] {escape(note)}", highlight=False)
    place = found["sum"]["filter"], found["sum"]["row"], found["sum"]["column"]
    if max(height, width, rows, columns) <= MOST_CELLS and "layer" not in found:
        _show_planes(console, found, place)
    _show_sum(console, found)
    if page:
        console.print()
        console.print(escape(f"Step through it: {page}"), highlight=False, soft_wrap=True)


def _show_shapes(console: Console, found: dict[str, Any]) -> None:
    """The true shapes, and where only some of a layer is shown, which."""
    part = found["input_shape"], found["output_shape"]
    title, whole, depth = "Convolution", part, part[0][0]
    if "layer" in found:
        title = f"{found['layer']} of {found['run']} on {found['image']}"
        whole = found["layer_input"], found["layer_output"]
        depth = whole[0][0] // found["groups"]
    given, made = map(_deep_last, whole)
    kernel = _deep_last([depth, *found["kernel"]])
    console.print(
        f"[bold]{escape(title)}[/bold]: {given} under {counted(whole[1][0], 'filter')} of {kernel} "
        f"give {made}",
        highlight=False,
    )
    if list(map(list, whole)) != list(map(list, part)):
        given, made = map(_deep_last, part)
        console.print(
            f"Shown: {given} of the input, {counted(part[1][0], 'filter')}, {made} of the output",
            highlight=False,
        )


def show_files(console: Console, written: Sequence[Path]) -> None:
    """What was written, and how large it is."""
    for path in written:
        size = path.stat().st_size / 1000
        console.print(escape(f"Wrote {path} ({size:,.0f} kB)"), highlight=False)


def _unseen(found: dict[str, Any]) -> list[str]:
    """A note where the stride leaves a rest."""
    left = found["unseen"]
    if not any(left):
        return []
    places = zip(left, ("row", "column"), strict=True)
    rest = [noun if n == 1 else counted(n, noun) for n, noun in places if n]
    are = "is" if sum(left) == 1 else "are"
    return [
        f"the stride leaves a rest: the last {' and the last '.join(rest)} of the padded input "
        f"{are} never seen."
    ]


def _show_planes(console: Console, found: dict[str, Any], place: tuple[int, int, int]) -> None:
    top, _, left, _ = found["padding"]
    down, across = found["stride"]
    height, width = found["input_shape"][1:]
    _, row, column = place
    under = {
        (row * down + i * found["dilation"][0], column * across + j * found["dilation"][1])
        for i in range(found["kernel"][0])
        for j in range(found["kernel"][1])
    }

    def of_input(i: int, j: int) -> str:
        if (i, j) in under:
            return WINDOW
        inside = top <= i < top + height and left <= j < left + width
        return "" if inside else BORDER

    inputs = [
        (f"input, channel {c}", _grid(_padded(plane, found["padding"]), of_input))
        for c, plane in enumerate(found["input"])
    ]
    _show_beside(console, inputs)
    for f, planes in enumerate(found["weights"]):
        title = f"filter {f}, bias {number(found['bias'][f])}: channel "
        parts = [
            (title + str(c) if c == 0 else f"channel {c}", _grid(plane))
            for c, plane in enumerate(planes)
        ]
        _show_beside(console, parts)
    outputs = [
        (
            f"output, filter {f}",
            _grid(plane, lambda i, j, f=f: WINDOW if (f, i, j) == place else ""),  # type: ignore[misc]
        )
        for f, plane in enumerate(found["output"])
    ]
    _show_beside(console, outputs)


def _show_beside(console: Console, planes: Sequence[tuple[str, Text]]) -> None:
    """Titled grids beside and below each other; none where one would be cut."""
    console.print()
    widest = max(_width(grid) for _, grid in planes)
    if widest > console.width:
        _show_too_narrow(console, planes[0][0], widest)
    else:
        tables = [_titled(title, grid) for title, grid in planes]
        console.print(Columns(tables, padding=(0, 4)))


def _show_too_narrow(console: Console, what: str, needed: int) -> None:
    text = f"{what}: its numbers need a terminal of {needed} columns."
    console.print(text, highlight=False, markup=False)


def _width(content: Text | Table) -> int:
    """The columns that it needs for nothing to be broken or cut."""
    wide = Console(width=10_000, file=io.StringIO())
    return wide.measure(content).maximum


def _show_sum(console: Console, found: dict[str, Any]) -> None:
    """Each channel's window, weights, products and sum, and what they come to."""
    made = found["sum"]
    names = found.get("channels") or range(len(found["input"]))
    filters = found.get("filters") or range(len(found["weights"]))
    corner = found.get("corner") or (0, 0)
    place = filters[made["filter"]], made["row"] + corner[0], made["column"] + corner[1]
    console.print(
        f"\n[bold]How the output of filter {place[0]}, row {place[1]}, column {place[2]} comes "
        "about[/bold] (counted from 0): window x weights = products",
        highlight=False,
    )
    _show_parts(console, made["parts"], [f"channel {names[p['channel']]}" for p in made["parts"]])
    terms = [number(part["sum"]) for part in made["parts"]]
    hidden = found["hidden"][made["filter"]] if "hidden" in found else 0
    if hidden:
        terms.append(f"{number(made['rest'])} ({counted(hidden, 'more channel')})")
    terms.append(f"{number(made['bias'])} (bias)")
    console.print(
        f"{' + '.join(terms)} = [bold]{number(made['total'])}[/bold]".replace("+ -", "- "),
        highlight=False,
    )


def _show_parts(console: Console, parts: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Each channel's grids: beside each other where there is room, else below each other."""
    layouts = [
        _beside(parts, names),
        _beside(parts, names, close=True),
        _below(parts, names),
        _below(parts, names, decimals=1),
    ]
    fitting = [table for table in layouts if _width(table) <= console.width]
    if fitting:
        console.print(fitting[0])
    else:
        _show_too_narrow(console, "window x weights = products", _width(layouts[-1]))


def _beside(parts: Sequence[dict[str, Any]], names: Sequence[str], *, close: bool = False) -> Table:
    """window x weights = products in a line; `close` has name above and sum below."""
    table = Table.grid(padding=(0, 1 if close else 2))
    for part, name in zip(parts, names, strict=True):
        middle = "\n" * ((len(part["window"]) - 1) // 2)
        window, weights, products = (_grid(part[kind]) for kind in KINDS)
        cells: list[RenderableType] = [window, f"{middle}x", weights, f"{middle}=", products]
        total = f"sum {number(part['sum'])}"
        if close:
            table.add_row(Text(name))
            table.add_row(*cells)
            table.add_row("", "", "", "", Text(total, justify="right"))
        else:
            table.add_row(name, *cells, middle + total)
        table.add_row()
    return table


def _below(parts: Sequence[dict[str, Any]], names: Sequence[str], decimals: int = 2) -> Table:
    """Window, weights and products below each other, with the sum below these."""
    table = Table.grid(padding=(0, 1))
    for part, name in zip(parts, names, strict=True):
        table.add_row("", Text(name))
        for sign, kind in zip(" x=", KINDS, strict=True):
            table.add_row(sign, _grid(part[kind], decimals=decimals))
        table.add_row("", f"sum {number(part['sum'])}")
        table.add_row()
    return table


def number(value: float, decimals: int = 2) -> str:
    """Whole numbers as they are, others with two decimals."""
    text = str(int(value)) if value == int(value) else f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def _padded(plane: Sequence[Sequence[float]], padding: Sequence[int]) -> list[list[float]]:
    top, bottom, left, right = padding
    wide = left + len(plane[0]) + right
    lines = [[0.0] * left + list(line) + [0.0] * right for line in plane]
    return [[0.0] * wide] * top + lines + [[0.0] * wide] * bottom


def _grid(values: Sequence[Sequence[float]], style: Style | None = None, decimals: int = 2) -> Text:
    """Numbers in columns, in lines that do not break; `style` gives a cell's by its place."""
    texts = [[number(value, decimals) for value in line] for line in values]
    width = max(len(text) for line in texts for text in line)
    made = Text(no_wrap=True, overflow="ignore")
    for i, line in enumerate(texts):
        made.append("\n" if i else "")
        for j, text in enumerate(line):
            made.append(" " if j else "")
            made.append(text.rjust(width), style(i, j) if style else "")
    return made


def _titled(title: str, content: RenderableType) -> Table:
    table = Table.grid()
    table.add_row(Text(title, "bold"))
    table.add_row(content)
    return table


def show_pooling(console: Console, published: dict[str, Any], found: dict[str, Any]) -> None:
    """The tutorials' two examples: the sizes of a large one, the numbers of a small one."""
    channels, height, width = published["input"]
    maps, rows, columns = published["output"]
    console.print(
        f"[bold]{height} x {width} x {channels} -> {rows} x {columns} x {maps}[/bold]: windows of "
        f"{published['window']} x {published['window']}, stride {published['stride']}",
        highlight=False,
    )
    console.print(
        f"{published['formula']}. Each of the {channels} channels is pooled by itself; "
        f"{published['kept']:.0%} of the numbers are left, and there is nothing to learn: "
        f"{published['parameters']} parameters.",
        highlight=False,
    )
    window, stride = found["window"], found["stride"]
    marked = "; the first is marked, the maxima are bold" if console.color_system else ""
    size, made = len(found["input"]), len(found["max"]["output"])
    console.print(
        f"\n[bold]{size} x {size} -> {made} x {made}[/bold]: windows of {window} x {window}, "
        f"stride {stride}{marked}",
        highlight=False,
    )
    console.print(found["formula"], highlight=False)
    gradient = found["max"]["gradient"]

    def style(i: int, j: int) -> str:
        first = "reverse" if i < window and j < window else ""
        return f"{first} {'bold' if gradient[i][j] else 'dim' if not first else ''}".strip()

    grids = [
        ("input", _grid(found["input"], style)),
        ("maximum", _grid(found["max"]["output"])),
        ("mean", _grid(found["mean"]["output"])),
    ]
    _show_beside(console, grids)
    console.print(
        "\nGradients: a maximum hands its whole gradient to the one number that was largest, and 0 "
        f"to the others; a mean hands 1/{window * window} of it to each.",
        highlight=False,
    )


def show_softmax(console: Console, found: dict[str, Any]) -> None:
    """Softmax and log-softmax of each logit, then every pairing with its loss."""
    table = Table()
    table.add_column("class", justify="right")
    for name in ("logit", "softmax", "log-softmax"):
        table.add_column(name, justify="right", overflow="fold")
    rows = zip(found["logits"], found["softmax"], found["log_softmax"], strict=True)
    for k, (logit, share, log) in enumerate(rows):
        label = f"{k} (label)" if k == found["label"] else str(k)
        style = "bold" if k == found["label"] else ""
        table.add_row(label, f"{logit:g}", f"{share:.4f}", f"{log:.4f}", style=style)
    console.print(table)
    console.print(
        f"softmax: exp(logit) divided by the sum of all; cross-entropy: -log-softmax of the label "
        f"= {found['cross_entropy']:.4f}",
        highlight=False,
    )
    console.print(_pairings(found["pairings"], together=console.width < ROOMY))
    console.print(
        "The network gives logits, and cross_entropy does the rest; softmax is for people, after "
        "training.",
        highlight=False,
    )


def _pairings(pairings: Sequence[dict[str, Any]], *, together: bool) -> Table:
    """Each pairing, its loss and its consequence, which stands below the name if `together`."""
    table = Table(title="What a loss is given, and what comes of it", show_lines=True)
    table.add_column("pairing", overflow="fold")
    table.add_column("loss", justify="right", no_wrap=True)
    if not together:
        table.add_column("consequence")
    for pairing in pairings:
        name = Text(pairing["name"], "bold" if pairing["right"] else "")
        loss, consequence = f"{pairing['loss']:.4f}", pairing["consequence"]
        if together:
            table.add_row(name.append(f"\n{consequence}", "not bold"), loss)
        else:
            table.add_row(name, loss, consequence)
    return table


def show_padding(console: Console, found: dict[str, Any]) -> None:
    """What each padding makes of the size, and how often each cell is seen."""
    size, kernel = found["size"], found["kernel"]
    table = Table(
        title=f"An input of {size} x {size} under a kernel of {kernel} x {kernel}, stride 1"
    )
    heads = ("padding", "zeros before, after", "output", "corner seen", "middle seen")
    for name in heads:
        table.add_column(name, justify="left" if name == "padding" else "right", overflow="fold")
    for kind in found["kinds"]:
        output = kind["output"]
        before, after = kind["padding"]
        table.add_row(
            kind["name"],
            f"{before}, {after}",
            f"{output} x {output}",
            _times(kind["corner"]),
            _times(kind["middle"]),
        )
    console.print(table)
    if size <= MOST_CELLS:
        console.print("In how many windows each cell of the input lies:", highlight=False)
        _show_beside(console, [(kind["name"], _grid(kind["seen"])) for kind in found["kinds"]])
    sides = found["shrinking"]
    if kernel > 1:
        layers = counted(len(sides) - 1, "layer")
        console.print(
            f"\nWithout padding every layer makes a side F - 1 = {kernel - 1} shorter: "
            f"{' -> '.join(map(str, sides))}, and after {layers} no window fits any more. "
            f"'same' adds F - 1 = {kernel - 1} zeros to a side in all and keeps the size.",
            highlight=False,
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def show_sharing(console: Console, name: str, rows: Sequence["Sharing"]) -> None:
    """The parameters of each convolution by how its outputs might be connected."""
    title = f"Parameters of the convolutions of {escape(name)}, biases included"
    layouts = [_counts(title, rows, shapes) for shapes in (SHAPES, SHAPES[:2], ())]
    fitting = [table for table in layouts if _width(table) <= console.width]
    console.print((fitting or layouts[-1:])[0])
    first = rows[0]
    outputs, inputs = math.prod(first.output), math.prod(first.input)
    window = first.input[0] // first.groups * math.prod(first.kernel)
    one = 1 if first.bias else 0
    bias = " + 1 bias" if first.bias else ""
    console.print(f"{first.layer}, written out:", highlight=False, markup=False)
    for kind, weights, count, total in (
        ("full, every output sees every input", inputs, outputs, first.full),
        ("local, every output sees its window, with its own weights", window, outputs, first.local),
        ("shared, all places of a map have one window", window, first.output[0], first.shared),
    ):
        assert (weights + one) * count == total
        console.print(f"  {kind}: ({weights:,}{bias}) x {count:,} = {total:,}", highlight=False)
    console.print(
        f"Sharing makes it {first.local / first.shared:,.0f} times fewer than windows of their "
        f"own, and {first.full / first.shared:,.0f} times fewer than full connection.",
        highlight=False,
    )


def _counts(title: str, rows: Sequence["Sharing"], shapes: Sequence[str]) -> Table:
    """A line for each layer: some of its shapes, and its three numbers."""
    table = Table(title=title)
    numbers = ("full", "local", "shared")
    for head in ("layer", *shapes):
        table.add_column(head, overflow="fold")
    for head in numbers:
        table.add_column(head, justify="right", overflow="fold")
    for row in rows:
        sides = [_sides(getattr(row, shape)) for shape in shapes]
        table.add_row(row.layer, *sides, *(f"{getattr(row, head):,}" for head in numbers))
    return table


def _deep_last(shape: Sequence[int]) -> str:
    """C x H x W as people say it: the channels last."""
    return _sides([*shape[1:], shape[0]])


def _sides(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))


def show_normalization(console: Console, found: dict[str, Any]) -> None:
    """The numbers, and how they came about."""
    console.print(" ".join(f"{x:.4f}" for x in found["normalized"]), highlight=False)
    console.print(
        f"Each less the mean {found['mean']:.4g}, divided by the standard deviation "
        f"{found['std']:.4g} (of a sample: n - 1).",
        highlight=False,
    )
