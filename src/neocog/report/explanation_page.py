"""What a classifier sees in an image: files to look at, and a page of them."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from neocog.classifier import Classifier, Prediction, load
from neocog.data.decode import ignore_pillow_warnings, read_image
from neocog.data.preprocess import CropInfo
from neocog.errors import NeocogError, UsageError, unknown
from neocog.explain.attributions import integrated_gradients, occlusion
from neocog.explain.filters import first_filters
from neocog.explain.gradcam import default_layer, grad_cam
from neocog.inspection.hooks import as_maps, feature_maps
from neocog.metrics.calibration import format_probability
from neocog.predict import named
from neocog.rendering import grids
from neocog.rendering.html import render
from neocog.report.words import language
from neocog.report.words.explain import EXPLAIN
from neocog.runs import display_name, of_model_file, runs_folder
from neocog.storage.atomic import write_atomic

MOST_MAPS, PAGE_MAPS = 64, 24  # of a layer: in its file, on the page
MOST_NUMBERS = 1024
MAP_SIDE, COLUMNS = 48, 12  # pixels that a map is brought to on the page; maps in a row
LARGE = 64  # pixels a side, from which on less is looked at: passes take long there
TOP = 5  # classes that are reported
ORIGINAL_SIDE = 480  # the longest side of the original on the page, in pixels
FRAME = (214, 90, 30)

Looking = Callable[[str, int, int], None]  # told (an image's name, its number from 0, how many)


@dataclass(frozen=True)
class ExplainRequest:
    """What is to be explained: the maps of `layer` and the class `label`; None is the default."""

    layer: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Layer:
    """A layer's answer to an image: its `count` maps, or numbers, as images.

    `image` has up to MOST_MAPS of them, enlarged where they are small; `small`, for the page,
    `shown`.
    """

    name: str
    shape: list[int]
    shown: int
    count: int
    image: Image.Image
    small: Image.Image


@dataclass(frozen=True)
class ImageExplanation:
    """One image, explained; the images are as they are on the page.

    `size` is the original's width and height. `heat` has Grad-CAM where the network has maps,
    integrated gradients and occlusion, all for the class `label`. Where the image could not be
    used only `prediction` says so.
    """

    prediction: Prediction
    label: str | None = None
    taken: CropInfo | None = None
    size: tuple[int, int] = (0, 0)
    original: Image.Image | None = None
    prepared: Image.Image | None = None
    heat: dict[str, Image.Image] | None = None
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class ExplainResult:
    """What `neocog explain` found and wrote; no `page` where no image could be used."""

    run: str
    layer: str | None
    images: list[ImageExplanation]
    page: Path | None
    files: list[Path]

    @property
    def failed(self) -> bool:
        """Whether any image could not be used."""
        return any(one.prediction.error is not None for one in self.images)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "run": self.run,
            "layer": self.layer,
            "predictions": [
                {**asdict(one.prediction), "explained_label": one.label} for one in self.images
            ],
            "page": str(self.page) if self.page else None,
            "files": [str(file) for file in self.files],
        }


def explain(
    arguments: Sequence[str],
    wanted: ExplainRequest,
    *,
    out: Path | None = None,
    lang: str | None = None,
    device: str = "auto",
    runs_dir: Path | None = None,
    looking: Looking | None = None,
) -> ExplainResult:
    """Explain the answers to the images that `arguments` name, as `predict` takes them.

    Writes PNG files, a folder an image, and explain.html into `out`; by default into the run's
    folder `explain`. `looking` is told of each image before it is looked at. Raises UsageError
    for a class or a layer that the classifier does not have.
    """
    spoken = language(lang)
    model, sources, empty = named(arguments, runs_folder(runs_dir), "explain")
    classifier = load(model, device=device)
    if wanted.label is not None and wanted.label not in classifier.classes:
        raise unknown("class", wanted.label, classifier.classes)
    blank = classifier.inputs(_nothing(classifier)[None])
    layer = wanted.layer or default_layer(classifier.model, blank)
    if wanted.layer:  # before any work: a layer that cannot be looked at
        grad_cam(classifier.model, blank, torch.zeros(1, dtype=torch.long), wanted.layer)
    folder = make_folder(out, model)
    found, files = [], []
    used: set[str] = set()
    for number, (name, source) in enumerate(sources):
        if looking:
            looking(name, number, len(sources))
        one = _explained(classifier, name, source, replace(wanted, layer=layer))
        found.append(one)
        if one.prediction.error is None:
            files += _write(one, folder / _folder_name(name, used))
    found += [ImageExplanation(prediction) for prediction in empty]
    if not files:
        if out is None:
            with suppress(OSError):  # it has other explanations
                folder.rmdir()
        return ExplainResult(display_name(model), layer, found, None, [])
    first = first_filters(classifier.model, blank)
    if first:
        files.insert(0, folder / "filters.png")
        _save(grids.filter_grid(first[1][:256], least=MAP_SIDE), files[0])
    page = folder / "explain.html"
    text = render(
        "explain.html",
        EXPLAIN,
        spoken,
        images=found,
        layer=layer,
        classifier=classifier,
        filters=(first[0], list(first[1].shape), _page_filters(first[1])) if first else None,
        uri=grids.uri,
        format_probability=format_probability,
        run=display_name(model),
    )
    write_atomic(page, text)
    return ExplainResult(display_name(model), layer, found, page, files)


def _explained(
    classifier: Classifier, name: str, source: Path | bytes, wanted: ExplainRequest
) -> ImageExplanation:
    """One image, looked at in every way."""
    rule = classifier.preprocessing
    try:
        with ignore_pillow_warnings():
            img = read_image(source, rule.shrink_to)
            fitted = rule.transform_image(img)
            taken = rule.crop_info(img)
    except NeocogError as error:
        return ImageExplanation(Prediction(name, error=error.message))
    prediction = classifier.describe(name, classifier.probabilities(fitted[None])[0], TOP)
    label = wanted.label or prediction.label
    assert label is not None
    inputs, nothing = (classifier.inputs(p[None]) for p in (fitted, _nothing(classifier)))
    target = torch.tensor([classifier.classes.index(label)])
    model, heat = classifier.model, {}
    if wanted.layer:
        heat["gradcam"] = grids.overlay(fitted, grad_cam(model, inputs, target, wanted.layer)[0])
    side = min(fitted.shape[:2])
    gradients = integrated_gradients(model, inputs, target, nothing, 16 if side > LARGE else 32)
    if side > LARGE:  # single pixels of a photo would not be seen
        gradients = F.avg_pool2d(gradients, 4)
    heat["integrated_gradients"] = grids.signed_overlay(fitted, gradients[0])
    window = max(2, side // (4 if side > LARGE else 5))
    covered = occlusion(model, inputs, target, nothing, window)[0]
    heat["occlusion"] = grids.signed_overlay(fitted, covered)
    return ImageExplanation(
        prediction,
        label,
        taken,
        (img.shape[1], img.shape[0]),
        _framed(img, taken),
        grids.grown(grids.shown(fitted), 224),
        heat,
        tuple(_layer(n, a[0]) for n, a in feature_maps(model, inputs).items()),
    )


def _nothing(classifier: Classifier) -> NDArray[np.uint8]:
    """An empty image: black where strokes are light on black, else the mean colour."""
    rule = classifier.preprocessing
    dark = rule.fit == "digit" or rule.dark_background
    colour = [0 if dark else round(255 * share) for share in rule.mean]
    return np.broadcast_to(np.array(colour, np.uint8), (*rule.image_size, rule.channels)).copy()


def _framed(img: NDArray[np.uint8], taken: CropInfo) -> Image.Image:
    """The original, not too large, with a frame around what is taken of it."""
    image = Image.fromarray(img)
    if max(image.size) > ORIGINAL_SIDE:
        image.thumbnail((ORIGINAL_SIDE, ORIGINAL_SIDE))
    image = grids.grown(image, 112).convert("RGB")
    left, top, right, bottom = taken.box
    if (left, top, right, bottom) != (0, 0, 1, 1):
        corners = (
            round(left * image.width),
            round(top * image.height),
            round(right * image.width) - 1,
            round(bottom * image.height) - 1,
        )
        ImageDraw.Draw(image).rectangle(corners, outline=FRAME, width=max(2, image.width // 160))
    return image


def _layer(name: str, activation: Tensor) -> Layer:
    """A layer's maps as images, the first of them where there are many; numbers as squares."""
    shape, maps = list(activation.shape), as_maps(activation[None])
    if maps is None:
        numbers = activation.reshape(-1, 1, 1)
        image = grids.map_grid(numbers[:MOST_NUMBERS], 32, 12)
        return Layer(name, shape, min(len(numbers), MOST_NUMBERS), len(numbers), image, image)
    few = maps[0, :PAGE_MAPS]
    if max(few.shape[1:]) > MAP_SIDE:
        few = F.adaptive_avg_pool2d(few, (MAP_SIDE, MAP_SIDE))
    columns = -(-len(few) // -(-len(few) // COLUMNS))  # rows of one length
    image = grids.map_grid(maps[0, :MOST_MAPS], None, MAP_SIDE)
    small = grids.map_grid(few, columns, MAP_SIDE)
    return Layer(name, shape, len(few), maps.shape[1], image, small)


def _page_filters(filters: Tensor) -> Image.Image:
    return grids.filter_grid(filters[:64], least=32)


def _folder_name(name: str, used: set[str]) -> str:
    """A name for an image's folder that no other image of this call has."""
    name = "standard input" if name == "-" else name
    stem = re.sub(r'[/\\:*?"<>|]', "_", Path(name).stem)[:60].strip(". ") or "image"
    chosen, number = stem, 2
    while chosen in used:
        chosen, number = f"{stem}-{number}", number + 1
    used.add(chosen)
    return chosen


def _write(one: ImageExplanation, folder: Path) -> list[Path]:
    """One image's images as files; those of an earlier call are replaced."""
    assert one.original is not None and one.prepared is not None and one.heat is not None
    for old in (*folder.glob("*.png"), *folder.glob("layers/*.png")):
        old.unlink()
    images = {"original.png": one.original, "prepared.png": one.prepared}
    images |= {f"{name}.png": image for name, image in one.heat.items()}
    images |= {
        f"layers/{number:03d}-{re.sub(r'[^A-Za-z0-9_.-]', '_', layer.name)}.png": layer.image
        for number, layer in enumerate(one.layers, start=1)
    }
    with ThreadPoolExecutor() as pool:  # packing takes longer than the network
        list(pool.map(_save, images.values(), (folder / name for name in images)))
    return [folder / name for name in images]


def make_folder(out: Path | None, model: Path) -> Path:
    """Make the folder for what is drawn: `out`, by default in the run of the file `model`.

    Raises UsageError where that cannot be.
    """
    run = of_model_file(model)
    folder = out or (run.explanations_folder if run else Path("explain"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {folder} cannot be made ({error.strerror}).", "Name another: --out DIR"
        ) from None
    return folder


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)  # 3 takes a third longer for 2%
