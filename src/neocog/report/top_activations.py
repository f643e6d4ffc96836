"""`neocog explain --maximize`: test images with the highest activations of feature maps."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from neocog.classifier import Classifier, load, model_path
from neocog.data import ImageSet
from neocog.errors import UsageError
from neocog.evaluation.evaluate import splits_of
from neocog.explain.top_activations import TopActivations, top_activations
from neocog.inspection.hooks import get_layer
from neocog.inspection.receptive_field import ReceptiveField, receptive_fields
from neocog.models.inference import batch_of, batch_size_for
from neocog.rendering import grids
from neocog.rendering.html import render
from neocog.rendering.i18n import language
from neocog.rendering.tiling import TRANSPARENT, Tiling
from neocog.report.output_folder import make_output_folder
from neocog.report.phrases.explain import EXPLAIN
from neocog.runs import display_name, runs_folder
from neocog.storage.atomic import write_atomic

COUNT, MAX_MAPS = 9, 64  # images of a feature map; feature maps
CROP_SIDE, CROP_GAP, ROW_GAP = 64, 4, 6  # pixels
GREY = (128, 128, 128)


@dataclass(frozen=True)
class TopActivationsResult:
    """The result of `neocog explain --maximize`, and the files that it wrote."""

    run: str
    layer: str
    activations: TopActivations
    page: Path
    image: Path

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: for each feature map its activations and the image indices."""
        values, images = self.activations.values.tolist(), self.activations.images.tolist()
        return {
            "run": self.run,
            "layer": self.layer,
            "maps": [{"values": v, "images": i} for v, i in zip(values, images, strict=True)],
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
) -> TopActivationsResult:
    """Draw the nine test images with the highest activation of each feature map of `layer`.

    Writes strongest-LAYER.png and strongest-LAYER.html to `out`, by default the folder `explain` of
    the run. Raises UsageError for an unknown layer, NeocogError if the data of the run are missing
    or have changed.
    """
    lang = language(lang)
    model = model_path(run, runs_folder(runs_dir))
    classifier = load(model, device=device, engine="torch")
    get_layer(classifier.model, layer)
    test = splits_of(classifier, model).test
    size = (classifier.preprocessing.channels, *test.images.shape[1:3])
    fields = receptive_fields(classifier.model, size)
    if layer not in fields:
        raise UsageError(
            f"The layer {layer} is not called in the forward pass.",
            "Choose another one: {settings}",
            [("layer", "NAME")],
        )
    top = top_activations(classifier.model, _batches(classifier, test), layer, COUNT)
    rows = _draw_rows(test, top, fields[layer])
    folder = make_output_folder(out, model)
    image, page = folder / f"strongest-{layer}.png", folder / f"strongest-{layer}.html"
    margin = (ROW_GAP,) * 4
    Tiling(len(rows), 1, rows[0].size, (0, ROW_GAP), margin).paste(rows).save(image)
    html = render(
        "neocog.report",
        "top_activations.html",
        EXPLAIN,
        lang,
        rows=[grids.data_uri(row, photo=test.images.shape[3] == 3) for row in rows],
        values=top.values[:, 0].tolist(),
        layer=layer,
        run=display_name(model),
        count=top.values.shape[1],
        maps=len(top.values),
        n=len(test),
        field=min(fields[layer].field, *test.images.shape[1:3]),
    )
    write_atomic(page, html)
    return TopActivationsResult(display_name(model), layer, top, page, image)


def _batches(classifier: Classifier, test: ImageSet) -> Iterator[Tensor]:
    device = next(classifier.model.parameters()).device
    size = batch_size_for(test.images.shape, classifier.model)
    for begin in range(0, len(test), size):
        yield classifier.preprocessing.normalize(batch_of(test.images, begin, size, device))


def _draw_rows(test: ImageSet, top: TopActivations, field: ReceptiveField) -> list[Image.Image]:
    """A row of crops for each feature map, the highest activation on the left."""
    height, width = test.images.shape[1:3]
    positions = torch.stack([top.images, top.rows, top.columns], 2)[:MAX_MAPS].tolist()
    images = []
    for row in positions:
        windows = [(index, field.window(r, c, height, width)) for index, r, c in row]
        crops = [_draw_crop(test.images[n][t:b, lt:rt]) for n, (t, lt, b, rt) in windows]
        tiling = Tiling(len(crops), len(crops), (CROP_SIDE, CROP_SIDE), (CROP_GAP, 0))
        images.append(tiling.paste(crops, TRANSPARENT))
    return images


def _draw_crop(crop: NDArray[np.uint8]) -> Image.Image:
    """A crop (h, w, C) resized to fit CROP_SIDE x CROP_SIDE, centred on grey."""
    image = grids.to_image(crop).convert("RGB")
    scale = CROP_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    resampling = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    canvas = Image.new("RGB", (CROP_SIDE, CROP_SIDE), GREY)
    corner = ((CROP_SIDE - size[0]) // 2, (CROP_SIDE - size[1]) // 2)
    canvas.paste(image.resize(size, resampling), corner)
    return canvas
