"""Data sets: from a name to uint8 pictures and labels, split honestly."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from neocog.data import cifar, embedded, mnist, tables
from neocog.data.folder import class_names, read_folder, split_folders
from neocog.data.images import ImageSet, Splits
from neocog.data.preprocess import Preprocessing
from neocog.data.split import stratified
from neocog.errors import NeocogError, unknown
from neocog.recipes import Recipe

FOLDER_IMAGE_SIZE = 64  # pixels a side, where the recipe names none
SPLIT_SEED = 0  # the same pictures are kept back whatever the run's seed: runs can be compared


@dataclass(frozen=True)
class DataSet:
    """A named data set: how to read it, what is kept back, how new pictures are made to match.

    `read` gives (train, test); where there is no official test half it gives None for it, and
    `test_size` pictures are set apart. `validation_size` is the default.
    """

    title: str
    read: Callable[[], tuple[ImageSet, ImageSet | None]]
    validation_size: int
    fit: str
    box: int
    test_size: int = 0


DATASETS: dict[str, DataSet] = {
    "mnist5k": DataSet(
        "5,000 MNIST digits that arrive with pip",
        lambda: (embedded.read_mnist5k(), None),
        validation_size=500,
        test_size=1000,
        fit="digit",
        box=20,
    ),
    "mnist": DataSet(
        "MNIST: 60,000 + 10,000 handwritten digits",
        lambda: mnist.read_idx_set(mnist.MNIST),
        validation_size=5000,
        fit="digit",
        box=20,
    ),
    "fashion-mnist": DataSet(
        "Fashion-MNIST: 60,000 + 10,000 pieces of clothing",
        lambda: mnist.read_idx_set(mnist.FASHION_MNIST),
        validation_size=5000,
        fit="square",
        box=28,
    ),
    "cifar10": DataSet(
        "CIFAR-10: 50,000 + 10,000 small colour photos of ten classes",
        lambda: cifar.read_cifar(cifar.CIFAR10),
        validation_size=5000,
        fit="square",
        box=32,
    ),
    "cifar100": DataSet(
        "CIFAR-100: 50,000 + 10,000 small colour photos of a hundred classes",
        lambda: cifar.read_cifar(cifar.CIFAR100),
        validation_size=5000,
        fit="square",
        box=32,
    ),
    "digits": DataSet(
        "scikit-learn's 1,797 digits of 8 x 8",
        lambda: (embedded.read_digits(), None),
        validation_size=180,
        test_size=360,
        fit="digit",
        box=8,
    ),
}


def load(
    name: str,
    mean: tuple[float, ...] = (0.5,),
    std: tuple[float, ...] = (0.5,),
    validation_size: int | None = None,
    fit: str = "square",
    image_size: int | None = None,
    mirrored: bool = False,
) -> Splits:
    """A data set by its name, or a folder of class folders, or Parquet, split in three.

    The official test half is kept apart; validation is cut from the training half, stratified and
    seeded. `mean`, `std` and `mirrored` are those of `Preprocessing`. `validation_size` None is the
    data set's own number; 0 leaves validation empty. `image_size` (pixels a side) None is the data
    set's own, 64 for a folder. `fit` is for a folder's pictures; a named data set has its own.
    Raises UsageError for an unknown name, NeocogError for files that are missing or damaged or a
    `validation_size` that leaves nothing to train on.
    """
    if name not in DATASETS:
        side = image_size or FOLDER_IMAGE_SIZE
        box = round(side * 20 / 28)  # MNIST's own proportion
        rule = Preprocessing((side, side), len(mean), fit, mean, std, box, mirrored=mirrored)
        if tables.is_parquet(Path(name)):
            return _load_parquet(Path(name), rule, validation_size)
        if Path(name).is_dir():
            return _load_folder(Path(name), rule, validation_size)
        raise unknown("data set or folder", name, DATASETS)
    entry = DATASETS[name]
    train, test = entry.read()
    if test is None:
        held, rest = stratified(train.labels, [entry.test_size], SPLIT_SEED)
        train, test = train.subset(rest), train.subset(held)
        note = f"{entry.test_size:,} pictures set apart as test, "
    else:
        note = f"the official {len(test):,} test pictures, "
    height, width, channels = train.images.shape[1:]
    rule = Preprocessing(
        image_size=(image_size, image_size) if image_size else (height, width),
        channels=channels,
        fit=entry.fit,
        mean=mean,
        std=std,
        box=entry.box,
        dark_background=channels == 1 and entry.fit == "square",
        mirrored=mirrored,
    )
    train, test = (replace(part, images=rule.fit_set(part.images)) for part in (train, test))
    wanted = entry.validation_size if validation_size is None else validation_size
    return _with_validation(name, train, test, rule, wanted, note)


def load_for(recipe: Recipe) -> Splits:
    """The splits that a recipe trains on. Raises as `load` does."""
    return load(
        recipe.data,
        recipe.mean,
        recipe.std,
        recipe.validation_size,
        recipe.fit,
        recipe.image_size_pixels,
        recipe.test_mirrored,
    )


def _load_folder(path: Path, rule: Preprocessing, validation_size: int | None) -> Splits:
    """A folder's pictures: by its train and test folders, else 15% for test; 15% for validation."""
    given = split_folders(path)
    skipped: list[str] = []

    def skip(file: Path, reason: str) -> None:
        skipped.append(f"{file.relative_to(path)}: {reason}")

    if len(given) > 1:
        classes = tuple(sorted({c for split in given.values() for c in class_names(split)}))
        parts = {k: read_folder(v, rule, skip, classes, v.name) for k, v in given.items()}
    else:
        source = given.get("train", path)
        parts = {"train": read_folder(source, rule, skip, (), source.name if given else "")}
    return _split_given(path, parts, rule, validation_size, skipped)


def _split_given(
    path: Path,
    parts: dict[str, ImageSet],
    rule: Preprocessing,
    validation_size: int | None,
    skipped: list[str],
) -> Splits:
    """Three splits as they were given; of two, the second is the test; of one, 15% is set apart."""
    train = parts["train"] if "train" in parts else next(iter(parts.values()))
    if len(parts) == 3:
        note = _told("train, validation and test as they were given", skipped)
        splits = Splits(str(path), train, parts["validation"], parts["test"], rule, note)
    else:
        if len(parts) == 2:
            kind = "test" if "test" in parts else "validation"
            test, note = parts[kind], f"what is called {kind} held out as test, "
        else:
            held, rest = stratified(train.labels, [round(0.15 * len(train))], SPLIT_SEED)
            test, train = train.subset(held), train.subset(rest)
            note = f"{len(test):,} pictures set apart as test, "
        wanted = round(0.15 / 0.85 * len(train)) if validation_size is None else validation_size
        note = _told(note, skipped)
        splits = _with_validation(str(path), train, test, rule, wanted, note)
    _check_enough(path, splits, validation_size)
    return splits


def _load_parquet(path: Path, rule: Preprocessing, validation_size: int | None) -> Splits:
    """Parquet tables: by the splits their names tell, else as a folder without splits."""
    found = {split: tables.decode(t, rule) for split, t in tables.read_parquet(path).items()}
    skipped = [line for _, lines in found.values() for line in lines]
    given = {split: pictures for split, (pictures, _) in found.items()}
    if "train" not in given and len(given) > 1:
        raise NeocogError(
            f"{path} has tables of {' and '.join(given)}, and none to train on.",
            f"Expected {path / 'train-00000-of-00001.parquet'}",
        )
    return _split_given(path, given, rule, validation_size, skipped)


def _check_enough(path: Path, splits: Splits, validation_size: int | None) -> None:
    """Raise NeocogError for a folder that no network can be trained and judged on."""
    if len(splits.classes) < 2:
        raise NeocogError(
            f"{path} holds one class, {splits.classes[0]}, and there is nothing to tell apart.",
            f"Expected at least two class folders: {path / 'CLASS' / 'picture.png'}",
        )
    missing = [c for k, c in enumerate(splits.classes) if not (splits.train.labels == k).any()]
    if missing:
        raise NeocogError(
            f"No picture of {', '.join(missing[:5])} is left to train on in {path}.",
            "Add pictures of it, or remove its folder.",
        )
    empty = [name for name, part in splits.parts.items() if not len(part)]
    if empty and not (empty == ["validation"] and validation_size == 0):
        raise NeocogError(
            f"{path} has too few pictures: none is left for {' and '.join(empty)}.",
            "Add pictures: ten a class is the least that makes sense.",
        )


def _told(note: str, skipped: list[str]) -> str:
    if not skipped:
        return note
    return f"{len(skipped)} file(s) left out ({'; '.join(skipped[:5])}); {note}"


def _with_validation(
    name: str, train: ImageSet, test: ImageSet, rule: Preprocessing, size: int, note: str
) -> Splits:
    chosen, rest = stratified(train.labels, [size], SPLIT_SEED + 1)
    note += f"{size:,} of the rest as validation; stratified, seed {SPLIT_SEED}"
    return Splits(name, train.subset(rest), train.subset(chosen), test, rule, note)


__all__ = ["DATASETS", "DataSet", "ImageSet", "Preprocessing", "Splits", "load", "load_for"]
