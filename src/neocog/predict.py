"""Predict images given as files, folders or standard input."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neocog.classifier import Prediction, load, model_path
from neocog.data import exists
from neocog.data.decode import MAX_BYTES
from neocog.data.sources import archive
from neocog.data.sources.folder import list_images
from neocog.data.sources.index import SUFFIXES
from neocog.errors import UsageError
from neocog.runs import display_name, find, is_run, runs_folder

Source = tuple[str, Path | bytes]  # name in the result; path of a file, or its content


@dataclass(frozen=True)
class PredictResult:
    """The predictions in the order of the arguments, empty folders last, and the run's name.

    `precision` is float32 or bfloat16 if the engine chose it.
    """

    run: str
    engine: str
    precision: str | None
    predictions: list[Prediction]

    @property
    def failed(self) -> bool:
        """Whether any prediction has an error."""
        return any(p.error is not None for p in self.predictions)

    def to_json(self) -> dict[str, Any]:
        """Return the value that `--json` prints."""
        return {
            "run": self.run,
            "engine": self.engine,
            "precision": self.precision,
            "predictions": [asdict(p) for p in self.predictions],
        }


def predict(
    arguments: Sequence[str],
    *,
    top: int = 3,
    device: str = "auto",
    engine: str = "auto",
    runs_dir: Path | None = None,
) -> PredictResult:
    """Predict the images in `arguments`; the first argument may be a run, else `latest` is used.

    An argument is a file, a folder (all images below it) or `-` (the content of an image on
    standard input). `top` is the number of classes per prediction. An image that cannot be read
    gives a `Prediction` with an error. Raises UsageError if there is no image, and the errors of
    `classifier.load`.
    """
    model, sources, empty = parse_inputs(arguments, runs_folder(runs_dir), "predict")
    classifier = load(model, device=device, engine=engine)
    predictions = [*classifier.predict(sources, top), *empty]
    engine_used = classifier.engine
    return PredictResult(display_name(model), engine_used.name, engine_used.precision, predictions)


def parse_inputs(
    arguments: Sequence[str], folder: Path, command: str
) -> tuple[Path, list[Source], list[Prediction]]:
    """Return the model file, the images, and a prediction with an error for each empty folder.

    `arguments` are those of `predict`, `folder` contains the runs, and `command` is the name of the
    command in error messages.
    """
    has_run = bool(arguments) and is_run(arguments[0], folder)
    run, images = (arguments[0], arguments[1:]) if has_run else ("latest", arguments)
    if not images:
        raise UsageError("No image is given.", f"For example: neocog {command} {run} digit.png")
    if not has_run and len(arguments) > 1 and _is_meant_as_run(arguments[0]):
        find(arguments[0], folder)  # raises an error that lists the runs
    model = model_path(run, folder)  # resolved once: `latest` could change in between
    sources: list[Source] = []
    empty = []
    for argument in images:
        path = Path(argument)
        if argument == "-":
            sources.append(("-", sys.stdin.buffer.read(MAX_BYTES + 1)))
        elif os.path.isdir(argument):  # noqa: PTH112 - Path.is_dir raises for long names
            members = list_images(path)
            sources += [(str(image), image) for image in members]
            if not members:
                empty.append(Prediction(argument, error="the folder contains no images"))
        elif archive.can_read(path) or path.suffix.lower() == ".csv":
            raise UsageError(
                f"{argument} is not an image.",
                "Give a folder or images. To evaluate a labelled dataset: "
                f"neocog evaluate {run} {argument}",
            )
        else:
            sources.append((argument, path))
    return model, sources, empty


def _is_meant_as_run(argument: str) -> bool:
    """Whether an argument that is not a run was probably meant as one."""
    looks_like_image = Path(argument).suffix.lower() in SUFFIXES
    return not (argument == "-" or looks_like_image or exists(argument))
