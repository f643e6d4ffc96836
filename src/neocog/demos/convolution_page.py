"""The convolution demo: a page that steps through every number, and images of it for slides."""

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
from neocog.errors import NeocogError, UsageError
from neocog.escaping import visible
from neocog.rendering import html as pages
from neocog.report.words import LANGUAGES, translator
from neocog.storage.atomic import write_atomic


@dataclass(frozen=True)
class Demo:
    """A convolution with what is said about it, in `lang`.

    `dimensions` and `seed` are those of an example; `run` and `image` name where a trained layer
    and its input come from.
    """

    convolution: Convolution
    lang: str = "en"
    dimensions: Dimensions | None = None
    seed: int = 0
    run: str = ""
    image: str = ""

    @property
    def start(self) -> tuple[int, int, int]:
        """The filter, row and column that are looked at first."""
        excerpt = self.convolution.excerpt
        return excerpt.strongest if excerpt else (0, 0, 0)

    @property
    def lead(self) -> str:
        """What the page is about, in a sentence or two."""
        say, excerpt = translator(CONVOLUTION, self.lang), self.convolution.excerpt
        if excerpt is None:
            return say("lead")
        return say("lead_layer", layer=excerpt.layer, run=self.run, image=self.image)

    @property
    def sides(self) -> Sequence[tuple[int, int, int, float, int]]:
        """Size, kernel, stride, padding and dilation of the whole layer, down and across."""
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
        """The output's size by the formula, once where rows and columns agree."""
        return list(dict.fromkeys(parts.formula(*side) for side in self.sides))

    @property
    def notes(self) -> list[str]:
        """What is left out of a trained layer, and what its formula does not say."""
        say, excerpt = translator(CONVOLUTION, self.lang), self.convolution.excerpt
        if excerpt is None:
            return []
        channels, height, width = excerpt.input
        found = []
        if excerpt.patch:
            top, bottom, left, right = excerpt.patch
            whole = f"{height} × {width} × {channels}"
            found.append(say("patch", whole=whole, top=top, bottom=bottom, left=left, right=right))
        if len(excerpt.filters) < excerpt.output[0]:
            found.append(say("filters_shown", count=excerpt.output[0], shown=len(excerpt.filters)))
        if len(excerpt.channels) < channels:
            kind = "channels_grouped" if excerpt.groups > 1 else "channels_shown"
            kind = kind if any(excerpt.hidden) else "channels_seen"
            found.append(say(kind, count=channels, shown=len(excerpt.channels)))
        if excerpt.groups > 1:
            found.append(say("grouped", groups=excerpt.groups))
        return found + _uneven(self)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: every number, and the first sum in full."""
        c = self.convolution
        height, width = c.weights.shape[2:]
        found: dict[str, Any] = {
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
            found |= {"run": self.run, "image": self.image, **shown}
        return found


def from_dimensions(dimensions: Dimensions, seed: int = 0, lang: str = "en") -> Demo:
    """The demo on small whole numbers of these dimensions."""
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
    """The demo with a trained layer's filters and what the layer gets for an image.

    Raises as `classifier.load`, `decode.read_image` and `explain.convolution.of_layer` do.
    """
    path = classifiers.model_path(run, runs.runs_folder(runs_dir))
    classifier = classifiers.load(path, device="cpu")
    rule = classifier.preprocessing
    try:
        fitted = rule.transform_image(decode.read_image(image, rule.shrink_to))
    except NeocogError as error:
        raise NeocogError(
            f"{image}: {error.message}.", "Name an image: --image photo.jpg"
        ) from None
    inputs = rule.normalize(torch.from_numpy(fitted.copy())[None])
    found = parts.of_layer(classifier.model, inputs, layer, tuple(filters))
    owner = runs.of_model_file(path)
    name = owner.path.name if owner else path.name
    return Demo(found, lang, run=visible(name), image=visible(image.name))


def write(
    demo: Demo, html: Path | None = None, gif: Path | None = None, png: Path | None = None
) -> list[Path]:
    """Write the files that are named and return them. Raises NeocogError where that fails."""
    makers = ((html, page), (gif, animation), (png, image))
    written = []
    for path, make in makers:
        if path is None:
            continue
        try:
            write_atomic(path, make(demo))
        except OSError as error:
            raise NeocogError(f"{path} cannot be written ({error.strerror}).") from None
        written.append(path)
    return written


def page(demo: Demo) -> str:
    """The page: one file that steps, plays and, for an example, can be edited."""
    c, d = demo.convolution, demo.dimensions
    place = LANGUAGES.index(demo.lang)
    _, rows, columns = c.output_shape
    filter_, row, column = demo.start
    excerpt = None
    if c.excerpt:
        keys = ("input", "output", "kernel", "filters", "channels", "hidden", "corner", "sides")
        excerpt = {key: getattr(c.excerpt, key) for key in keys}
    data = {
        "words": {key: both[place] for key, both in CONVOLUTION.items()},
        "limits": parts.LIMITS,
        "shape": vars(d) if d else None,
        "seed": demo.seed,
        "net": None if d else _as_net(c),
        "step": (filter_ * rows + row) * columns + column,
        "excerpt": excerpt,
        "notes": demo.notes,
    }
    # Chinese letters stay letters, so that the page's font gets them; `<` would end the script.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return pages.render(
        "convolution.html", CONVOLUTION, demo.lang, data=data, as_json=Markup(text), lead=demo.lead
    )


def animation(demo: Demo) -> bytes:
    """A GIF that steps through the output; of a trained layer through its strongest filter's."""
    c = demo.convolution
    filters, rows, columns = c.output_shape
    steps = range(filters * rows * columns)
    if c.excerpt:
        steps = steps[demo.start[0] * rows * columns :][: rows * columns]
    return convolution_frames.animation(c, steps, _heads(demo), demo.lang)


def image(demo: Demo) -> bytes:
    """A PNG of one step: the strongest answer of a trained layer, else a step in the middle."""
    _, rows, columns = demo.convolution.output_shape
    filter_, row, column = demo.start
    if demo.dimensions:
        row, column = rows // 2, columns // 2
    step = (filter_ * rows + row) * columns + column
    return convolution_frames.image(demo.convolution, step, _heads(demo), demo.lang)


def _heads(demo: Demo) -> list[str]:
    """The lines above an image."""
    say, d, excerpt = translator(CONVOLUTION, demo.lang), demo.dimensions, demo.convolution.excerpt
    if d is None:
        assert excerpt
        depth, height, width = excerpt.kernel
        kernel = f"{height} × {width} × {depth}"
        what = {"layer": excerpt.layer, "run": demo.run, "image": demo.image}
        first = say("heading_layer", **what, filters=excerpt.output[0], kernel=kernel)
    else:
        first = say(
            "heading",
            input=f"{d.size} × {d.size} × {d.channels}",
            kernel=f"{d.kernel} × {d.kernel} × {d.channels}",
            **{key: getattr(d, key) for key in ("filters", "stride", "padding", "dilation")},
        )
    formulas = [line.replace(" - ", " − ").replace(" x ", "·") for line in demo.formulas]
    return [first, *formulas, *_uneven(demo)]


def _uneven(demo: Demo) -> list[str]:
    """A note where there are more zeros on one side than on the other."""
    say, excerpt = translator(CONVOLUTION, demo.lang), demo.convolution.excerpt
    borders = dict.fromkeys(excerpt.uneven) if excerpt else ()
    return [say("uneven", before=before, after=after) for before, after in borders]


def _numbers(values: Tensor) -> Any:
    """Nested lists: whole numbers as such, others to six digits."""
    if not values.numel() or bool((values == values.round()).all()):
        return values.round().long().tolist()
    if values.dim() > 1:
        return [_numbers(some.double() + 0.0) for some in values]
    return [float(f"{x:.6g}") for x in values.tolist()]


def _as_net(c: Convolution) -> dict[str, Any]:
    """A convolution as the page's script has it."""
    return {
        "inputs": _numbers(c.inputs),
        "weights": _numbers(c.weights),
        "bias": _numbers(c.bias),
        "stride": c.stride,
        "padding": c.padding,
        "dilation": c.dilation,
        "sees": c.sees.tolist(),
        "rest": None if c.rest is None else _numbers(c.rest),
    }
