"""A user's own dataset: indexed, decoded, checked and split."""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.data.checks import MAX_PATHS_SHOWN, DatasetReport, find_issues, missing_classes
from neocog.data.decode import ImageMetadata, read_bytes, read_size, special_file_type
from neocog.data.decode_cache import MAX_IN_MEMORY_BYTES, DecodedDataset, decode
from neocog.data.findings import NOTE, Finding
from neocog.data.images import ImageSet, Splits
from neocog.data.preprocess import Preprocessing
from neocog.data.sources import READERS
from neocog.data.sources.index import DatasetIndex
from neocog.data.sources.webdataset import is_pattern
from neocog.data.splits import SPLIT_SEED, by_content
from neocog.errors import DataError, NeocogError, UsageError
from neocog.messages import Message
from neocog.progress import Progress, no_progress
from neocog.wording import counted

TEST_FRACTION = 0.15  # also of validation, if the dataset defines no splits
GREY_TO_RGB = "grey_to_rgb"  # the kind of a finding
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F")  # Pillow's modes with one channel
SIZE_SAMPLES = 30  # images whose headers are read to choose a recipe
DEFAULT_IMAGE_SIZE = 64  # pixels a side, if the recipe has no size


@dataclass(frozen=True)
class DataConfig:
    """How images are preprocessed and split: the fields of `Recipe` that concern data.

    If `mean` and `std` are empty, a named dataset uses those of its own recipe, and a user's images
    are converted to grey with 0.5 for both. `train_resize` is the short side, in pixels, to which
    training images are resized, if it differs from `resize`. With `allow_outside`, files outside
    the dataset's folder are read if links or a CSV file refer to them.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    validation_size: int | None = None
    fit: str = "square"
    image_size: int | None = None
    mirrored: bool = False
    resize: int = 0
    train_resize: int = 0
    allow_outside: bool = False

    def preprocessing(self) -> Preprocessing:
        """The preprocessing of a user's own images."""
        side = self.image_size or DEFAULT_IMAGE_SIZE
        return Preprocessing(
            image_size=(side, side),
            channels=len(self.mean) or 1,
            fit=self.fit,
            mean=self.mean or (0.5,),
            std=self.std or (0.5,),
            box=round(side * 20 / 28),  # as in MNIST
            mirrored=self.mirrored,
            resize=self.resize,
        )


def exists(name: str) -> bool:
    """Whether a file or folder has this name, or files if it is a pattern of WebDataset files.

    False if the name is too long for one.
    """
    return os.path.exists(name) or is_pattern(name)  # noqa: PTH110 - Path.exists fails if too long


def open_dataset(name: str, allow_outside: bool = False) -> DatasetIndex:
    """Index a user's dataset, in any of the formats in `READERS`.

    Files outside its folder, to which links and CSV files can refer, are used only with
    `allow_outside`. Raises UsageError if the file is none of these, and NeocogError as the readers
    do.
    """
    path = Path(name)
    for can_read, read in READERS:
        if can_read(path):
            return read(path, allow_outside)
    kind = special_file_type(path)
    raise UsageError(
        f"{name} is a {kind or 'file'}, and none of images.",
        "Expected a folder with one folder per class, a zip or tar archive of one, a CSV file with "
        "the columns "
        "path,label, Parquet, or WebDataset tar files.",
    )


def measure_dataset(name: str, allow_outside: bool = False) -> tuple[int, int]:
    """Return the number of images in a user's dataset and their typical short side in pixels.

    The side is the median of SIZE_SAMPLES images, read from their headers; 0 if none is readable.
    Raises as `open_dataset` does.
    """
    samples = open_dataset(name, allow_outside).samples
    sides = []
    for sample in samples[:: max(1, len(samples) // SIZE_SAMPLES)]:
        with suppress(NeocogError):
            sides.append(min(read_size(read_bytes(sample.source))))
    return len(samples), int(np.median(sides)) if sides else 0


def check_custom(
    index: DatasetIndex, preprocessing: Preprocessing, progress: Progress = no_progress
) -> tuple[DecodedDataset, DatasetReport]:
    """Decode the images of a user's dataset and check it."""
    decoded = decode(index, preprocessing, progress)
    return decoded, find_issues(index, decoded)


def load_custom(index: DatasetIndex, config: DataConfig, progress: Progress) -> Splits:
    """Load a user's dataset: its own splits are used, and missing ones are split off by content.

    Raises NeocogError if a split or class is empty or no image is usable.
    """
    preprocessing = config.preprocessing()
    decoded, report = check_custom(index, preprocessing, progress)
    if not len(report.indices):
        reasons = [f.message.text() for f in report.findings if f.kind != "none_usable"][:3]
        raise DataError(
            f"None of the {len(index.samples):,} images in {index.root} can be used: "
            f"{'; '.join(reasons)}.",
            f"See: neocog data {index.root}",
        )
    classes = _trainable_classes(index, report)
    report = replace(report, indices=_with_classes(index, report.indices, classes))
    everything = to_image_set(index, decoded, report, classes)
    digests = [decoded.digests[n] for n in report.indices]
    parts, note = _split_indices(index, everything, report, digests, config.validation_size)
    train, validation, test = (everything.subset(part) for part in parts)
    if config.train_resize and config.train_resize != config.resize:
        decoded_for_training = decode(
            index,
            replace(preprocessing, resize=config.train_resize),
            progress,
        )
        train = to_image_set(index, decoded_for_training, report, classes).subset(parts[0])
    train, validation, test = (
        _in_memory(part, len(everything)) for part in (train, validation, test)
    )
    findings = [
        *report.findings,
        *_missing_class_findings([validation, test], config.validation_size),
    ]
    findings += grey_to_rgb(index, decoded, preprocessing)
    splits = Splits(str(index.root), train, validation, test, preprocessing, note, tuple(findings))
    _check_enough(index.root, splits, config.validation_size)
    return splits


def _in_memory(part: ImageSet, everything: int) -> ImageSet:
    """Read the images of a part into memory, if all parts together fit."""
    size = everything * int(np.prod(part.images.shape[1:]))
    return replace(part, images=np.asarray(part.images)) if size <= MAX_IN_MEMORY_BYTES else part


def grey_to_rgb(
    index: DatasetIndex, decoded: DecodedDataset, preprocessing: Preprocessing
) -> list[Finding]:
    """Report grey images if the network takes three channels."""
    if preprocessing.channels != 3:
        return []
    modes = {
        n: metadata.mode
        for n, metadata in enumerate(decoded.metadata)
        if isinstance(metadata, ImageMetadata)
    }
    paths = [index.samples[n].path for n, mode in modes.items() if mode in GREY_MODES]
    if not paths:
        return []
    message, shown = Message("grey_to_rgb", {"n": len(paths)}), tuple(paths[:MAX_PATHS_SHOWN])
    return [Finding(GREY_TO_RGB, NOTE, len(paths), shown, message)]


def _missing_class_findings(parts: list[ImageSet], validation_size: int | None) -> list[Finding]:
    """Report classes that are missing from the validation or test images."""
    findings = []
    for name, part in zip(("validation", "test"), parts, strict=True):
        present = set(part.labels.tolist())
        missing = [c for k, c in enumerate(part.classes) if k not in present]
        if not (name == "validation" and validation_size == 0):
            findings += missing_classes(name, missing)
    return findings


def to_image_set(
    index: DatasetIndex,
    decoded: DecodedDataset,
    report: DatasetReport,
    classes: tuple[str, ...] | None = None,
) -> ImageSet:
    """Return the usable images in the order of the index.

    `classes` is by default `index.classes`; it must contain the labels of all usable images.
    """
    classes = index.classes if classes is None else classes
    label_of = {name: k for k, name in enumerate(classes)}
    rows = np.nonzero(np.isin(decoded.readable, report.indices))[0]
    usable = decoded.readable[rows].tolist()
    return ImageSet(
        decoded.images.take(rows),
        np.array([label_of[index.samples[n].label] for n in usable], dtype=np.int64),
        classes,
        tuple(index.samples[n].path for n in usable),
        report.groups[usable],
        tuple(
            f.pixels for f in (decoded.metadata[n] for n in usable) if isinstance(f, ImageMetadata)
        ),
    )


def _trainable_classes(index: DatasetIndex, report: DatasetReport) -> tuple[str, ...]:
    """The classes that can be learned: those with images in the train split, if there is one."""
    if len(index.splits) < 2 or "train" not in index.splits:
        return index.classes
    train = (index.samples[n] for n in report.indices)
    present = {sample.label for sample in train if sample.split == "train"}
    return tuple(name for name in index.classes if name in present)


def _with_classes(
    index: DatasetIndex, indices: NDArray[np.int64], classes: tuple[str, ...]
) -> NDArray[np.int64]:
    """The indices of the samples whose label is one of `classes`."""
    return indices[[index.samples[n].label in classes for n in indices]]


def _split_indices(
    index: DatasetIndex,
    everything: ImageSet,
    report: DatasetReport,
    digests: list[str],
    validation_size: int | None,
) -> tuple[list[NDArray[np.int64]], Message]:
    """Return train, validation and test indices, and how they were split."""
    splits = index.splits
    split_of = np.array([index.samples[n].split or "" for n in report.indices], dtype=object)
    if splits and "train" not in splits:
        raise DataError(
            f"{index.root} has images for {' and '.join(splits)}, but none for training.",
            f"Expected {index.root / 'train' / 'CLASS' / 'image.jpg'}",
        )
    if len(splits) == 3:
        parts = [np.nonzero(split_of == split)[0] for split in ("train", "validation", "test")]
        return parts, Message("split_as_given")
    if len(splits) == 2:
        kind = splits[1]
        test, rest = np.nonzero(split_of == kind)[0], np.nonzero(split_of == "train")[0]
        share = 0.15 / 0.85 if validation_size is None else validation_size / max(1, len(rest))
        shares = [share]
    else:
        test, rest = np.zeros(0, np.int64), np.arange(len(everything))
        shares = [TEST_FRACTION, TEST_FRACTION]
        if validation_size is not None:
            shares[1] = validation_size / max(1, len(everything))
    if sum(shares) >= 1:
        raise DataError(
            f"Holding out {counted(validation_size or 0, 'image')} of {len(rest):,} leaves none "
            "for training.",
            "Hold out fewer: {settings}",
            [("validation_size", ...)],
        )
    parts = by_content(
        [digests[n] for n in rest],
        everything.labels[rest],
        everything.groups[rest],
        shares,
        SPLIT_SEED,
    )
    *held, train = [rest[part] for part in parts]
    if len(held) == 2:
        test, validation = held
        note = Message("split_by_content", {"test": len(test), "validation": len(validation)})
    else:
        (validation,) = held
        note = Message("split_held_out", {"split": splits[1], "validation": len(validation)})
    return [train, validation, test], note


def _check_enough(path: Path, splits: Splits, validation_size: int | None) -> None:
    """Raise NeocogError if there is too little data to train and evaluate a network."""
    if len(splits.classes) < 2:
        raise DataError(
            f"{path} has only one class, {splits.classes[0]}: there is nothing to classify.",
            f"Expected at least two class folders: {path / 'CLASS' / 'image.png'}",
        )
    missing = [c for k, c in enumerate(splits.classes) if not (splits.train.labels == k).any()]
    if missing:
        raise DataError(
            f"No image of {', '.join(missing[:5])} is left for training in {path}.",
            "Add images of this class, or remove its folder.",
        )
    empty = [name for name, part in splits.parts.items() if not len(part)]
    if empty and not (empty == ["validation"] and validation_size == 0):
        raise DataError(
            f"{path} has too few images: none is left for {' and '.join(empty)}.",
            "Add images: at least ten per class, not counting near-duplicates and further images "
            "of a group.",
        )
