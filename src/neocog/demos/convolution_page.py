"""The convolution demo: an interactive page, a GIF and a PNG for slides."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup
from torch import Tensor

from neocog import classifier as classifiers
from neocog import runs
from neocog.data import decode
from neocog.demos import convolution as parts
from neocog.demos import convolution_frames
from neocog.demos.convolution import Convolution, Dimensions
from neocog.demos.phrases import CONVOLUTION
from neocog.errors import NeocogError, UsageError, WriteError
from neocog.escaping import visible
from neocog.json_fields import JsonRecord
from neocog.rendering import html as pages
from neocog.rendering.i18n import LANGUAGES, translator
from neocog.storage.atomic import write_atomic


@dataclass(frozen=True)
class Demo:
    """A convolution and its description in the language `lang`.

    `dimensions` and `seed` belong to an example; `run` and `image` are the names of the run and the
    image of a trained layer.
    """

    convolution: Convolution
    lang: str = "en"
    dimensions: Dimensions | None = None
    seed: int = 0
    run: str = ""
    image: str = ""

    @property
    def start(self) -> tuple[int, int, int]:
        """(filter, row, column) of the first step."""
        excerpt = self.convolution.excerpt
        return excerpt.strongest if excerpt else (0, 0, 0)

    @property
    def lead(self) -> str:
        """The introduction of the page."""
        t, excerpt = translator(CONVOLUTION, self.lang), self.convolution.excerpt
        if excerpt is None:
            return t("lead")
        return t("lead_layer", layer=excerpt.layer, run=self.run, image=self.image)

    @property
    def sides(self) -> Sequence[tuple[int, int, int, float, int]]:
        """(size, kernel, stride, padding, dilation) of the whole layer, along height and width."""
        c = self.convolution
        if c.excerpt:
            return c.excerpt.sides
        return [
            (
                c.inputs.shape[k + 1],
                c.weights.shape[k + 2],
                c.stride[k],
                c.padding[0],
                c.dilation[k],
            )
            for k in (0, 1)
        ]

    @property
    def formulas(self) -> list[str]:
        """The formula of the output size; only one if height and width agree."""
        return list(dict.fromkeys(parts.formula(*side) for side in self.sides))

    @property
    def notes(self) -> list[str]:
        """What is not shown of a trained layer, and what its formula does not include."""
        t, excerpt = translator(CONVOLUTION, self.lang), self.convolution.excerpt
        if excerpt is None:
            return []
        channels, height, width = excerpt.input
        notes = []
        if excerpt.patch:
            top, bottom, left, right = excerpt.patch
            whole = f"{height} × {width} × {channels}"
            notes.append(t("patch", whole=whole, top=top, bottom=bottom, left=left, right=right))
        if len(excerpt.filters) < excerpt.output[0]:
            notes.append(t("filters_shown", count=excerpt.output[0], shown=len(excerpt.filters)))
        if len(excerpt.channels) < channels:
            kind = "channels_grouped" if excerpt.groups > 1 else "channels_shown"
            kind = kind if any(excerpt.hidden) else "channels_seen"
            notes.append(t(kind, count=channels, shown=len(excerpt.channels)))
        if excerpt.groups > 1:
            notes.append(t("grouped", groups=excerpt.groups))
        return notes + _uneven(self)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: every number, and the first sum in detail."""
        c = self.convolution
        height, width = c.weights.shape[2:]
        values = {
            "input_shape": list(c.inputs.shape),
            "kernel": [height, width],
            "stride": list(c.stride),
            "padding": list(c.padding),
            "dilation": list(c.dilation),
            "output_shape": list(c.output_shape),
            "formula": self.formulas,
            "unseen": [parts.unseen(*side) for side in self.sides],
            "notes": replace(self, lang="en").notes,
            "input": _numbers(c.inputs),
            "weights": _numbers(c.weights),
            "bias": _numbers(c.bias),
            "output": _numbers(parts.output(c)),
            "sum": parts.one_sum(c, *self.start).to_json(),
        }
        if c.excerpt:
            renamed = {"input": "layer_input", "output": "layer_output"}
            shown = {renamed.get(k, k): v for k, v in vars(c.excerpt).items() if k != "sides"}
            values |= {"run": self.run, "image": self.image, **shown}
        return values


def from_dimensions(dimensions: Dimensions, seed: int = 0, lang: str = "en") -> Demo:
    """The demo on an example with small integers. Raises UsageError for an invalid seed."""
    if not 0 <= seed < 2**31:
        raise UsageError(f"The seed is {seed}.", "It must be from 0 to 2147483647.")
    return Demo(parts.example(dimensions, seed), lang, dimensions, seed)


def from_run(
    run: str,
    image: Path,
    layer: str | None = None,
    filters: Sequence[int] = (),
    runs_dir: Path | None = None,
    lang: str = "en",
) -> Demo:
    """The demo on a layer of a trained network and its input for an image.

    Raises as `classifier.load`, `decode.read_image` and `convolution.of_layer` do.
    """
    path = classifiers.model_path(run, runs.runs_folder(runs_dir))
    classifier = classifiers.load(path, device="cpu", engine="torch")
    preprocessing = classifier.preprocessing
    try:
        prepared = preprocessing.transform_image(decode.read_image(image, preprocessing.shrink_to))
    except NeocogError as error:
        raise NeocogError(f"{image}: {error.message}.", "For example: --image photo.jpg") from None
    inputs = preprocessing.normalize(torch.from_numpy(prepared.copy())[None])
    layer_convolution = parts.of_layer(classifier.model, inputs, layer, tuple(filters))
    owner = runs.of_model_file(path)
    name = owner.path.name if owner else path.name
    return Demo(layer_convolution, lang, run=visible(name), image=visible(image.name))


def write(
    demo: Demo, html: Path | None = None, gif: Path | None = None, png: Path | None = None
) -> list[Path]:
    """Write the requested files and return them. Raises NeocogError if one cannot be written."""
    makers = ((html, page), (gif, animation), (png, image))
    written = []
    for path, make in makers:
        if path is None:
            continue
        try:
            write_atomic(path, make(demo))
        except OSError as error:
            raise WriteError(f"{path} cannot be written ({error.strerror}).") from None
        written.append(path)
    return written


def page(demo: Demo) -> str:
    """The interactive page, in which the dimensions of an example can be edited."""
    c, d = demo.convolution, demo.dimensions
    language = LANGUAGES.index(demo.lang)
    _, rows, columns = c.output_shape
    filter_, row, column = demo.start
    excerpt = None
    if c.excerpt:
        keys = ("input", "output", "kernel", "filters", "channels", "hidden", "corner", "sides")
        excerpt = {key: getattr(c.excerpt, key) for key in keys}
    data = {
        "words": {key: texts[language] for key, texts in CONVOLUTION.items()},
        "limits": parts.LIMITS,
        "shape": vars(d) if d else None,
        "seed": demo.seed,
        "net": None if d else _as_net(c).to_json(),
        "step": (filter_ * rows + row) * columns + column,
        "excerpt": excerpt,
        "notes": demo.notes,
    }
    # Chinese is not escaped, so that its glyphs are embedded; `<` would end the script.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return pages.render(
        "neocog.demos",
        "convolution.html",
        CONVOLUTION,
        demo.lang,
        data=data,
        as_json=Markup(text),
        lead=demo.lead,
    )


def animation(demo: Demo) -> bytes:
    """A GIF of all steps; for a trained layer, of the filter with the highest output."""
    c = demo.convolution
    filters, rows, columns = c.output_shape
    steps = range(filters * rows * columns)
    if c.excerpt:
        steps = steps[demo.start[0] * rows * columns :][: rows * columns]
    return convolution_frames.animation(c, steps, _heads(demo), demo.lang)


def image(demo: Demo) -> bytes:
    """A PNG of one step: the highest output of a trained layer, else a step in the middle."""
    _, rows, columns = demo.convolution.output_shape
    filter_, row, column = demo.start
    if demo.dimensions:
        row, column = rows // 2, columns // 2
    step = (filter_ * rows + row) * columns + column
    return convolution_frames.image(demo.convolution, step, _heads(demo), demo.lang)


def _heads(demo: Demo) -> list[str]:
    """The heading lines of an image."""
    t, d, excerpt = translator(CONVOLUTION, demo.lang), demo.dimensions, demo.convolution.excerpt
    if d is None:
        assert excerpt
        depth, height, width = excerpt.kernel
        kernel = f"{height} × {width} × {depth}"
        what = {"layer": excerpt.layer, "run": demo.run, "image": demo.image}
        first = t("heading_layer", **what, filters=excerpt.output[0], kernel=kernel)
    else:
        first = t(
            "heading",
            input=f"{d.size} × {d.size} × {d.channels}",
            kernel=f"{d.kernel} × {d.kernel} × {d.channels}",
            **{key: getattr(d, key) for key in ("filters", "stride", "padding", "dilation")},
        )
    formulas = [line.replace(" - ", " − ").replace(" x ", "·") for line in demo.formulas]
    return [first, *formulas, *_uneven(demo)]


def _uneven(demo: Demo) -> list[str]:
    """Notes on different padding before and after."""
    t, excerpt = translator(CONVOLUTION, demo.lang), demo.convolution.excerpt
    paddings = dict.fromkeys(excerpt.uneven) if excerpt else ()
    return [t("uneven", before=before, after=after) for before, after in paddings]


def _numbers(values: Tensor) -> Any:
    """Nested lists, with integers as such and other numbers rounded to six digits."""
    if not values.numel() or bool((values == values.round()).all()):
        return values.round().long().tolist()
    if values.dim() > 1:
        return [_numbers(row.double() + 0.0) for row in values]
    return [float(f"{x:.6g}") for x in values.tolist()]


@dataclass(frozen=True)
class Net(JsonRecord):
    """A convolution in the form of the page's script; numbers are nested lists."""

    inputs: Any
    weights: Any
    bias: Any
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    sees: list[list[bool]]
    rest: Any


def _as_net(c: Convolution) -> Net:
    return Net(
        _numbers(c.inputs),
        _numbers(c.weights),
        _numbers(c.bias),
        c.stride,
        c.padding,
        c.dilation,
        c.sees.tolist(),
        None if c.rest is None else _numbers(c.rest),
    )
