"""From what was typed, images, folders and standard input, to predictions."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neocog.classifier import Prediction, load, model_path
from neocog.data import exists
from neocog.data.decode import MAX_BYTES
from neocog.data.sources.archive import is_archive
from neocog.data.sources.folder import list_images
from neocog.data.sources.index import SUFFIXES
from neocog.errors import UsageError
from neocog.runs import display_name, find, is_run, runs_folder

Source = tuple[str, Path | bytes]  # the name to report; a file, or a file's bytes


@dataclass(frozen=True)
class PredictResult:
    """The predictions of one call, in the order typed (empty folders last), and their run."""

    run: str
    predictions: list[Prediction]

    @property
    def failed(self) -> bool:
        """Whether any image could not be used."""
        return any(p.error is not None for p in self.predictions)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"run": self.run, "predictions": [asdict(p) for p in self.predictions]}


def predict(
    arguments: Sequence[str], *, top: int = 3, device: str = "auto", runs_dir: Path | None = None
) -> PredictResult:
    """Predict the images that `arguments` name, by the run that the first of them may name.

    An argument is a file, a folder (all images below it) or `-` (an image's bytes on standard
    input). Without a run, `latest` is used. Raises UsageError where no image is named and as
    `classifier.load` does; an image that cannot be used becomes a Prediction with its error.
    """
    model, sources, empty = named(arguments, runs_folder(runs_dir), "predict")
    classifier = load(model, device=device)
    return PredictResult(display_name(model), [*classifier.predict(sources, top), *empty])


def named(
    arguments: Sequence[str], folder: Path, command: str
) -> tuple[Path, list[Source], list[Prediction]]:
    """The model file that arguments name, the images, and what is said of empty folders.

    As `predict` takes them; runs are looked for in `folder`, and `command` is what was typed.
    """
    is_named = bool(arguments) and is_run(arguments[0], folder)
    run, rest = (arguments[0], arguments[1:]) if is_named else ("latest", arguments)
    if not rest:
        raise UsageError("No image is named.", f"For example: neocog {command} {run} digit.png")
    if not is_named and len(arguments) > 1 and _is_meant_as_run(arguments[0]):
        find(arguments[0], folder)  # says which there are, rather than to ask another
    model = model_path(run, folder)  # once: `latest` may not change its meaning meanwhile
    sources: list[Source] = []
    empty = []
    for argument in rest:
        path = Path(argument)
        if argument == "-":
            sources.append(("-", sys.stdin.buffer.read(MAX_BYTES + 1)))
        elif os.path.isdir(argument):  # noqa: PTH112 - Path.is_dir fails on a name too long
            found = list_images(path)
            sources += [(str(image), image) for image in found]
            if not found:
                empty.append(Prediction(argument, error="the folder holds no images"))
        elif is_archive(path) or path.suffix.lower() == ".csv":
            raise UsageError(
                f"{argument} is no image.",
                f"Name a folder or images; what is labelled is judged: neocog evaluate {run} "
                f"{argument}",
            )
        else:
            sources.append((argument, path))
    return model, sources, empty


def _is_meant_as_run(argument: str) -> bool:
    """Whether what is no run was typed for one: it is no file either, nor called like one."""
    looks_like_image = Path(argument).suffix.lower() in SUFFIXES
    return not (argument == "-" or looks_like_image or exists(argument))
