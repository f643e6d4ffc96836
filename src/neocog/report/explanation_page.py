"""`neocog explain`: explanations as PNG files and one HTML page."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from neocog.classifier import Classifier, Prediction, load
from neocog.data.preprocess import CropInfo
from neocog.explain.filters import Filters, first_filters
from neocog.explanations import (
    ExplainRequest,
    ImageExplanation,
    empty_image,
    explain_images,
    resolve,
)
from neocog.inspection.hooks import as_feature_maps
from neocog.predict import parse_inputs
from neocog.progress import Progress, no_progress
from neocog.rendering import grids
from neocog.rendering.html import render
from neocog.rendering.i18n import language
from neocog.rendering.numbers import format_probability
from neocog.report.output_folder import make_output_folder
from neocog.report.phrases.explain import EXPLAIN
from neocog.runs import display_name, runs_folder
from neocog.storage.atomic import write_atomic

FILE_MAPS, PAGE_MAPS, FILE_UNITS = 64, 24, 1024  # of a layer: in its file, on the page
FILE_FILTERS, PAGE_FILTERS, PAGE_FILTER_SIDE = 256, 64, 32
MAP_SIDE, COLUMNS = 48, 12  # pixels of a map on the page; maps in a row
UNIT_SIDE, UNIT_COLUMNS = 12, 32  # the same for the units of a layer without feature maps
ORIGINAL_SIDE, PREPARED_SIDE = 480, 224  # pixels: longest side at most, shortest side at least
FRAME_COLOR = (214, 90, 30)


@dataclass(frozen=True)
class LayerImage:
    """The output of a layer: `total` feature maps or units, the first ones drawn.

    `file_image` has up to FILE_MAPS of them; `page_image` has the first `shown`.
    """

    name: str
    shape: tuple[int, ...]
    shown: int
    total: int
    file_image: Image.Image
    page_image: Image.Image


@dataclass(frozen=True)
class Drawing:
    """The images that explain one prediction.

    `size` is the (width, height) of the original. `heat` maps the method (gradcam, if the network
    has feature maps, integrated_gradients, occlusion) to its overlay for the class `label`.
    """

    label: str
    crop: CropInfo
    size: tuple[int, int]
    original: Image.Image
    prepared: Image.Image
    heat: dict[str, Image.Image]
    layers: tuple[LayerImage, ...]


@dataclass(frozen=True)
class ExplainedImage:
    """An image on the page; without a `drawing` if the prediction has an error."""

    prediction: Prediction
    drawing: Drawing | None = None


@dataclass(frozen=True)
class ExplainResult:
    """The result of `neocog explain`; `page` is None if no image could be used."""

    run: str
    layer: str | None
    images: list[ExplainedImage]
    page: Path | None
    files: list[Path]

    @property
    def failed(self) -> bool:
        """Whether any image could not be used."""
        return any(image.drawing is None for image in self.images)

    def to_json(self) -> dict[str, Any]:
        """What `neocog explain --json` prints."""
        return {
            "run": self.run,
            "layer": self.layer,
            "predictions": [
                {
                    **asdict(image.prediction),
                    "explained_label": image.drawing.label if image.drawing else None,
                }
                for image in self.images
            ],
            "page": str(self.page) if self.page else None,
            "files": [str(file) for file in self.files],
        }


def explain(
    arguments: Sequence[str],
    request: ExplainRequest,
    *,
    out: Path | None = None,
    lang: str | None = None,
    device: str = "auto",
    runs_dir: Path | None = None,
    progress: Progress = no_progress,
) -> ExplainResult:
    """Explain the predictions of the images that `arguments` name, as for `predict`.

    Writes PNG files, in one folder per image, and explain.html to `out`, by default the folder
    `explain` of the run. Raises UsageError for an unknown class or layer, before any work.
    """
    lang = language(lang)
    model, sources, empty_folders = parse_inputs(arguments, runs_folder(runs_dir), "explain")
    classifier = load(model, device=device, engine="torch")
    request = resolve(classifier, request)
    folder = make_output_folder(out, model)
    images: list[ExplainedImage] = []
    files: list[Path] = []
    folder_names: set[str] = set()
    for result in explain_images(classifier, sources, request, progress):
        if isinstance(result, Prediction):
            images.append(ExplainedImage(result))
            continue
        drawing = draw(result)
        images.append(ExplainedImage(result.prediction, drawing))
        files += _write(drawing, folder / _folder_name(result.prediction.path, folder_names))
    images += [ExplainedImage(prediction) for prediction in empty_folders]
    page = None
    if files:
        filters = first_filters(classifier.model, classifier.inputs(empty_image(classifier)[None]))
        if filters:
            files.insert(0, _write_filters(filters, folder))
        page = folder / "explain.html"
        write_atomic(page, _render(classifier, images, filters, display_name(model), request, lang))
    elif out is None:
        with suppress(OSError):  # not empty: it has explanations of earlier calls
            folder.rmdir()
    return ExplainResult(display_name(model), request.layer, images, page, files)


def draw(result: ImageExplanation) -> Drawing:
    """Draw an explanation."""
    explanation, prepared = result.explanation, result.prepared
    heat = {}
    if explanation.gradcam is not None:
        heat["gradcam"] = grids.overlay(prepared, explanation.gradcam)
    heat["integrated_gradients"] = grids.signed_overlay(prepared, explanation.integrated_gradients)
    heat["occlusion"] = grids.signed_overlay(prepared, explanation.occlusion)
    return Drawing(
        label=result.label,
        crop=result.crop,
        size=(result.original.shape[1], result.original.shape[0]),
        original=_draw_original(result.original, result.crop),
        prepared=grids.enlarge(grids.to_image(prepared), PREPARED_SIDE),
        heat=heat,
        layers=tuple(_draw_layer(name, x) for name, x in explanation.feature_maps.items()),
    )


def _render(
    classifier: Classifier,
    images: Sequence[ExplainedImage],
    filters: Filters | None,
    run: str,
    request: ExplainRequest,
    lang: str,
) -> str:
    """The page as HTML."""
    weights = filters.weights if filters else None
    return render(
        "neocog.report",
        "explain.html",
        EXPLAIN,
        lang,
        images=images,
        layer=request.layer,
        classifier=classifier,
        filters=filters,
        filters_image=None if weights is None else _draw_filters(weights),
        uri=grids.data_uri,
        format_probability=format_probability,
        run=run,
    )


def _draw_filters(weights: Tensor) -> Image.Image:
    return grids.filter_grid(weights[:PAGE_FILTERS], min_side=PAGE_FILTER_SIDE)


def _draw_original(original: NDArray[np.uint8], crop: CropInfo) -> Image.Image:
    """The original, at most ORIGINAL_SIDE pixels, with a frame around the part that is used."""
    image = Image.fromarray(original)
    if max(image.size) > ORIGINAL_SIDE:
        image.thumbnail((ORIGINAL_SIDE, ORIGINAL_SIDE))
    image = grids.enlarge(image, grids.MIN_SIDE).convert("RGB")
    if tuple(crop.box) != (0, 0, 1, 1):
        left, top, right, bottom = crop.box  # fractions of the image
        corners = (
            round(left * image.width),
            round(top * image.height),
            round(right * image.width) - 1,
            round(bottom * image.height) - 1,
        )
        width = max(2, image.width // 160)
        ImageDraw.Draw(image).rectangle(corners, outline=FRAME_COLOR, width=width)
    return image


def _draw_layer(name: str, activation: Tensor) -> LayerImage:
    """The feature maps of a layer, or its units as small squares."""
    shape, maps = tuple(activation.shape), as_feature_maps(activation[None])
    if maps is None:
        units = activation.reshape(-1, 1, 1)
        shown = min(len(units), FILE_UNITS)
        image = grids.map_grid(units[:shown], UNIT_COLUMNS, UNIT_SIDE)
        return LayerImage(name, shape, shown, len(units), image, image)
    page_maps = maps[0, :PAGE_MAPS]
    if max(page_maps.shape[1:]) > MAP_SIDE:
        page_maps = F.adaptive_avg_pool2d(page_maps, (MAP_SIDE, MAP_SIDE))
    rows = -(-len(page_maps) // COLUMNS)
    columns = -(-len(page_maps) // rows)  # rows of equal length
    return LayerImage(
        name,
        shape,
        len(page_maps),
        maps.shape[1],
        grids.map_grid(maps[0, :FILE_MAPS], None, MAP_SIDE),
        grids.map_grid(page_maps, columns, MAP_SIDE),
    )


def _folder_name(name: str, used: set[str]) -> str:
    """A folder name for an image that no other image of this call has; adds it to `used`."""
    name = "standard input" if name == "-" else name
    stem = re.sub(r'[/\\:*?"<>|]', "_", Path(name).stem)[:60].strip(". ") or "image"
    unique, number = stem, 2
    while unique in used:
        unique, number = f"{stem}-{number}", number + 1
    used.add(unique)
    return unique


def _write(drawing: Drawing, folder: Path) -> list[Path]:
    """Write the images of one explanation; those of an earlier call are deleted."""
    for old in (*folder.glob("*.png"), *folder.glob("layers/*.png")):
        old.unlink()
    images = {"original.png": drawing.original, "prepared.png": drawing.prepared}
    images |= {f"{method}.png": image for method, image in drawing.heat.items()}
    images |= {
        f"layers/{n:03d}-{re.sub(r'[^A-Za-z0-9_.-]', '_', layer.name)}.png": layer.file_image
        for n, layer in enumerate(drawing.layers, start=1)
    }
    with ThreadPoolExecutor() as pool:  # PNG compression takes longer than the network
        list(pool.map(_save, images.values(), (folder / name for name in images)))
    return [folder / name for name in images]


def _write_filters(filters: Filters, folder: Path) -> Path:
    path = folder / "filters.png"
    _save(grids.filter_grid(filters.weights[:FILE_FILTERS], min_side=MAP_SIDE), path)
    return path


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)  # level 3 takes a third longer for 2%
