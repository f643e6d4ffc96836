"""The demos as people read them in the terminal."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # they import torch
    from neocog.models.sharing import Sharing

MOST_CELLS = 16  # a side, of a grid that a terminal shows
WINDOW, BORDER = "bold reverse", "dim"

Style = Callable[[int, int], str]


def show_convolution(console: Console, found: dict[str, Any], page: str) -> None:
    """Inputs, filters and output, one sum in full, and the command, `page`, that gives the page."""
    channels, height, width = found["input_shape"]
    filters, rows, columns = found["output_shape"]
    kernel = " x ".join(map(str, found["kernel"]))
    if "layer" in found:
        title = f"{found['layer']} of {found['run']} on {found['image']}"
    else:
        title = "Convolution"
    console.print(
        f"[bold]{escape(title)}[/bold]: {height} x {width} x {channels} under {filters} filters of "
        f"{kernel} give {rows} x {columns} x {filters}",
        highlight=False,
    )
    for line in found["formula"]:
        console.print(line, highlight=False, markup=False)
    for note in [*found["notes"], *_unseen(found)]:
        console.print(f"[bold]Note:[/bold] {escape(note)}", highlight=False)
    place = found["sum"]["filter"], found["sum"]["row"], found["sum"]["column"]
    if max(height, width, rows, columns) <= MOST_CELLS and "layer" not in found:
        _show_planes(console, found, place)
    _show_sum(console, found)
    if page:
        console.print(f"\nStep through it: {page}", highlight=False, markup=False, soft_wrap=True)


def show_files(console: Console, written: Sequence[Path]) -> None:
    """What was written, and how large it is."""
    for path in written:
        size = path.stat().st_size / 1000
        console.print(f"Wrote {path} ({size:,.0f} kB)", highlight=False, markup=False)


def _unseen(found: dict[str, Any]) -> list[str]:
    """A note where the stride leaves a rest."""
    left = found["unseen"]
    if not any(left):
        return []
    down, across = left
    return [
        f"the stride leaves a rest: the last {down} row(s) and {across} column(s) of the padded "
        "input are never seen."
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
        _titled(f"input, channel {c}", _grid(_padded(plane, found["padding"]), of_input))
        for c, plane in enumerate(found["input"])
    ]
    console.print()
    console.print(Columns(inputs, padding=(0, 4)))
    for f, planes in enumerate(found["weights"]):
        title = f"filter {f}, bias {number(found['bias'][f])}: channel "
        parts = [
            _titled(title + str(c) if c == 0 else f"channel {c}", _grid(plane))
            for c, plane in enumerate(planes)
        ]
        console.print()
        console.print(Columns(parts, padding=(0, 4)))
    outputs = [
        _titled(
            f"output, filter {f}",
            _grid(plane, lambda i, j, f=f: WINDOW if (f, i, j) == place else ""),  # type: ignore[misc]
        )
        for f, plane in enumerate(found["output"])
    ]
    console.print()
    console.print(Columns(outputs, padding=(0, 4)))


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
    table = Table.grid(padding=(0, 2))
    for part in made["parts"]:
        grids = [_grid(part[kind]) for kind in ("window", "weights", "products")]
        middle = "\n" * ((len(part["window"]) - 1) // 2)
        table.add_row(
            f"channel {names[part['channel']]}",
            grids[0],
            f"{middle}x",
            grids[1],
            f"{middle}=",
            grids[2],
            f"{middle}sum {number(part['sum'])}",
        )
        table.add_row()
    console.print(table)
    terms = [number(part["sum"]) for part in made["parts"]]
    hidden = found["hidden"][made["filter"]] if "hidden" in found else 0
    if hidden:
        terms.append(f"{number(made['rest'])} ({hidden} more channels)")
    terms.append(f"{number(made['bias'])} (bias)")
    console.print(
        f"{' + '.join(terms)} = [bold]{number(made['total'])}[/bold]".replace("+ -", "- "),
        highlight=False,
    )


def number(value: float) -> str:
    """Whole numbers as they are, others with two decimals."""
    text = str(int(value)) if value == int(value) else f"{value:.2f}"
    return text.lstrip("-") if float(text) == 0 else text


def _padded(plane: Sequence[Sequence[float]], padding: Sequence[int]) -> list[list[float]]:
    top, bottom, left, right = padding
    wide = left + len(plane[0]) + right
    lines = [[0.0] * left + list(line) + [0.0] * right for line in plane]
    return [[0.0] * wide] * top + lines + [[0.0] * wide] * bottom


def _grid(values: Sequence[Sequence[float]], style: Style | None = None) -> Text:
    """Numbers in columns; `style` gives a cell's by its row and column."""
    texts = [[number(value) for value in line] for line in values]
    width = max(len(text) for line in texts for text in line)
    made = Text()
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
    size, made = len(found["input"]), len(found["max"]["output"])
    console.print(
        f"\n[bold]{size} x {size} -> {made} x {made}[/bold]: windows of {window} x {window}, "
        f"stride {stride}; the first is marked, the maxima are bold",
        highlight=False,
    )
    console.print(found["formula"], highlight=False)
    gradient = found["max"]["gradient"]

    def style(i: int, j: int) -> str:
        first = "reverse" if i < window and j < window else ""
        return f"{first} {'bold' if gradient[i][j] else 'dim' if not first else ''}".strip()

    console.print()
    console.print(
        Columns(
            [
                _titled("input", _grid(found["input"], style)),
                _titled("maximum", _grid(found["max"]["output"])),
                _titled("mean", _grid(found["mean"]["output"])),
            ],
            padding=(0, 5),
        )
    )
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
        table.add_column(name, justify="right")
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
    pairings = Table(title="What a loss is given, and what comes of it", show_lines=True)
    pairings.add_column("pairing")
    pairings.add_column("loss", justify="right")
    pairings.add_column("consequence")
    for pairing in found["pairings"]:
        pairings.add_row(
            Text(pairing["name"], "bold" if pairing["right"] else ""),
            f"{pairing['loss']:.4f}",
            pairing["consequence"],
        )
    console.print(pairings)
    console.print(
        "The network gives logits, and cross_entropy does the rest; softmax is for people, after "
        "training.",
        highlight=False,
    )


def show_padding(console: Console, found: dict[str, Any]) -> None:
    """What each padding makes of the size, and how often each cell is seen."""
    size, kernel = found["size"], found["kernel"]
    table = Table(
        title=f"An input of {size} x {size} under a kernel of {kernel} x {kernel}, stride 1"
    )
    heads = ("padding", "zeros before, after", "output", "corner seen", "middle seen")
    for name in heads:
        table.add_column(name, justify="left" if name == "padding" else "right")
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
        console.print("In how many windows each cell of the input lies:\n", highlight=False)
        grids = [_titled(kind["name"], _grid(kind["seen"])) for kind in found["kinds"]]
        console.print(Columns(grids, padding=(0, 5)))
    sides = found["shrinking"]
    if kernel > 1:
        console.print(
            f"\nWithout padding every layer takes {kernel - 1} off each side: "
            f"{' -> '.join(map(str, sides))}, and after {len(sides) - 1} no window fits any more. "
            "'same' pads by (F - 1)/2 and keeps the size.",
            highlight=False,
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def show_sharing(console: Console, name: str, rows: Sequence["Sharing"]) -> None:
    """The parameters of each convolution by how its outputs might be connected."""
    table = Table(title=f"Parameters of the convolutions of {escape(name)}, biases included")
    heads = (
        "layer",
        "input",
        "output",
        "kernel",
        "every input",
        "its own window",
        "shared window",
    )
    for head in heads:
        table.add_column(head, justify="left" if head in heads[:4] else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.layer,
            _sides(row.input),
            _sides(row.output),
            _sides(row.kernel),
            f"{row.full:,}",
            f"{row.local:,}",
            f"{row.shared:,}",
        )
    console.print(table)
    first = rows[0]
    outputs, inputs = math.prod(first.output), math.prod(first.input)
    window = first.input[0] // first.groups * math.prod(first.kernel)
    one = 1 if first.bias else 0
    bias = " + 1 bias" if first.bias else ""
    console.print(f"{first.layer}, written out:", highlight=False, markup=False)
    for kind, weights, count, total in (
        ("every output sees every input", inputs, outputs, first.full),
        ("every output sees its window, with its own weights", window, outputs, first.local),
        ("all places of a map share one window", window, first.output[0], first.shared),
    ):
        assert (weights + one) * count == total
        console.print(f"  {kind}: ({weights:,}{bias}) x {count:,} = {total:,}", highlight=False)
    console.print(
        f"Sharing makes it {first.local / first.shared:,.0f} times fewer than windows of their "
        f"own, and {first.full / first.shared:,.0f} times fewer than full connection.",
        highlight=False,
    )


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
