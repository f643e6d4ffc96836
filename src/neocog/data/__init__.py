"""Datasets: load one by name or path as uint8 images and labels, split three ways."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from neocog.data.custom import (
    DataConfig,
    check_custom,
    exists,
    load_custom,
    measure_dataset,
    open_dataset,
    to_image_set,
)
from neocog.data.images import ImageSet, Splits
from neocog.data.preprocess import Preprocessing
from neocog.data.sources import bundled, cifar, mnist
from neocog.data.splits import SPLIT_SEED, stratified
from neocog.errors import unknown
from neocog.messages import Message
from neocog.progress import Progress, no_progress
from neocog.recipes import DEFAULT_FOR_DATA, RECIPES, Recipe


@dataclass(frozen=True)
class DatasetSpec:
    """A named dataset: how to read, split and preprocess it.

    `read` takes the Progress of a download and returns (train, test), where test is None if there
    is no official test set; then `test_size` images are split off. `validation_size` is the
    default. `fit` and `box` are those of `Preprocessing`, for new images.
    """

    title: str
    read: Callable[[Progress], tuple[ImageSet, ImageSet | None]]
    validation_size: int
    fit: str
    box: int
    test_size: int = 0


DATASETS: dict[str, DatasetSpec] = {
    "mnist5k": DatasetSpec(
        "5,000 MNIST digits, installed with pip",
        lambda _: (bundled.read_mnist5k(), None),
        validation_size=500,
        test_size=1000,
        fit="digit",
        box=20,
    ),
    "mnist": DatasetSpec(
        "MNIST: 60,000 + 10,000 handwritten digits",
        partial(mnist.read_idx_dataset, mnist.MNIST),
        validation_size=5000,
        fit="digit",
        box=20,
    ),
    "fashion-mnist": DatasetSpec(
        "Fashion-MNIST: 60,000 + 10,000 images of clothing",
        partial(mnist.read_idx_dataset, mnist.FASHION_MNIST),
        validation_size=5000,
        fit="square",
        box=28,
    ),
    "cifar10": DatasetSpec(
        "CIFAR-10: 50,000 + 10,000 small colour photos of ten classes",
        partial(cifar.read_cifar, cifar.CIFAR10),
        validation_size=5000,
        fit="square",
        box=32,
    ),
    "cifar100": DatasetSpec(
        "CIFAR-100: 50,000 + 10,000 small colour photos of a hundred classes",
        partial(cifar.read_cifar, cifar.CIFAR100),
        validation_size=5000,
        fit="square",
        box=32,
    ),
    "digits": DatasetSpec(
        "scikit-learn's 1,797 digits of 8 x 8",
        lambda _: (bundled.read_digits(), None),
        validation_size=180,
        test_size=360,
        fit="digit",
        box=8,
    ),
}


def load(
    name: str,
    config: DataConfig = DataConfig(),  # noqa: B008 - frozen
    progress: Progress = no_progress,
) -> Splits:
    """Load a dataset by name, or a user's own images by path, as train, validation and test splits.

    The official test set is kept apart. Validation images are split off the training set,
    stratified and the same for every seed. By default (`config.validation_size` None) their number
    is the dataset's own; 0 leaves validation empty. `config.image_size` (pixels a side) is by
    default the dataset's own, and 64 for a user's images. `config.fit` applies only to a user's
    images. The stages of `progress` are `download`, in bytes, and `decode`, in images.

    Raises UsageError if the name is unknown, and NeocogError if files are missing or damaged or no
    training images are left.
    """
    if name not in DATASETS:
        if not exists(name):
            raise unknown("dataset or folder", name, DATASETS)
        return load_custom(open_dataset(name, config.allow_outside), config, progress)
    entry = DATASETS[name]
    train, test = entry.read(progress)
    if test is None:
        test_indices, train_indices = stratified(train.labels, [entry.test_size], SPLIT_SEED)
        train, test = train.subset(train_indices), train.subset(test_indices)
        how = "split_stratified"
    else:
        how = "split_official"
    height, width, channels = train.images.shape[1:]
    default_recipe = RECIPES[DEFAULT_FOR_DATA[name]]  # it has the dataset's mean and std
    preprocessing = Preprocessing(
        image_size=(config.image_size, config.image_size) if config.image_size else (height, width),
        channels=channels,
        fit=entry.fit,
        mean=config.mean or default_recipe.mean,
        std=config.std or default_recipe.std,
        box=entry.box,
        dark_background=channels == 1 and entry.fit == "square",
        mirrored=config.mirrored,
    )
    train, test = (
        replace(p, images=preprocessing.transform_images(np.asarray(p.images)))
        for p in (train, test)
    )
    validation_size = (
        entry.validation_size if config.validation_size is None else config.validation_size
    )
    validation_indices, train_indices = stratified(train.labels, [validation_size], SPLIT_SEED + 1)
    return Splits(
        name,
        train.subset(train_indices),
        train.subset(validation_indices),
        test,
        preprocessing,
        Message(how, {"test": len(test), "validation": validation_size}),
    )


def load_for(recipe: Recipe, progress: Progress = no_progress) -> Splits:
    """Load the splits that a recipe trains on. Raises as `load` does."""
    return load(recipe.data, data_config(recipe), progress)


def bare_name(name: str) -> str:
    """The name of a dataset; for a path, its last component."""
    return name if name in DATASETS else Path(os.path.abspath(name)).name  # noqa: PTH100 - ".."


def data_config(recipe: Recipe) -> DataConfig:
    """The data configuration of a recipe."""
    return DataConfig(
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
    "DataConfig",
    "DatasetSpec",
    "ImageSet",
    "Preprocessing",
    "Splits",
    "bare_name",
    "check_custom",
    "data_config",
    "exists",
    "load",
    "load_for",
    "measure_dataset",
    "open_dataset",
    "to_image_set",
]
