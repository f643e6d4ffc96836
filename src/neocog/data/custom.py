"""A person's own images: listed, decoded, examined, and split honestly."""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.data.checks import NOTE, SHOWN, WARNING, DatasetReport, Finding, examine, with_count
from neocog.data.decode import ImageMetadata, read_bytes, size_of, special_kind
from neocog.data.decode_cache import MEMORY_BYTES, DecodedDataset, Reading, decode
from neocog.data.images import ImageSet, Splits
from neocog.data.preprocess import Preprocessing
from neocog.data.sources import tables
from neocog.data.sources.archive import is_archive
from neocog.data.sources.folder import read_archive, read_folder
from neocog.data.sources.index import DatasetIndex
from neocog.data.splits import SPLIT_SEED, by_content
from neocog.errors import NeocogError, UsageError
from neocog.wording import counted

TEST_SHARE = 0.15  # of the images, and as much for validation, where no split is given
GREY_TO_RGB = "grey_to_rgb"  # the kind of the note about images of one channel
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F")  # Pillow's names of one channel
LOOKED_AT = 30  # images whose size is looked at to choose a recipe
OWN_IMAGE_SIZE = 64  # pixels a side, where the recipe names none


@dataclass(frozen=True)
class Form:
    """What images are brought to, and what is kept back: a recipe's part that concerns the data.

    The fields are those of `Recipe`. Without `mean` and `std` a named data set has those of its own
    recipe, and a person's own images are made grey, with 0.5 for both. `train_resize` is the
    short side, in pixels, that the images to train on are brought to before they are cut, where
    it is another than the others' `resize`. With `allow_outside` files outside the data set's
    folder are read, too, where links lead to them or a CSV file names them.
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

    def rule(self) -> Preprocessing:
        """The preprocessing of a person's own images."""
        side = self.image_size or OWN_IMAGE_SIZE
        return Preprocessing(
            image_size=(side, side),
            channels=len(self.mean) or 1,
            fit=self.fit,
            mean=self.mean or (0.5,),
            std=self.std or (0.5,),
            box=round(side * 20 / 28),  # MNIST's own proportion
            mirrored=self.mirrored,
            resize=self.resize,
        )


def exists(name: str) -> bool:
    """Whether there is a file or folder called `name`, which may be too long for one."""
    return os.path.exists(name)  # noqa: PTH110 - Path.exists fails on a name too long


def open_dataset(name: str, allow_outside: bool = False) -> DatasetIndex:
    """What a person's data set holds: a folder, a zip or tar file, a CSV file or Parquet.

    Files outside its folder, which links and CSV files may name, are read with `allow_outside`
    only. Raises UsageError for a file that is none of these, NeocogError as their readers do.
    """
    path = Path(name)
    if tables.is_parquet(path):
        return tables.list_parquet(path)
    if path.is_dir():
        return read_folder(path, allow_outside)
    if is_archive(path):
        return read_archive(path)
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv"):
        return tables.list_csv(path, allow_outside)
    kind = special_kind(path)
    raise UsageError(
        f"{name} is a {kind or 'file'}, and none of images.",
        "Name a folder of class folders, a zip or tar file of one, a CSV file with the columns "
        "path,label, or Parquet.",
    )


def look_at(name: str, allow_outside: bool = False) -> tuple[int, int]:
    """How many images a person's data set has, and their usual short side in pixels.

    The side is the median of a few images, by their headers; 0 where none of them can be read.
    Raises as `open_dataset` does.
    """
    samples = open_dataset(name, allow_outside).samples
    sides = []
    for sample in samples[:: max(1, len(samples) // LOOKED_AT)]:
        with suppress(NeocogError):
            sides.append(min(size_of(read_bytes(sample.source))))
    return len(samples), int(np.median(sides)) if sides else 0


def check_custom(
    listing: DatasetIndex, rule: Preprocessing, reading: Reading | None = None
) -> tuple[DecodedDataset, DatasetReport]:
    """The images of a person's data set, decoded, and what is wrong with them."""
    decoded = decode(listing, rule, reading)
    return decoded, examine(listing, decoded)


def load_custom(listing: DatasetIndex, form: Form, reading: Reading | None) -> Splits:
    """A person's images: the splits that are given, and what else is needed cut by content."""
    rule = form.rule()
    decoded, diagnosis = check_custom(listing, rule, reading)
    if not len(diagnosis.kept):
        why = [f.message for f in diagnosis.findings if f.kind != "none_usable"][:3]
        raise NeocogError(
            f"None of the {len(listing.samples):,} images in {listing.root} can be used: "
            f"{'; '.join(why)}.",
            f"See: neocog data {listing.root}",
        )
    taught = _taught(listing, diagnosis)
    diagnosis = replace(diagnosis, kept=_of_classes(listing, diagnosis.kept, taught))
    everything = as_set(listing, decoded, diagnosis, taught)
    digests = [decoded.digests[n] for n in diagnosis.kept]
    parts, note = _cut(listing, everything, diagnosis, digests, form.validation_size)
    train, validation, test = (everything.subset(part) for part in parts)
    if form.train_resize and form.train_resize != form.resize:
        other = decode(listing, replace(rule, resize=form.train_resize), reading)
        train = as_set(listing, other, diagnosis, taught).subset(parts[0])
    train, validation, test = (
        _in_memory(part, len(everything)) for part in (train, validation, test)
    )
    findings = [*diagnosis.findings, *_missing([validation, test], form.validation_size)]
    findings += grey_to_rgb(listing, decoded, rule)
    told = tuple(DatasetReport(findings, diagnosis.kept, diagnosis.groups).to_json())
    splits = Splits(str(listing.root), train, validation, test, rule, note, told)
    _check_enough(listing.root, splits, form.validation_size)
    return splits


def _in_memory(part: ImageSet, everything: int) -> ImageSet:
    """A part whose images are in memory, where there is room for those of all parts."""
    size = everything * int(np.prod(part.images.shape[1:]))
    return replace(part, images=np.asarray(part.images)) if size <= MEMORY_BYTES else part


def grey_to_rgb(
    listing: DatasetIndex, decoded: DecodedDataset, rule: Preprocessing
) -> list[Finding]:
    """The note that there are images of one channel for a network that takes three."""
    if rule.channels != 3:
        return []
    modes = {
        n: facts.mode for n, facts in enumerate(decoded.facts) if isinstance(facts, ImageMetadata)
    }
    paths = [listing.samples[n].path for n, mode in modes.items() if mode in GREY_MODES]
    if not paths:
        return []
    text = f"{counted(len(paths), 'image')} in shades of grey: " + (
        "the one channel is repeated as red, green and blue, which is what the network takes"
    )
    return [Finding(GREY_TO_RGB, NOTE, len(paths), tuple(paths[:SHOWN]), text)]


def _missing(parts: list[ImageSet], validation_size: int | None) -> list[Finding]:
    """Findings about classes that the parts to choose and to judge by have no image of."""
    found = []
    for name, part in zip(("validation", "test"), parts, strict=True):
        there = set(part.labels.tolist())
        missing = tuple(c for k, c in enumerate(part.classes) if k not in there)
        if missing and not (name == "validation" and validation_size == 0):
            text = with_count(len(missing), "{class|classes} without an image in ")
            text += f"{name}: {', '.join(missing[:5])}"
            found.append(Finding("class_missing", WARNING, len(missing), missing[:20], text))
    return found


def as_set(
    listing: DatasetIndex,
    decoded: DecodedDataset,
    diagnosis: DatasetReport,
    classes: tuple[str, ...] | None = None,
) -> ImageSet:
    """The images that are fit for use, in the listing's order.

    `classes`, of which all that are kept must be, are the listing's where none are given.
    """
    classes = listing.classes if classes is None else classes
    place = {name: k for k, name in enumerate(classes)}
    chosen = np.nonzero(np.isin(decoded.usable, diagnosis.kept))[0]
    kept = decoded.usable[chosen].tolist()
    return ImageSet(
        decoded.images.take(chosen),
        np.array([place[listing.samples[n].label] for n in kept], dtype=np.int64),
        classes,
        tuple(listing.samples[n].path for n in kept),
        diagnosis.groups[kept],
        tuple(f.pixels for f in (decoded.facts[n] for n in kept) if isinstance(f, ImageMetadata)),
    )


def _taught(listing: DatasetIndex, diagnosis: DatasetReport) -> tuple[str, ...]:
    """The classes that can be learned: where a train split is given, those with images in it."""
    if len(listing.splits) < 2 or "train" not in listing.splits:
        return listing.classes
    train = (listing.samples[n] for n in diagnosis.kept)
    there = {sample.label for sample in train if sample.split == "train"}
    return tuple(name for name in listing.classes if name in there)


def _of_classes(
    listing: DatasetIndex, kept: NDArray[np.int64], classes: tuple[str, ...]
) -> NDArray[np.int64]:
    return kept[[listing.samples[n].label in classes for n in kept]]


def _cut(
    listing: DatasetIndex,
    everything: ImageSet,
    diagnosis: DatasetReport,
    digests: list[str],
    validation_size: int | None,
) -> tuple[list[NDArray[np.int64]], str]:
    """Train, validation and test as places in `everything`, and how they were made in words."""
    given = listing.splits
    split_of = np.array([listing.samples[n].split or "" for n in diagnosis.kept], dtype=object)
    if given and "train" not in given:
        raise NeocogError(
            f"{listing.root} has images for {' and '.join(given)}, and none to train on.",
            f"Expected {listing.root / 'train' / 'CLASS' / 'image.jpg'}",
        )
    if len(given) == 3:
        parts = [np.nonzero(split_of == split)[0] for split in ("train", "validation", "test")]
        return parts, "train, validation and test as they were given"
    if len(given) == 2:
        kind = given[1]
        test, rest = np.nonzero(split_of == kind)[0], np.nonzero(split_of == "train")[0]
        note = f"what is called {kind} held out as test, "
        share = 0.15 / 0.85 if validation_size is None else validation_size / max(1, len(rest))
        shares = [share]
    else:
        test, rest = np.zeros(0, np.int64), np.arange(len(everything))
        note = ""
        shares = [TEST_SHARE, TEST_SHARE]
        if validation_size is not None:
            shares[1] = validation_size / max(1, len(everything))
    if sum(shares) >= 1:
        raise NeocogError(
            f"{counted(validation_size or 0, 'image')} cannot be set apart from {len(rest):,} "
            "and leave any to train on.",
            "Say: --set validation_size=N with a smaller N.",
        )
    cut = by_content(
        [digests[n] for n in rest],
        everything.labels[rest],
        everything.groups[rest],
        shares,
        SPLIT_SEED,
    )
    *held, train = [rest[part] for part in cut]
    if len(held) == 2:
        test = held[0]
        note = f"{counted(len(test), 'image')} set apart as test, "
    note += f"{len(held[-1]):,} of the rest as validation; by content, the same for every seed"
    return [train, held[-1], test], note


def _check_enough(path: Path, splits: Splits, validation_size: int | None) -> None:
    """Raise NeocogError for a folder that no network can be trained and judged on."""
    if len(splits.classes) < 2:
        raise NeocogError(
            f"{path} holds one class, {splits.classes[0]}, and there is nothing to tell apart.",
            f"Expected at least two class folders: {path / 'CLASS' / 'image.png'}",
        )
    missing = [c for k, c in enumerate(splits.classes) if not (splits.train.labels == k).any()]
    if missing:
        raise NeocogError(
            f"No image of {', '.join(missing[:5])} is left to train on in {path}.",
            "Add images of it, or remove its folder.",
        )
    empty = [name for name, part in splits.parts.items() if not len(part)]
    if empty and not (empty == ["validation"] and validation_size == 0):
        raise NeocogError(
            f"{path} has too few images: none is left for {' and '.join(empty)}.",
            "Add images: ten a class is the least that makes sense, near-duplicates and groups "
            "counting once.",
        )
