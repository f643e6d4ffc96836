"""The test images that excite a layer's maps most, cropped to what the maps see."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from neocog.classifier import Classifier, batch_of, batch_size_for, load, model_path
from neocog.data import ImageSet
from neocog.errors import UsageError
from neocog.evaluation.evaluate import splits_of
from neocog.explain.top_activations import Strongest, strongest
from neocog.inspection.hooks import layer_called
from neocog.inspection.receptive_field import Window, windows
from neocog.rendering import grids
from neocog.rendering.html import render
from neocog.report.explanation_page import make_folder
from neocog.report.words import language
from neocog.report.words.explain import EXPLAIN
from neocog.runs import display_name, runs_folder
from neocog.storage.atomic import write_atomic

COUNT, MOST_MAPS = 9, 64
SIDE = 64  # pixels that a crop is brought to


@dataclass(frozen=True)
class Maximized:
    """What `neocog explain --maximize` found and wrote."""

    run: str
    layer: str
    strongest: Strongest
    page: Path
    image: Path

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: for each map the values and numbers of its test images."""
        return {
            "run": self.run,
            "layer": self.layer,
            "maps": [
                {"values": values, "images": numbers}
                for values, numbers in zip(
                    self.strongest.values.tolist(), self.strongest.images.tolist(), strict=True
                )
            ],
            "page": str(self.page),
            "files": [str(self.image)],
        }


def maximize(
    run: str,
    layer: str,
    *,
    out: Path | None = None,
    lang: str | None = None,
    device: str = "auto",
    runs_dir: Path | None = None,
) -> Maximized:
    """Find the nine test images that each map of `layer` answers most strongly, and draw them.

    Writes strongest-LAYER.png and .html into `out`, by default the run's folder `explain`. Raises
    UsageError for a layer that is not there, NeocogError where the run's data are missing or have
    changed.
    """
    spoken = language(lang)
    model = model_path(run, runs_folder(runs_dir))
    classifier = load(model, device=device)
    layer_called(classifier.model, layer)
    test = splits_of(classifier, model).test
    size = (classifier.preprocessing.channels, *test.images.shape[1:3])
    seen = windows(classifier.model, size)
    if layer not in seen:
        raise UsageError(f"The layer {layer} is not run on its own.", "Name another: --layer")
    found = strongest(classifier.model, _batches(classifier, test), layer, COUNT)
    rows = _rows(test, found, seen[layer])
    folder = make_folder(out, model)
    image, page = folder / f"strongest-{layer}.png", folder / f"strongest-{layer}.html"
    _sheet(rows).save(image)
    text = render(
        "strongest.html",
        EXPLAIN,
        spoken,
        rows=[grids.uri(row, photo=test.images.shape[3] == 3) for row in rows],
        values=found.values[:, 0].tolist(),
        layer=layer,
        run=display_name(model),
        count=found.values.shape[1],
        maps=len(found.values),
        n=len(test),
        field=min(seen[layer].field, *test.images.shape[1:3]),
    )
    write_atomic(page, text)
    return Maximized(display_name(model), layer, found, page, image)


def _batches(classifier: Classifier, test: ImageSet) -> Iterator[Tensor]:
    device = next(classifier.model.parameters()).device
    size = batch_size_for(test.images.shape, classifier.model)
    for begin in range(0, len(test), size):
        yield classifier.preprocessing.normalize(batch_of(test.images, begin, size, device))


def _rows(test: ImageSet, found: Strongest, window: Window) -> list[Image.Image]:
    """A strip of crops for each map, the strongest on the left."""
    height, width = test.images.shape[1:3]
    rows = []
    for number in range(min(MOST_MAPS, len(found.values))):
        tiles = []
        places = torch.stack([found.images, found.rows, found.columns], 2)[number].tolist()
        for image, row, column in places:
            top, left, bottom, right = window.at(row, column, height, width)
            tiles.append(_tile(test.images[image][top:bottom, left:right]))
        rows.append(grids.tiled(np.stack(tiles), len(tiles), gap=4))
    return rows


def _tile(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A crop enlarged or shrunk into SIDE x SIDE, in the middle of grey."""
    image = grids.shown(crop).convert("RGB")
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    canvas = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    canvas.paste(image.resize(size, how), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(canvas)


def _sheet(rows: list[Image.Image]) -> Image.Image:
    """All strips below each other."""
    step = rows[0].height + 6
    sheet = Image.new("RGB", (rows[0].width + 12, step * len(rows) + 6), "white")
    for number, row in enumerate(rows):
        sheet.paste(row, (6, 6 + number * step), row)
    return sheet
