"""What is wrong with a data set, said before a number is believed."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.decode import AVIF, EMPTY, HEIC, NOT_AN_IMAGE, ImageMetadata
from neocog.data.decode_cache import DecodedDataset
from neocog.data.duplicates import components, near_duplicates
from neocog.data.sources.index import DatasetIndex, Sample

ERROR, WARNING, NOTE = "error", "warning", "note"
FEW = 10  # images a class, below which it is said
UNBALANCED = 5.0  # times as many images in the largest class as in the smallest
LONG = 2.0
SHOWN = 20  # paths that a finding names
BLANK = 1  # difference of grey levels in the small grey form, up to which an image is blank
# By how much a split's images outrank another's, where both have the same image.
RANK = {"train": 0, "validation": 1, "test": 2}

# Messages say {one|several} where their words depend on a count.
LEFT_OUT = {
    "link": (
        WARNING,
        "{link|links} to something outside, or to nothing: not followed (--follow-links follows "
        "what leads outside)",
    ),
    "outside": (
        WARNING,
        "{file|files} outside the table's folder: not read (--allow-outside reads {it|them})",
    ),
    "special": (WARNING, "special {file|files} (FIFO, socket or device): not read"),
    "points_out": (WARNING, "{name that points|names that point} out of the archive"),
    "other_file": (NOTE, "{file that is no image by its name|files that are no images by name}"),
    "unread_folder": (WARNING, "{folder|folders} that cannot be read"),
    "no_class": (
        WARNING,
        "{image|images} in no class folder: nothing says what {it shows|they show}",
    ),
    "beside_splits": (WARNING, "{image|images} beside the folders of the splits"),
    "empty_folder": (WARNING, "empty {folder|folders}"),
    "no_label": (WARNING, "{row|rows} without a label"),
    "missing": (WARNING, "{file|files} that the table names and that {is|are} not there"),
}
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "MPO": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm"),
    "HEIF": (".heic", ".heif"),
}


@dataclass(frozen=True)
class Finding:
    """Something about a data set that its user should know.

    `severity`: error where a number would be wrong, warning where it could be, note otherwise.
    `paths` are the first of the `count` images that it is about, `same_as` what each of them is a
    (near-)copy of.
    """

    kind: str
    severity: str
    count: int
    paths: tuple[str, ...]
    message: str
    same_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetReport:
    """The findings; which of the listing's images are fit for use; and which belong together.

    `kept` are indices into the listing. `groups` has a number for each image of the listing: the
    same for those that must not be parted, by a given group or as (near-)duplicates.
    """

    findings: list[Finding]
    kept: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def sound(self) -> bool:
        """Whether nothing was found that would make a number wrong."""
        return not any(finding.severity == ERROR for finding in self.findings)

    def to_json(self) -> list[dict[str, Any]]:
        """The findings as JSON values."""
        return [
            {**asdict(f), "paths": list(f.paths), "same_as": list(f.same_as)} for f in self.findings
        ]


def with_count(count: int, text: str) -> str:
    """A number and what it counts: the text says {one|several} where its words depend on it."""
    return f"{count:,} " + re.sub(r"\{(.*?)\|(.*?)\}", r"\1" if count == 1 else r"\2", text)


class FindingCollector:
    """Collects findings about the images of a listing."""

    def __init__(self, listing: DatasetIndex) -> None:
        self.listing = listing
        self.findings: list[Finding] = []

    def add(
        self,
        kind: str,
        severity: str,
        members: Sequence[int],
        message: str,
        detail: str = "",
        twins: Mapping[int, int] | None = None,
    ) -> None:
        """Note a finding about some images, if there are any; `twins` are what they are like."""
        paths = [self.listing.samples[n].path for n in members]
        twins = twins or {}
        same = [self.listing.samples[twins[n]].path for n in members[:SHOWN] if n in twins]
        self.add_paths(kind, severity, paths, message, detail, same)

    def add_paths(
        self,
        kind: str,
        severity: str,
        paths: Sequence[str],
        message: str,
        detail: str = "",
        same_as: Sequence[str] = (),
    ) -> None:
        """Note a finding about some paths, if there are any; `detail` follows the message."""
        if paths:
            text = with_count(len(paths), message) + detail
            shown = tuple(paths[:SHOWN])
            self.findings.append(Finding(kind, severity, len(paths), shown, text, tuple(same_as)))


def examine(listing: DatasetIndex, decoded: DecodedDataset) -> DatasetReport:
    """What is wrong with a data set, and what of it can be used.

    Left out of what is kept are files that cannot be read, further copies of an image, images
    whose copies have different labels, and copies (near ones, too) of images of a split that is
    judged by: of test in train or validation, of validation in train; and images of a group that
    such a split has.
    """
    book = FindingCollector(listing)
    labels = listing.labels()
    dropped = np.ones(len(labels), dtype=bool)
    dropped[decoded.usable] = False
    _note_files(book, decoded)
    same = _exact(decoded)
    near = decoded.remembered(lambda: near_duplicates(decoded.thumbnails, decoded.usable))
    dropped |= _note_duplicates(book, same, near, dropped)
    dropped |= _note_groups(book, dropped)
    kept = np.nonzero(~dropped)[0]
    if not len(kept):
        message = "{image, and it cannot|images, and none of them can} be used"
        book.add("none_usable", ERROR, range(len(labels)), message)
    _note_classes(book, labels, kept)
    groups = _join(len(labels), [*same, *near, *_given_groups(listing)])
    order = {ERROR: 0, WARNING: 1, NOTE: 2}
    book.findings.sort(key=lambda f: order[f.severity])
    return DatasetReport(book.findings, kept, groups)


def _note_files(book: FindingCollector, decoded: DecodedDataset) -> None:
    """Findings about single files."""
    for kind, (severity, message) in LEFT_OUT.items():
        paths = [path for k, path in book.listing.left_out if k == kind]
        book.add_paths(kind, severity, paths, message)
    unusable = {n: f for n, f in enumerate(decoded.facts) if isinstance(f, str)}
    for kind, line, message, detail in (
        ("empty", EMPTY, "empty {file|files}", ""),
        ("unread_kind", HEIC, *_UNREAD["HEIC"]),
        ("unread_kind", AVIF, *_UNREAD["AVIF"]),
        (
            "not_an_image",
            NOT_AN_IMAGE,
            "{file named as an image that is none|files named as images that are none}",
            "",
        ),
    ):
        members = [n for n, found in unusable.items() if found == line]
        book.add(kind, WARNING, members, message, detail)
    known = (EMPTY, HEIC, AVIF, NOT_AN_IMAGE)
    rest = [n for n, found in unusable.items() if found not in known]
    why = "; ".join(sorted({unusable[n] for n in rest})[:3])
    book.add("corrupt", WARNING, rest, "{file|files} that cannot be read: ", why)
    facts = [(n, f) for n, f in enumerate(decoded.facts) if isinstance(f, ImageMetadata)]
    wrong = [n for n, f in facts if not _suits(book.listing.samples[n].path, f.format)]
    message = "{image|images} of another format than {its name says|their names say}: read"
    book.add("wrong_suffix", NOTE, wrong, message)
    _note_exif(book, facts)
    long = [n for n, f in facts if max(f.width, f.height) > LONG * min(f.width, f.height)]
    message = "{image|images} more than "
    detail = f"{LONG:g} times as long as wide: photos are cut to their middle "
    book.add("elongated", NOTE, long, message, f"{detail}(--set fit=square shows all of it)")
    thumbnails = decoded.thumbnails.astype(np.int16)
    flat = thumbnails.max((1, 2), initial=0) - thumbnails.min((1, 2), initial=255) <= BLANK
    message = "{image|images} of one colour, blank or transparent: look at {it|them}"
    book.add("blank", WARNING, decoded.usable[flat].tolist(), message)
    odd = [n for n, f in facts if f.mode not in ("RGB", "L")]
    modes = ", ".join(sorted({f.mode for n, f in facts if f.mode not in ("RGB", "L")}))
    message = "{image in another colour mode|images in other colour modes}"
    book.add("modes", NOTE, odd, message, f" ({modes}), read as RGB")


# What is not read because something is not installed: (message, what to type).
_UNREAD = {
    "HEIC": ("HEIC {image|images}, not read: ", "pip install 'neocog[heic]'"),
    "AVIF": ("AVIF {image|images}, not read: ", "pip install --upgrade pillow"),
}


def _note_exif(book: FindingCollector, facts: list[tuple[int, ImageMetadata]]) -> None:
    """Findings about which side of an image is up."""
    turned = [n for n, f in facts if f.orientation > 1 and not f.stale_exif]
    message = "{image|images} turned upright as {its|their} EXIF says"
    book.add("turned", NOTE, turned, message)
    stale = [n for n, f in facts if f.stale_exif]
    message = "{image|images} whose EXIF says to turn what seems to be turned already: look at "
    book.add("exif_stale", WARNING, stale, message + "{it|them}")
    jpegs = [(n, f) for n, f in facts if f.format in ("JPEG", "MPO")]
    without = [n for n, f in jpegs if f.orientation == 0]
    if len(without) <= len(jpegs) / 2:
        message = "{JPEG|JPEGs} without EXIF, most others have it: whether {it is|they are} "
        book.add("exif_missing", NOTE, without, message + "upright is not known")


def _suits(path: str, kind: str) -> bool:
    suffix = PurePosixPath(path).suffix.lower()
    return not suffix or suffix in _SUFFIXES.get(kind, (f".{kind.lower()}",))


def _exact(decoded: DecodedDataset) -> list[list[int]]:
    """Groups of images whose pixels are the same."""
    groups = defaultdict(list)
    for n, facts in enumerate(decoded.facts):
        if isinstance(facts, ImageMetadata):
            groups[facts.pixels].append(n)
    return [group for group in groups.values() if len(group) > 1]


def _join(count: int, links: list[list[int]]) -> NDArray[np.int64]:
    groups = np.arange(count)
    for members in components(links):
        groups[members] = members[0]
    return groups


def _given_groups(listing: DatasetIndex) -> list[list[int]]:
    by_name = defaultdict(list)
    for n, sample in enumerate(listing.samples):
        if sample.group is not None:
            by_name[sample.group].append(n)
    return [members for members in by_name.values() if len(members) > 1]


def _note_duplicates(
    book: FindingCollector, same: list[list[int]], near: list[list[int]], dropped: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Findings about images that are there more than once, and which of them to leave out.

    Every finding counts further copies: a pair is one, and three alike are two.
    """
    samples = book.listing.samples
    out = np.zeros(len(samples), dtype=bool)
    # For each kind of finding the copies and what each is a copy of.
    found: dict[str, dict[int, int]] = {kind: {} for kind, *_ in _DUPLICATES}
    for group in same:
        if len({samples[n].label for n in group}) > 1:
            found["conflicting_labels"] |= _others(samples, group)
            out[group] = True
            continue
        crossing, judged = _crossing(samples, group)
        # "1.jpg" rather than "1 (copy).jpg"
        first = min(judged, key=lambda n: (len(samples[n].path), samples[n].path))
        found["duplicates_across_splits"] |= dict.fromkeys(crossing, first)
        found["duplicates"] |= dict.fromkeys([n for n in judged if n != first], first)
        out[[n for n in group if n != first]] = True
    for group in near:
        rest = [n for n in group if not (out[n] or dropped[n])]
        if len(rest) < 2:
            continue
        if len({samples[n].label for n in rest}) > 1:
            found["near_conflicting_labels"] |= _others(samples, rest)
        crossing, judged = _crossing(samples, rest)
        found["near_duplicates_across_splits"] |= dict.fromkeys(crossing, judged[0])
        found["near_duplicates"] |= dict.fromkeys(judged[1:], judged[0])
        out[crossing] = True
    for kind, severity, message in _DUPLICATES:
        book.add(kind, severity, sorted(found[kind]), message, twins=found[kind])
    return out


def _others(samples: Sequence[Sample], group: list[int]) -> dict[int, int]:
    """Those of a group whose label is another than its first's, and that first."""
    return {n: group[0] for n in group if samples[n].label != samples[group[0]].label}


def _crossing(samples: Sequence[Sample], group: list[int]) -> tuple[list[int], list[int]]:
    """Those of a group that a split to be judged by has copies of, and those copies."""
    ranks = [RANK.get(samples[n].split or "train", 0) for n in group]
    crossing = [n for n, rank in zip(group, ranks, strict=True) if rank < max(ranks)]
    return crossing, [n for n, rank in zip(group, ranks, strict=True) if rank == max(ranks)]


def _note_groups(book: FindingCollector, dropped: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Findings about given groups, and what to leave out since it lies across given splits."""
    out = np.zeros(len(dropped), dtype=bool)
    samples = book.listing.samples
    for group in _given_groups(book.listing):
        rest = [n for n in group if not dropped[n]]
        if rest:
            out[_crossing(samples, rest)[0]] = True
    message = "{image|images} of a group that a split to be judged by has, too: left out"
    book.add("group_across_splits", ERROR, np.nonzero(out)[0].tolist(), message)
    names = sorted({sample.group for sample in samples if sample.group is not None})
    message = "{group|groups} of images given: the images of a group stay on one side of a split"
    book.add_paths("groups", NOTE, names, message)
    return out


_DUPLICATES = (
    (
        "conflicting_labels",
        ERROR,
        "{copy|copies} of an image under another label: all of them are left out, since nobody "
        "knows which label is right",
    ),
    (
        "duplicates_across_splits",
        ERROR,
        "{image|images} that {is|are} in a split to be judged by as well: left out of the other",
    ),
    (
        "near_duplicates_across_splits",
        ERROR,
        "{image|images} nearly the same as one in a split to be judged by: left out of the other",
    ),
    (
        "near_conflicting_labels",
        WARNING,
        "{image|images} nearly the same as one with another label: look at {it|them}",
    ),
    ("duplicates", WARNING, "further {copy|copies} of an image: each image is used once"),
    (
        "near_duplicates",
        WARNING,
        "{image that is|images that are} nearly the same as another: kept on one side of a split",
    ),
)


def _note_classes(
    book: FindingCollector, labels: NDArray[np.int64], kept: NDArray[np.int64]
) -> None:
    """Findings about classes, by what is kept of them."""
    listing = book.listing
    given = listing.splits if len(listing.splits) > 1 else []
    counts = Counter(int(label) for label in labels[kept])
    for split in given:
        there = {int(labels[n]) for n in kept if listing.samples[n].split == split}
        missing = [c for k, c in enumerate(listing.classes) if k not in there]
        learned = split != "train"
        message = "{class|classes} without an image in "
        detail = f"{split}{'' if learned else ', left out'}: {', '.join(missing[:5])}"
        book.add_paths("class_missing", WARNING if learned else ERROR, missing, message, detail)
    few = [c for k, c in enumerate(listing.classes) if counts[k] < FEW]
    message = "{class|classes} with fewer than "
    book.add_paths("few_images", WARNING, few, message, f"{FEW} images: {', '.join(few[:5])}")
    spelled = defaultdict(list)
    for name in listing.classes:
        spelled["".join(name.casefold().split())].append(name)
    for names in spelled.values():
        if len(names) > 1:
            message = "classes whose names differ by case or spaces only: "
            quoted = ", ".join(f'"{name}"' for name in names)
            book.add_paths("similar_classes", WARNING, names, message, f"{quoted}: are they one?")
    if len(listing.classes) < 2:
        message = "class: there is nothing to tell apart"
        book.add_paths("one_class", ERROR, list(listing.classes), message)
    elif min(counts.values(), default=0) and len(counts) == len(listing.classes):
        (most, n), *_, (least, m) = counts.most_common()
        if n >= UNBALANCED * m:
            names = [listing.classes[most], listing.classes[least]]
            detail = f"{names[0]} {n:,}, {names[1]} {m:,} images"
            message = "classes of very different size: "
            book.add_paths("imbalance", WARNING, names, message, detail)
