"""Data sets: from a name to uint8 images and labels, split honestly."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neocog.data.custom import (
    Form,
    as_set,
    check_custom,
    exists,
    load_custom,
    look_at,
    open_dataset,
)
from neocog.data.decode_cache import Reading
from neocog.data.images import ImageSet, Splits
from neocog.data.preprocess import Preprocessing
from neocog.data.sources import bundled, cifar, mnist
from neocog.data.splits import SPLIT_SEED, stratified
from neocog.errors import unknown
from neocog.recipes import DEFAULT_FOR_DATA, RECIPES, Recipe


@dataclass(frozen=True)
class DataSet:
    """A named data set: how to read it, what is kept back, how new images are made to match.

    `read` gives (train, test); where there is no official test half it gives None for it, and
    `test_size` images are set apart. `validation_size` is the default.
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
        lambda: (bundled.read_mnist5k(), None),
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
        lambda: (bundled.read_digits(), None),
        validation_size=180,
        test_size=360,
        fit="digit",
        box=8,
    ),
}


def load(name: str, form: Form = Form(), reading: Reading | None = None) -> Splits:  # noqa: B008
    """A data set by its name, or a person's own images (see `open_dataset`), split in three.

    The official test half is kept apart; validation is cut from the training half, stratified and
    seeded. A `validation_size` of None is the data set's own number; 0 leaves validation empty. An
    `image_size` (pixels a side) of None is the data set's own, 64 for own images; an empty `mean`
    and `std` are the data set's own, too. `fit` is for own images; a named data set has its own.
    `reading` is told of the images as they are decoded. Raises UsageError for an unknown name,
    NeocogError for files that are missing or damaged or a `validation_size` that leaves nothing to
    train on.
    """
    if name not in DATASETS:
        if not exists(name):
            raise unknown("data set or folder", name, DATASETS)
        return load_custom(open_dataset(name, form.allow_outside), form, reading)
    entry = DATASETS[name]
    train, test = entry.read()
    if test is None:
        held, rest = stratified(train.labels, [entry.test_size], SPLIT_SEED)
        train, test = train.subset(rest), train.subset(held)
        note = f"{entry.test_size:,} images set apart as test, "
    else:
        note = f"the official {len(test):,} test images, "
    height, width, channels = train.images.shape[1:]
    usual = RECIPES[DEFAULT_FOR_DATA[name]]  # its normalisation is the data set's own
    rule = Preprocessing(
        image_size=(form.image_size, form.image_size) if form.image_size else (height, width),
        channels=channels,
        fit=entry.fit,
        mean=form.mean or usual.mean,
        std=form.std or usual.std,
        box=entry.box,
        dark_background=channels == 1 and entry.fit == "square",
        mirrored=form.mirrored,
    )
    train, test = (replace(p, images=rule.fit_set(np.asarray(p.images))) for p in (train, test))
    wanted = entry.validation_size if form.validation_size is None else form.validation_size
    chosen, rest = stratified(train.labels, [wanted], SPLIT_SEED + 1)
    note += f"{wanted:,} of the rest as validation; stratified, the same for every seed"
    return Splits(name, train.subset(rest), train.subset(chosen), test, rule, note)


def load_for(recipe: Recipe, reading: Reading | None = None) -> Splits:
    """The splits that a recipe trains on. Raises as `load` does."""
    return load(recipe.data, data_config(recipe), reading)


def bare_name(name: str) -> str:
    """A data set's name, or that of a person's own folder or file without its place."""
    return name if name in DATASETS else Path(os.path.abspath(name)).name  # noqa: PTH100 - ".."


def data_config(recipe: Recipe) -> Form:
    """What a recipe says of the form of its images."""
    return Form(
        recipe.mean,
        recipe.std,
        recipe.validation_size,
        recipe.fit,
        recipe.image_size_pixels,
        recipe.test_mirrored,
        recipe.resize_pixels or 0,
        recipe.train_resize_pixels or 0,
        recipe.allow_outside,
    )


__all__ = [
    "DATASETS",
    "DataSet",
    "Form",
    "ImageSet",
    "Preprocessing",
    "Splits",
    "as_set",
    "bare_name",
    "check_custom",
    "data_config",
    "exists",
    "load",
    "load_for",
    "look_at",
    "open_dataset",
]
