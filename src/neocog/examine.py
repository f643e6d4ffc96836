"""Inspect a dataset without training: contents, splits and problems."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from neocog import recipes
from neocog.data import DataConfig, check_custom, data_config, exists, measure_dataset, open_dataset
from neocog.data.checks import DatasetReport
from neocog.data.custom import TEST_FRACTION, grey_to_rgb
from neocog.data.decode import ImageMetadata
from neocog.data.decode_cache import DecodedDataset
from neocog.data.sources.index import DatasetIndex
from neocog.errors import UsageError
from neocog.progress import Progress, no_progress
from neocog.recipes.resolve import scratch_overrides

# As in the recipe `photos`, so that `neocog train` finds the decoded images in the cache. Many
# small images are decoded for the recipe that `neocog train` would choose.
PHOTOS_CONFIG = DataConfig((0.5,) * 3, (0.5,) * 3, fit="crop", image_size=224, resize=256)


@dataclass(frozen=True)
class DatasetInspection:
    """A user's dataset and the report of its checks."""

    data: str
    index: DatasetIndex
    decoded: DecodedDataset
    report: DatasetReport

    @property
    def is_valid(self) -> bool:
        """True if no finding is an error, that is, none makes an accuracy wrong."""
        return self.report.is_valid

    @property
    def splits(self) -> dict[str, dict[str, int]]:
        """The number of usable images by split and class; `all` without splits."""
        samples = self.index.samples
        used = [samples[n] for n in self.report.indices]
        counts = Counter((p.split or "all", p.label) for p in used)
        names = self.index.splits or ["all"]
        return {s: {c: counts[s, c] for c in self.index.classes} for s in names}

    @property
    def used(self) -> int:
        """The number of usable images of classes that have training images; others are left out."""
        splits = self.splits
        trained = splits.get("train")
        return sum(
            n
            for counts in splits.values()
            for name, n in counts.items()
            if trained is None or trained[name]
        )

    @property
    def plan(self) -> str:
        """The splits that `neocog train` would use, in words."""
        splits = self.index.splits
        if len(self.index.classes) < 2:
            return "none, because there is only one class: nothing to classify"
        if splits and "train" not in splits:
            return f"none, because there is {' and '.join(splits)} but no train split"
        if len(splits) == 3:
            return "train, validation and test as provided"
        if len(splits) == 2:
            test = "test as provided" if splits[1] == "test" else f"{splits[1]} as test"
            return f"{test}, and a part of train as validation"
        return (
            f"{TEST_FRACTION:.0%} validation and {TEST_FRACTION:.0%} test, split by image content"
        )

    @property
    def sizes(self) -> dict[str, list[int]]:
        """Width and height, as stored, of the smallest, median and largest image."""
        sizes = sorted(((f.width, f.height) for f in self._metadata), key=lambda s: s[0] * s[1])
        places = {"least": 0, "median": len(sizes) // 2, "most": -1}
        return {name: list(sizes[place]) if sizes else [0, 0] for name, place in places.items()}

    @property
    def modes(self) -> dict[str, int]:
        """The number of images of each of Pillow's modes, the most frequent first."""
        return dict(Counter(f.mode for f in self._metadata).most_common())

    @property
    def formats(self) -> dict[str, int]:
        """The number of images in each file format, the most frequent first."""
        return dict(Counter(f.format for f in self._metadata).most_common())

    @property
    def _metadata(self) -> list[ImageMetadata]:
        return [f for f in self.decoded.metadata if isinstance(f, ImageMetadata)]

    def to_json(self) -> dict[str, Any]:
        """Return the value that `neocog data --json` prints."""
        return {
            "data": self.data,
            "n": len(self.index.samples),
            "used": self.used,
            "classes": list(self.index.classes),
            "splits": self.splits,
            "plan": self.plan,
            "sizes": self.sizes,
            "modes": self.modes,
            "formats": self.formats,
            "findings": self.report.to_json(),
        }


def inspect_dataset(
    data: str, progress: Progress = no_progress, *, allow_outside: bool = False
) -> DatasetInspection:
    """Index, decode and check a user's dataset; the stage of `progress` is `decode`.

    Raises as `data.open_dataset` does.
    """
    if data in recipes.DEFAULT_FOR_DATA and not exists(data):
        raise UsageError(
            f"{data} is a published dataset; only your own images are checked.",
            "For example: neocog data photos/",
        )
    if not exists(data):
        raise UsageError(f"There is no file or folder {data}.", "For example: neocog data photos/")
    small = scratch_overrides(*measure_dataset(data, allow_outside))
    config = data_config(recipes.get("scratch", small)) if small else PHOTOS_CONFIG
    index = open_dataset(data, allow_outside)
    preprocessing = config.preprocessing()
    decoded, report = check_custom(index, preprocessing, progress)
    report = replace(
        report, findings=[*report.findings, *grey_to_rgb(index, decoded, preprocessing)]
    )
    return DatasetInspection(data, index, decoded, report)
