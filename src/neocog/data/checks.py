"""Checks of a dataset for problems, run before training on it."""

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
MIN_CLASS_IMAGES = 10  # per class; fewer are reported
MAX_CLASS_RATIO = 5.0  # of the number of images in the largest and smallest class
MAX_ASPECT_RATIO = 2.0
MAX_PATHS_SHOWN = 20  # per finding
MAX_BLANK_RANGE = 1  # of the grey levels in the thumbnail of a blank image
# If an image is in two splits, the one with the higher rank keeps it.
SPLIT_RANK = {"train": 0, "validation": 1, "test": 2}

# By kind. Messages contain {singular|plural} forms; see `with_count`.
UNUSED_FILES = {
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
    "no_cls": (
        WARNING,
        "{image|images} without a class: no readable .cls or .json file of the same name",
    ),
    "repeated_key": (
        WARNING,
        "{image|images} with the key of an earlier image in the same file: not used",
    ),
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
    """A problem or a fact about a dataset that its user should know.

    `severity` is error if it makes an accuracy wrong, warning if it may, and note otherwise.
    `paths` are the first of the `count` images concerned; `same_as` are the images of which they
    are (near-)duplicates.
    """

    kind: str
    severity: str
    count: int
    paths: tuple[str, ...]
    message: str
    same_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetReport:
    """The findings about a dataset, the usable samples, and which of them belong together.

    `indices` are the usable samples, int64. `groups` has a number for each sample of the index, the
    same for samples that must stay in one split: those of a group in the dataset, and
    (near-)duplicates.
    """

    findings: list[Finding]
    indices: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def is_valid(self) -> bool:
        """True if no finding is an error, that is, none makes an accuracy wrong."""
        return not any(finding.severity == ERROR for finding in self.findings)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the findings as JSON values."""
        return [
            {**asdict(f), "paths": list(f.paths), "same_as": list(f.same_as)} for f in self.findings
        ]


def with_count(count: int, text: str) -> str:
    """Put a count before a text and choose between its {singular|plural} forms."""
    return f"{count:,} " + re.sub(r"\{(.*?)\|(.*?)\}", r"\1" if count == 1 else r"\2", text)


class FindingCollector:
    """Collects findings about the samples of a dataset."""

    def __init__(self, index: DatasetIndex) -> None:
        self.index = index
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
        """Add a finding about samples, if any; `twins` maps them to their originals."""
        paths = [self.index.samples[n].path for n in members]
        twins = twins or {}
        same = [self.index.samples[twins[n]].path for n in members[:MAX_PATHS_SHOWN] if n in twins]
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
        """Add a finding about paths, if any; `detail` is appended to the message."""
        if paths:
            text = with_count(len(paths), message) + detail
            shown = tuple(paths[:MAX_PATHS_SHOWN])
            self.findings.append(Finding(kind, severity, len(paths), shown, text, tuple(same_as)))


def find_issues(index: DatasetIndex, decoded: DecodedDataset) -> DatasetReport:
    """Check a dataset; return findings and the samples that can be used.

    Unusable are files that cannot be decoded, all but one of exact duplicates, all copies of an
    image with conflicting labels, and training or validation images with a (near-)duplicate, or an
    image of the same group, in a split used for evaluation: so n and the interval count distinct
    images, and the evaluated split keeps its images.
    """
    collector = FindingCollector(index)
    labels = index.labels()
    dropped = np.ones(len(labels), dtype=bool)
    dropped[decoded.readable] = False
    _check_files(collector, decoded)
    exact = _exact_duplicates(decoded)
    near = decoded.cached(lambda: near_duplicates(decoded.thumbnails, decoded.readable))
    dropped |= _check_duplicates(collector, exact, near, dropped)
    dropped |= _check_groups(collector, dropped)
    indices = np.nonzero(~dropped)[0]
    if not len(indices):
        message = "{image, and it cannot|images, and none of them can} be used"
        collector.add("none_usable", ERROR, range(len(labels)), message)
    _check_classes(collector, labels, indices)
    groups = _group_numbers(len(labels), [*exact, *near, *_user_groups(index)])
    severity_order = {ERROR: 0, WARNING: 1, NOTE: 2}
    collector.findings.sort(key=lambda f: severity_order[f.severity])
    return DatasetReport(collector.findings, indices, groups)


def _check_files(collector: FindingCollector, decoded: DecodedDataset) -> None:
    """Check single files: type, format, colour mode, shape and content."""
    for kind, (severity, message) in UNUSED_FILES.items():
        paths = [path for k, path in collector.index.unused if k == kind]
        collector.add_paths(kind, severity, paths, message)
    reasons = {n: f for n, f in enumerate(decoded.metadata) if isinstance(f, str)}
    for kind, line, message, detail in (
        ("empty", EMPTY, "empty {file|files}", ""),
        ("unread_kind", HEIC, *_MISSING_DECODERS["HEIC"]),
        ("unread_kind", AVIF, *_MISSING_DECODERS["AVIF"]),
        (
            "not_an_image",
            NOT_AN_IMAGE,
            "{file|files} with an image extension that {is|are} not {an image|images}",
            "",
        ),
    ):
        members = [n for n, reason in reasons.items() if reason == line]
        collector.add(kind, WARNING, members, message, detail)
    known = (EMPTY, HEIC, AVIF, NOT_AN_IMAGE)
    rest = [n for n, reason in reasons.items() if reason not in known]
    examples = "; ".join(sorted({reasons[n] for n in rest})[:3])
    collector.add("corrupt", WARNING, rest, "{file|files} that cannot be read: ", examples)
    metadata = [(n, f) for n, f in enumerate(decoded.metadata) if isinstance(f, ImageMetadata)]
    mismatched = [
        n for n, f in metadata if not _suffix_matches(collector.index.samples[n].path, f.format)
    ]
    message = "{image|images} of another format than {its name says|their names say}: read"
    collector.add("wrong_suffix", NOTE, mismatched, message)
    _check_orientation(collector, metadata)
    elongated = [
        n for n, f in metadata if max(f.width, f.height) > MAX_ASPECT_RATIO * min(f.width, f.height)
    ]
    message = "{image|images} more than "
    detail = f"{MAX_ASPECT_RATIO:g} times as long as wide: photos are cut to their middle "
    collector.add(
        "elongated", NOTE, elongated, message, f"{detail}(--set fit=square shows all of it)"
    )
    thumbnails = decoded.thumbnails.astype(np.int16)
    flat = (
        thumbnails.max((1, 2), initial=0) - thumbnails.min((1, 2), initial=255) <= MAX_BLANK_RANGE
    )
    message = "{image|images} of one colour, blank or transparent: look at {it|them}"
    collector.add("blank", WARNING, decoded.readable[flat].tolist(), message)
    other_modes = [n for n, f in metadata if f.mode not in ("RGB", "L")]
    modes = ", ".join(sorted({f.mode for n, f in metadata if f.mode not in ("RGB", "L")}))
    message = "{image in another colour mode|images in other colour modes}"
    collector.add("modes", NOTE, other_modes, message, f" ({modes}), read as RGB")


# Formats that need an optional decoder: (message, command that installs it).
_MISSING_DECODERS = {
    "HEIC": ("HEIC {image|images}, not read: ", "pip install 'neocog[heic]'"),
    "AVIF": ("AVIF {image|images}, not read: ", "pip install --upgrade pillow"),
}


def _check_orientation(
    collector: FindingCollector, metadata: list[tuple[int, ImageMetadata]]
) -> None:
    """Check which images are, or may be, rotated."""
    turned = [n for n, f in metadata if f.orientation > 1 and not f.stale_exif]
    message = "{image|images} turned upright as {its|their} EXIF says"
    collector.add("turned", NOTE, turned, message)
    stale = [n for n, f in metadata if f.stale_exif]
    message = "{image|images} whose EXIF says to turn what seems to be turned already: look at "
    collector.add("exif_stale", WARNING, stale, message + "{it|them}")
    jpegs = [(n, f) for n, f in metadata if f.format in ("JPEG", "MPO")]
    without = [n for n, f in jpegs if f.orientation == 0]
    if len(without) <= len(jpegs) / 2:
        message = "{JPEG|JPEGs} without EXIF, most others have it: whether {it is|they are} "
        collector.add("exif_missing", NOTE, without, message + "upright is not known")


def _suffix_matches(path: str, kind: str) -> bool:
    """Whether the suffix of a path matches an image format."""
    suffix = PurePosixPath(path).suffix.lower()
    return not suffix or suffix in _SUFFIXES.get(kind, (f".{kind.lower()}",))


def _exact_duplicates(decoded: DecodedDataset) -> list[list[int]]:
    """Groups of samples with identical pixels."""
    groups = defaultdict(list)
    for n, metadata in enumerate(decoded.metadata):
        if isinstance(metadata, ImageMetadata):
            groups[metadata.pixels].append(n)
    return [group for group in groups.values() if len(group) > 1]


def _group_numbers(count: int, links: list[list[int]]) -> NDArray[np.int64]:
    """Number the connected components of `links`; other samples have numbers of their own."""
    groups = np.arange(count)
    for members in components(links):
        groups[members] = members[0]
    return groups


def _user_groups(index: DatasetIndex) -> list[list[int]]:
    """The groups that the dataset itself defines."""
    by_name = defaultdict(list)
    for n, sample in enumerate(index.samples):
        if sample.group is not None:
            by_name[sample.group].append(n)
    return [members for members in by_name.values() if len(members) > 1]


def _check_duplicates(
    collector: FindingCollector,
    exact: list[list[int]],
    near: list[list[int]],
    dropped: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Report duplicates and return the mask of those to leave out.

    Each finding counts the additional copies: 1 for a pair, 2 for three equal images.
    """
    samples = collector.index.samples
    unused = np.zeros(len(samples), dtype=bool)
    # By kind of finding: each copy with its original.
    copies: dict[str, dict[int, int]] = {kind: {} for kind, *_ in _DUPLICATES}
    for group in exact:
        if len({samples[n].label for n in group}) > 1:
            copies["conflicting_labels"] |= _other_labels(samples, group)
            unused[group] = True
            continue
        leaking, evaluated = _across_splits(samples, group)
        # Prefers "1.jpg" to "1 (copy).jpg".
        first = min(evaluated, key=lambda n: (len(samples[n].path), samples[n].path))
        copies["duplicates_across_splits"] |= dict.fromkeys(leaking, first)
        copies["duplicates"] |= dict.fromkeys([n for n in evaluated if n != first], first)
        unused[[n for n in group if n != first]] = True
    for group in near:
        rest = [n for n in group if not (unused[n] or dropped[n])]
        if len(rest) < 2:
            continue
        if len({samples[n].label for n in rest}) > 1:
            copies["near_conflicting_labels"] |= _other_labels(samples, rest)
        leaking, evaluated = _across_splits(samples, rest)
        copies["near_duplicates_across_splits"] |= dict.fromkeys(leaking, evaluated[0])
        copies["near_duplicates"] |= dict.fromkeys(evaluated[1:], evaluated[0])
        unused[leaking] = True
    for kind, severity, message in _DUPLICATES:
        collector.add(kind, severity, sorted(copies[kind]), message, twins=copies[kind])
    return unused


def _other_labels(samples: Sequence[Sample], group: list[int]) -> dict[int, int]:
    """Samples of a group with another label than its first, mapped to the first."""
    return {n: group[0] for n in group if samples[n].label != samples[group[0]].label}


def _across_splits(samples: Sequence[Sample], group: list[int]) -> tuple[list[int], list[int]]:
    """Divide a group into samples to leave out and samples of its last split.

    The last of train, validation, test keeps its samples.
    """
    ranks = [SPLIT_RANK.get(samples[n].split or "train", 0) for n in group]
    leaking = [n for n, rank in zip(group, ranks, strict=True) if rank < max(ranks)]
    return leaking, [n for n, rank in zip(group, ranks, strict=True) if rank == max(ranks)]


def _check_groups(collector: FindingCollector, dropped: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Report the dataset's groups; return the mask of samples whose group crosses splits."""
    unused = np.zeros(len(dropped), dtype=bool)
    samples = collector.index.samples
    for group in _user_groups(collector.index):
        rest = [n for n in group if not dropped[n]]
        if rest:
            unused[_across_splits(samples, rest)[0]] = True
    message = "{image|images} of a group that also has validation or test images: removed"
    collector.add("group_across_splits", ERROR, np.nonzero(unused)[0].tolist(), message)
    names = sorted({sample.group for sample in samples if sample.group is not None})
    message = "{group|groups} of images given: the images of a group stay on one side of a split"
    collector.add_paths("groups", NOTE, names, message)
    return unused


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
        "{image|images} that {is|are} also in validation or test: removed from the other split",
    ),
    (
        "near_duplicates_across_splits",
        ERROR,
        "near-{duplicate|duplicates} of validation or test images: removed from the other split",
    ),
    (
        "near_conflicting_labels",
        WARNING,
        "{image|images} nearly the same as one with another label: look at {it|them}",
    ),
    ("duplicates", WARNING, "duplicate {image|images}: each is used once"),
    (
        "near_duplicates",
        WARNING,
        "{image that is|images that are} nearly the same as another: kept on one side of a split",
    ),
)


def _check_classes(
    collector: FindingCollector, labels: NDArray[np.int64], indices: NDArray[np.int64]
) -> None:
    """Check the classes: missing, small, unbalanced, similar names, fewer than two."""
    index = collector.index
    splits = index.splits if len(index.splits) > 1 else []
    counts = Counter(int(label) for label in labels[indices])
    for split in splits:
        present = {int(labels[n]) for n in indices if index.samples[n].split == split}
        missing = [c for k, c in enumerate(index.classes) if k not in present]
        is_evaluated = split != "train"
        message = "{class|classes} without an image in "
        detail = f"{split}{'' if is_evaluated else ', left out'}: {', '.join(missing[:5])}"
        collector.add_paths(
            "class_missing", WARNING if is_evaluated else ERROR, missing, message, detail
        )
    few = [c for k, c in enumerate(index.classes) if counts[k] < MIN_CLASS_IMAGES]
    message = "{class|classes} with fewer than "
    collector.add_paths(
        "few_images", WARNING, few, message, f"{MIN_CLASS_IMAGES} images: {', '.join(few[:5])}"
    )
    spelled = defaultdict(list)
    for name in index.classes:
        spelled["".join(name.casefold().split())].append(name)
    for names in spelled.values():
        if len(names) > 1:
            message = "classes whose names differ by case or spaces only: "
            quoted = ", ".join(f'"{name}"' for name in names)
            collector.add_paths(
                "similar_classes", WARNING, names, message, f"{quoted}: are they one?"
            )
    if len(index.classes) < 2:
        message = "class: there is nothing to tell apart"
        collector.add_paths("one_class", ERROR, list(index.classes), message)
    elif min(counts.values(), default=0) and len(counts) == len(index.classes):
        (most, n), *_, (least, m) = counts.most_common()
        if n >= MAX_CLASS_RATIO * m:
            names = [index.classes[most], index.classes[least]]
            detail = f"{names[0]} {n:,}, {names[1]} {m:,} images"
            message = "classes of very different size: "
            collector.add_paths("imbalance", WARNING, names, message, detail)
