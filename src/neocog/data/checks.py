"""Checks of a dataset for problems, run before training on it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.decode import ImageErrorKind, ImageMetadata, UnreadableImage
from neocog.data.decode_cache import DecodedDataset
from neocog.data.duplicates import components, near_duplicates
from neocog.data.findings import ERROR, NOTE, WARNING, Finding
from neocog.data.sources.index import DatasetIndex, Sample
from neocog.messages import Message, Parameter

MIN_CLASS_IMAGES = 10  # per class; fewer are reported
MAX_CLASS_RATIO = 5.0  # of the number of images in the largest and smallest class
MAX_ASPECT_RATIO = 2.0
MAX_PATHS_SHOWN = 20  # per finding
MAX_CLASSES_NAMED, MAX_REASONS_SHOWN = 5, 3  # in the message of a finding
MAX_BLANK_RANGE = 1  # of the grey levels in the thumbnail of a blank image
# If an image is in two splits, the one with the higher rank keeps it.
SPLIT_RANK = {"train": 0, "validation": 1, "test": 2}

# Files of a dataset that are not used: the severity by the kind of finding.
UNUSED_FILES = {
    "link": WARNING,
    "outside": WARNING,
    "special": WARNING,
    "points_out": WARNING,
    "other_file": NOTE,
    "unread_folder": WARNING,
    "no_class": WARNING,
    "beside_splits": WARNING,
    "empty_folder": WARNING,
    "no_label": WARNING,
    "no_cls": WARNING,
    "repeated_key": WARNING,
    "missing": WARNING,
}
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "MPO": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm"),
    "HEIF": (".heic", ".heif"),
}


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
        return [finding.to_json() for finding in self.findings]


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
        parameters: Mapping[str, Parameter] | None = None,
        twins: Mapping[int, int] | None = None,
    ) -> None:
        """Add a finding about samples, if any; `twins` maps them to their originals."""
        paths = [self.index.samples[n].path for n in members]
        twins = twins or {}
        same = [self.index.samples[twins[n]].path for n in members[:MAX_PATHS_SHOWN] if n in twins]
        self.add_paths(kind, severity, paths, parameters, same)

    def add_paths(
        self,
        kind: str,
        severity: str,
        paths: Sequence[str],
        parameters: Mapping[str, Parameter] | None = None,
        same_as: Sequence[str] = (),
    ) -> None:
        """Add a finding about paths, if any; its kind is the id of its message."""
        if paths:
            message = Message(kind, {"n": len(paths), **(parameters or {})})
            shown = tuple(paths[:MAX_PATHS_SHOWN])
            found = Finding(kind, severity, len(paths), shown, message, tuple(same_as))
            self.findings.append(found)


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
        collector.add("none_usable", ERROR, range(len(labels)))
    _check_classes(collector, labels, indices)
    groups = _group_numbers(len(labels), [*exact, *near, *_user_groups(index)])
    severity_order = {ERROR: 0, WARNING: 1, NOTE: 2}
    collector.findings.sort(key=lambda f: severity_order[f.severity])
    return DatasetReport(collector.findings, indices, groups)


def _check_files(collector: FindingCollector, decoded: DecodedDataset) -> None:
    """Check single files: type, format, colour mode, shape and content."""
    for kind, severity in UNUSED_FILES.items():
        paths = [path for k, path in collector.index.unused if k == kind]
        collector.add_paths(kind, severity, paths)
    _check_unreadable(collector, decoded)
    metadata = [(n, f) for n, f in enumerate(decoded.metadata) if isinstance(f, ImageMetadata)]
    mismatched = [
        n for n, f in metadata if not _suffix_matches(collector.index.samples[n].path, f.format)
    ]
    collector.add("wrong_suffix", NOTE, mismatched)
    _check_orientation(collector, metadata)
    elongated = [
        n for n, f in metadata if max(f.width, f.height) > MAX_ASPECT_RATIO * min(f.width, f.height)
    ]
    collector.add("elongated", NOTE, elongated, {"ratio": MAX_ASPECT_RATIO})
    thumbnails = decoded.thumbnails.astype(np.int16)
    flat = (
        thumbnails.max((1, 2), initial=0) - thumbnails.min((1, 2), initial=255) <= MAX_BLANK_RANGE
    )
    collector.add("blank", WARNING, decoded.readable[flat].tolist())
    other_modes = [n for n, f in metadata if f.mode not in ("RGB", "L")]
    modes = tuple(sorted({f.mode for n, f in metadata if f.mode not in ("RGB", "L")}))
    collector.add("modes", NOTE, other_modes, {"modes": modes})


# Formats that need an optional decoder, with the command that installs it.
_MISSING_DECODERS = {
    ImageErrorKind.HEIC: ("HEIC", "pip install 'neocog[heic]'"),
    ImageErrorKind.AVIF: ("AVIF", "pip install --upgrade pillow"),
}


def _check_unreadable(collector: FindingCollector, decoded: DecodedDataset) -> None:
    """Report the files that cannot be decoded, by kind of error."""
    by_kind = defaultdict(list)
    for n, entry in enumerate(decoded.metadata):
        if isinstance(entry, UnreadableImage):
            by_kind[entry.kind].append((n, entry.reason))

    def members(kind: ImageErrorKind) -> list[int]:
        return [n for n, _ in by_kind.pop(kind, [])]

    collector.add("empty", WARNING, members(ImageErrorKind.EMPTY))
    for kind, (name, command) in _MISSING_DECODERS.items():
        collector.add("unread_kind", WARNING, members(kind), {"format": name, "command": command})
    collector.add("not_an_image", WARNING, members(ImageErrorKind.NOT_AN_IMAGE))
    rest = sorted(entry for entries in by_kind.values() for entry in entries)
    reasons = tuple(sorted({reason for _, reason in rest})[:MAX_REASONS_SHOWN])
    collector.add("corrupt", WARNING, [n for n, _ in rest], {"reasons": reasons})


def _check_orientation(
    collector: FindingCollector, metadata: list[tuple[int, ImageMetadata]]
) -> None:
    """Check which images are, or may be, rotated."""
    turned = [n for n, f in metadata if f.orientation > 1 and not f.stale_exif]
    collector.add("turned", NOTE, turned)
    stale = [n for n, f in metadata if f.stale_exif]
    collector.add("exif_stale", WARNING, stale)
    jpegs = [(n, f) for n, f in metadata if f.format in ("JPEG", "MPO")]
    without = [n for n, f in jpegs if f.orientation == 0]
    if len(without) <= len(jpegs) / 2:
        collector.add("exif_missing", NOTE, without)


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
    copies: dict[str, dict[int, int]] = {kind: {} for kind in _DUPLICATES}
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
    for kind, severity in _DUPLICATES.items():
        collector.add(kind, severity, sorted(copies[kind]), twins=copies[kind])
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
    collector.add("group_across_splits", ERROR, np.nonzero(unused)[0].tolist())
    names = sorted({sample.group for sample in samples if sample.group is not None})
    collector.add_paths("groups", NOTE, names)
    return unused


# The severity by the kind of finding.
_DUPLICATES = {
    "conflicting_labels": ERROR,
    "duplicates_across_splits": ERROR,
    "near_duplicates_across_splits": ERROR,
    "near_conflicting_labels": WARNING,
    "duplicates": WARNING,
    "near_duplicates": WARNING,
}


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
        collector.findings += missing_classes(split, missing)
    few = [c for k, c in enumerate(index.classes) if counts[k] < MIN_CLASS_IMAGES]
    shown: dict[str, Parameter] = {"least": MIN_CLASS_IMAGES, "classes": _named(few)}
    collector.add_paths("few_images", WARNING, few, shown)
    spelled = defaultdict(list)
    for name in index.classes:
        spelled["".join(name.casefold().split())].append(name)
    for names in spelled.values():
        if len(names) > 1:
            collector.add_paths("similar_classes", WARNING, names, {"classes": tuple(names)})
    if len(index.classes) < 2:
        collector.add_paths("one_class", ERROR, list(index.classes))
    elif min(counts.values(), default=0) and len(counts) == len(index.classes):
        (most, n), *_, (least, m) = counts.most_common()
        if n >= MAX_CLASS_RATIO * m:
            names = [index.classes[most], index.classes[least]]
            sizes: dict[str, Parameter] = {
                "most": names[0],
                "most_images": n,
                "least": names[1],
                "least_images": m,
            }
            collector.add_paths("imbalance", WARNING, names, sizes)


def missing_classes(split: str, missing: Sequence[str]) -> list[Finding]:
    """Return the finding about classes without an image in a split, if there are any."""
    if not missing:
        return []
    named: dict[str, Parameter] = {"n": len(missing), "classes": _named(missing)}
    severity, message = WARNING, Message("class_missing", {**named, "split": split})
    if split == "train":  # such a class can be evaluated, but not learned
        severity, message = ERROR, Message("class_missing_in_train", named)
    paths = tuple(missing[:MAX_PATHS_SHOWN])
    return [Finding("class_missing", severity, len(missing), paths, message)]


def _named(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes that a message names: the first of them."""
    return tuple(classes[:MAX_CLASSES_NAMED])
