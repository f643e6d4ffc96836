"""Look at a person's images: what is there, in which splits, and what is wrong with it."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from neocog import recipes
from neocog.data import Form, check_custom, data_config, exists, look_at, open_dataset
from neocog.data.checks import DatasetReport
from neocog.data.custom import TEST_SHARE, grey_to_rgb
from neocog.data.decode import ImageMetadata
from neocog.data.decode_cache import DecodedDataset, Reading
from neocog.data.sources.index import DatasetIndex
from neocog.errors import UsageError

# As the recipe `photos` holds its images, so that what is decoded is decoded for both; many small
# images are held as the recipe that they get.
FORM = Form((0.5,) * 3, (0.5,) * 3, fit="crop", image_size=224, resize=256)


@dataclass(frozen=True)
class DatasetInspection:
    """A person's data set and what the doctor says of it."""

    data: str
    listing: DatasetIndex
    decoded: DecodedDataset
    diagnosis: DatasetReport

    @property
    def sound(self) -> bool:
        """Whether nothing was found that would make a number wrong."""
        return self.diagnosis.sound

    @property
    def splits(self) -> dict[str, dict[str, int]]:
        """How many images are fit for use, by split and class; `all` where no split is given."""
        samples = self.listing.samples
        kept = [samples[n] for n in self.diagnosis.kept]
        counts = Counter((p.split or "all", p.label) for p in kept)
        names = self.listing.splits or ["all"]
        return {s: {c: counts[s, c] for c in self.listing.classes} for s in names}

    @property
    def plan(self) -> str:
        """What `neocog train` takes to choose and to judge by, in words."""
        given = self.listing.splits
        if len(self.listing.classes) < 2:
            return "nothing of one class: there is nothing to tell apart"
        if given and "train" not in given:
            return f"none of these: they are {' and '.join(given)}, with nothing to train on"
        if len(given) == 3:
            return "the splits as they are given"
        if len(given) == 2:
            return f"what is called {given[1]} as test, and a part of train as validation"
        return f"validation and test, {TEST_SHARE:.0%} each, by the images' content"

    @property
    def sizes(self) -> dict[str, Any]:
        """Width and height, as stored, of the smallest, the middle and the largest image."""
        facts = [f for f in self.decoded.facts if isinstance(f, ImageMetadata)]
        sizes = sorted(((f.width, f.height) for f in facts), key=lambda s: s[0] * s[1])
        places = {"least": 0, "median": len(sizes) // 2, "most": -1}
        return {name: list(sizes[place]) if sizes else [0, 0] for name, place in places.items()}

    def to_json(self) -> dict[str, Any]:
        """What `neocog data --json` prints."""
        facts = [f for f in self.decoded.facts if isinstance(f, ImageMetadata)]
        return {
            "data": self.data,
            "n": len(self.listing.samples),
            "used": len(self.diagnosis.kept),
            "classes": list(self.listing.classes),
            "splits": self.splits,
            "plan": self.plan,
            "sizes": self.sizes,
            "modes": dict(Counter(f.mode for f in facts).most_common()),
            "formats": dict(Counter(f.format for f in facts).most_common()),
            "findings": self.diagnosis.to_json(),
        }


def examine(
    data: str, reading: Reading | None = None, *, allow_outside: bool = False
) -> DatasetInspection:
    """Read and judge a person's images. Raises as `data.open_dataset` does."""
    if data in recipes.DEFAULT_FOR_DATA and not exists(data):
        raise UsageError(
            f"{data} is a published data set; the doctor looks at images of your own.",
            "For example: neocog data photos/",
        )
    if not exists(data):
        raise UsageError(f"There is no file or folder {data}.", "For example: neocog data photos/")
    small = recipes.scratch_overrides(*look_at(data, allow_outside))
    form = data_config(recipes.get("scratch", small)) if small else FORM
    listing = open_dataset(data, allow_outside)
    rule = form.rule()
    decoded, diagnosis = check_custom(listing, rule, reading)
    diagnosis = replace(
        diagnosis, findings=[*diagnosis.findings, *grey_to_rgb(listing, decoded, rule)]
    )
    return DatasetInspection(data, listing, decoded, diagnosis)
