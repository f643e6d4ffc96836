"""What is wrong with a data set, said before a number is believed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.decode import EMPTY, HEIC, NO_PICTURE, Facts
from neocog.data.decoded import Decoded
from neocog.data.listing import Listing

ERROR, WARNING, NOTE = "error", "warning", "note"
FEW = 10  # pictures a class, below which it is said
UNBALANCED = 5.0  # times as many pictures in the largest class as in the smallest
LONG = 2.0
SHOWN = 20  # paths that a finding names
ALIKE = 0.985  # correlation of two pictures' small grey forms, from which they are near-duplicates
FLAT = 4.0  # standard deviation of grey levels, below which a small grey form says nothing
BLANK = 1  # difference of grey levels in the small grey form, up to which a picture is blank
TILE = 2048
# By how much a split's pictures outrank another's, where both have the same picture.
RANK = {"train": 0, "validation": 1, "test": 2}

LEFT_OUT = {
    "link": (WARNING, "link(s) to something outside, or to nothing: not followed"),
    "points_out": (WARNING, "name(s) that point out of the archive"),
    "other_file": (NOTE, "file(s) that are no pictures by their names"),
    "unread_folder": (WARNING, "folder(s) that cannot be read"),
    "no_class": (WARNING, "picture(s) in no class folder: nothing says what they show"),
    "beside_splits": (WARNING, "picture(s) beside the folders of the splits"),
    "empty_folder": (WARNING, "empty folder(s)"),
    "no_label": (WARNING, "row(s) without a label"),
    "missing": (WARNING, "file(s) that the table names and that are not there"),
}
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "MPO": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm"),
}


@dataclass(frozen=True)
class Finding:
    """Something about a data set that its user should know.

    `severity`: error where a number would be wrong, warning where it could be, note otherwise.
    `paths` are the first of the `count` pictures that it is about, `same_as` what each of them is a
    (near-)copy of.
    """

    kind: str
    severity: str
    count: int
    paths: tuple[str, ...]
    message: str
    same_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """The findings; which of the listing's pictures are fit for use; and which belong together.

    `kept` are indices into the listing. `groups` has a number for each picture of the listing: the
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


class _Notebook:
    """Collects findings about the pictures of a listing."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.findings: list[Finding] = []

    def add(
        self,
        kind: str,
        severity: str,
        members: Sequence[int],
        message: str,
        twins: Mapping[int, int] | None = None,
    ) -> None:
        """Note a finding about some pictures, if there are any; `twins` are what they are like."""
        paths = [self.listing.pictures[n].path for n in members]
        twins = twins or {}
        same = [self.listing.pictures[twins[n]].path for n in members[:SHOWN] if n in twins]
        self.add_paths(kind, severity, paths, message, same)

    def add_paths(
        self,
        kind: str,
        severity: str,
        paths: Sequence[str],
        message: str,
        same_as: Sequence[str] = (),
    ) -> None:
        """Note a finding about some paths, if there are any."""
        if paths:
            message = f"{len(paths):,} {message}"
            shown = tuple(paths[:SHOWN])
            found = Finding(kind, severity, len(paths), shown, message, tuple(same_as))
            self.findings.append(found)


def examine(listing: Listing, decoded: Decoded) -> Diagnosis:
    """What is wrong with a data set, and what of it can be used.

    Left out of what is kept are files that cannot be read, further copies of a picture, pictures
    whose copies have different labels, and copies (near ones, too) of pictures of a split that is
    judged by: of test in train or validation, of validation in train; and pictures of a group that
    such a split has.
    """
    book = _Notebook(listing)
    labels = listing.labels()
    dropped = np.ones(len(labels), dtype=bool)
    dropped[decoded.usable] = False
    _note_files(book, decoded)
    same = _exact(decoded)
    near = decoded.remembered(lambda: near_duplicates(decoded.thumbs, decoded.usable))
    dropped |= _note_duplicates(book, same, near, dropped)
    dropped |= _note_groups(book, _given_groups(listing), dropped)
    kept = np.nonzero(~dropped)[0]
    _note_classes(book, labels, kept)
    groups = _join(len(labels), [*same, *near, *_given_groups(listing)])
    order = {ERROR: 0, WARNING: 1, NOTE: 2}
    book.findings.sort(key=lambda f: order[f.severity])
    return Diagnosis(book.findings, kept, groups)


def _note_files(book: _Notebook, decoded: Decoded) -> None:
    """Findings about single files."""
    for kind, (severity, message) in LEFT_OUT.items():
        paths = [path for k, path in book.listing.left_out if k == kind]
        book.add_paths(kind, severity, paths, message)
    unusable = {n: f for n, f in enumerate(decoded.facts) if isinstance(f, str)}
    for kind, line, message in (
        ("empty", EMPTY, "empty file(s)"),
        ("unread_kind", HEIC, "picture(s) in HEIC or AVIF, which are not read: save them as JPEG"),
        ("not_a_picture", NO_PICTURE, "file(s) named as pictures that are none"),
    ):
        members = [n for n, found in unusable.items() if found == line]
        book.add(kind, WARNING, members, message)
    rest = [n for n, found in unusable.items() if found not in (EMPTY, HEIC, NO_PICTURE)]
    why = "; ".join(sorted({unusable[n] for n in rest})[:3])
    book.add("corrupt", WARNING, rest, f"file(s) that cannot be read: {why}")
    facts = [(n, f) for n, f in enumerate(decoded.facts) if isinstance(f, Facts)]
    wrong = [n for n, f in facts if not _suits(book.listing.pictures[n].path, f.format)]
    book.add("wrong_suffix", NOTE, wrong, "picture(s) of another format than their names say: read")
    turned = [n for n, f in facts if f.orientation > 1 and not f.stale_exif]
    book.add("turned", NOTE, turned, "picture(s) turned upright as their EXIF says")
    stale = [n for n, f in facts if f.stale_exif]
    message = "picture(s) whose EXIF says to turn what seems to be turned already: look at them"
    book.add("exif_stale", WARNING, stale, message)
    jpegs = [(n, f) for n, f in facts if f.format in ("JPEG", "MPO")]
    without = [n for n, f in jpegs if f.orientation == 0]
    if len(without) <= len(jpegs) / 2:
        message = "JPEG(s) without EXIF, most others have it: whether they are upright is not known"
        book.add("exif_missing", NOTE, without, message)
    long = [n for n, f in facts if max(f.width, f.height) > LONG * min(f.width, f.height)]
    message = f"picture(s) more than {LONG:g} times as long as wide: photos are cut to their middle"
    book.add("elongated", NOTE, long, f"{message} (--set fit=square shows all of it)")
    thumbs = decoded.thumbs.astype(np.int16)
    flat = thumbs.max((1, 2), initial=0) - thumbs.min((1, 2), initial=255) <= BLANK
    message = "picture(s) of one colour, blank or transparent: look at them"
    book.add("blank", WARNING, decoded.usable[flat].tolist(), message)
    odd = [n for n, f in facts if f.mode not in ("RGB", "L")]
    modes = ", ".join(sorted({f.mode for n, f in facts if f.mode not in ("RGB", "L")}))
    book.add("modes", NOTE, odd, f"picture(s) in other colour modes ({modes}), read as RGB")


def _suits(path: str, kind: str) -> bool:
    suffix = PurePosixPath(path).suffix.lower()
    return not suffix or suffix in _SUFFIXES.get(kind, (f".{kind.lower()}",))


def _exact(decoded: Decoded) -> list[list[int]]:
    """Groups of pictures whose pixels are the same."""
    groups = defaultdict(list)
    for n, facts in enumerate(decoded.facts):
        if isinstance(facts, Facts):
            groups[facts.pixels].append(n)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(thumbs: NDArray[np.uint8], names: NDArray[np.int64]) -> list[list[int]]:
    """Groups of pictures that look alike: saved anew, resized, made lighter or darker.

    `thumbs`, N x 32 x 32, are their small grey forms; `names` are what they are called in the
    answer. Two are alike where the grey levels correlate at both 16 x 16 and 32 x 32.
    """
    coarse, fine = (_standardised(t) for t in (_halved(thumbs), thumbs.reshape(len(thumbs), -1)))
    flat = thumbs.reshape(len(thumbs), -1).std(1) < FLAT if len(thumbs) else np.zeros(0, bool)
    coarse[flat] = 0
    pairs = []
    for top in range(0, len(coarse), TILE):
        for left in range(top, len(coarse), TILE):
            close = coarse[top : top + TILE] @ coarse[left : left + TILE].T >= ALIKE
            one, other = np.nonzero(close)
            one, other = one + top, other + left
            one, other = one[one < other], other[one < other]
            for begin in range(0, len(one), 65536):
                a, b = one[begin : begin + 65536], other[begin : begin + 65536]
                sure = np.einsum("ij,ij->i", fine[a], fine[b]) >= ALIKE
                pairs += np.stack([names[a[sure]], names[b[sure]]], 1).tolist()
    return _components(pairs)


def _halved(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    n, side = len(thumbs), thumbs.shape[1]
    blocks = thumbs.reshape(n, side // 2, 2, side // 2, 2)
    return blocks.mean((2, 4), dtype=np.float32).reshape(n, -1)


def _standardised(rows: NDArray[Any]) -> NDArray[np.float32]:
    centred = rows.astype(np.float32)
    centred -= centred.mean(1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(norms, 1e-6)


def _components(links: Iterable[Sequence[int]]) -> list[list[int]]:
    """The sets that overlapping links join, each in ascending order."""
    parent: dict[int, int] = {}

    def root(n: int) -> int:
        parent.setdefault(n, n)
        while parent[n] != n:
            parent[n] = n = parent[parent[n]]
        return n

    for first, *rest in links:
        for other in rest:
            a, b = sorted((root(first), root(other)))
            parent[b] = a
    sets = defaultdict(list)
    for n in sorted(parent):
        sets[root(n)].append(n)
    return list(sets.values())


def _join(count: int, links: list[list[int]]) -> NDArray[np.int64]:
    groups = np.arange(count)
    for members in _components(links):
        groups[members] = members[0]
    return groups


def _given_groups(listing: Listing) -> list[list[int]]:
    by_name = defaultdict(list)
    for n, picture in enumerate(listing.pictures):
        if picture.group is not None:
            by_name[picture.group].append(n)
    return [members for members in by_name.values() if len(members) > 1]


def _note_duplicates(
    book: _Notebook, same: list[list[int]], near: list[list[int]], dropped: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Findings about pictures that are there more than once, and which of them to leave out."""
    pictures = book.listing.pictures
    out = np.zeros(len(pictures), dtype=bool)
    found: dict[str, list[int]] = defaultdict(list)
    twins: dict[int, int] = {}
    for group in same:
        if len({pictures[n].label for n in group}) > 1:
            found["conflicting"] += group
            twins |= zip(group, [*group[1:], group[0]], strict=True)
            out[group] = True
            continue
        ranks = [RANK.get(pictures[n].split or "train", 0) for n in group]
        crossing = [n for n, rank in zip(group, ranks, strict=True) if rank < max(ranks)]
        judged = [n for n, rank in zip(group, ranks, strict=True) if rank == max(ranks)]
        # "1.jpg" rather than "1 (copy).jpg"
        first = min(judged, key=lambda n: (len(pictures[n].path), pictures[n].path))
        twins |= dict.fromkeys([n for n in group if n != first], first)
        found["across"] += crossing
        found["copies"] += [n for n in group if n != first and n not in crossing]
        out[[n for n in group if n != first]] = True
    for group in near:
        rest = [n for n in group if not (out[n] or dropped[n])]
        if len(rest) < 2:
            continue
        twins |= zip(rest, [*rest[1:], rest[0]], strict=True)
        if len({pictures[n].label for n in rest}) > 1:
            found["near_conflicting"] += rest
        ranks = [RANK.get(pictures[n].split or "train", 0) for n in rest]
        crossing = [n for n, rank in zip(rest, ranks, strict=True) if rank < max(ranks)]
        found["near_across"] += crossing
        alike = [n for n in rest if n not in crossing]
        found["near"] += alike if len(alike) > 1 else []
        out[crossing] = True
    for kind, severity, key, message in _DUPLICATES:
        book.add(kind, severity, sorted(found[key]), message, twins)
    return out


def _note_groups(
    book: _Notebook, groups: list[list[int]], dropped: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Findings about given groups that lie across given splits, and which pictures to leave out."""
    out = np.zeros(len(dropped), dtype=bool)
    for group in groups:
        rest = [n for n in group if not dropped[n]]
        ranks = [RANK.get(book.listing.pictures[n].split or "train", 0) for n in rest]
        out[[n for n, rank in zip(rest, ranks, strict=True) if rank < max(ranks)]] = True
    message = "picture(s) of a group that a split to be judged by has, too: left out"
    book.add("group_across_splits", ERROR, np.nonzero(out)[0].tolist(), message)
    return out


_DUPLICATES = (
    (
        "conflicting_labels",
        ERROR,
        "conflicting",
        "copies of one picture with different labels: left out, since nobody knows which is right",
    ),
    (
        "duplicates_across_splits",
        ERROR,
        "across",
        "picture(s) that are in a split to be judged by as well: left out of the other",
    ),
    (
        "near_duplicates_across_splits",
        ERROR,
        "near_across",
        "picture(s) nearly the same as one in a split to be judged by: left out of the other",
    ),
    (
        "near_conflicting_labels",
        WARNING,
        "near_conflicting",
        "pictures nearly the same as one with another label: look at them",
    ),
    ("duplicates", WARNING, "copies", "further copies of a picture: each is used once"),
    (
        "near_duplicates",
        WARNING,
        "near",
        "pictures that are nearly the same as another: kept on one side of a split",
    ),
)


def _note_classes(book: _Notebook, labels: NDArray[np.int64], kept: NDArray[np.int64]) -> None:
    """Findings about classes, by what is kept of them."""
    listing = book.listing
    given = listing.splits if len(listing.splits) > 1 else []
    counts = Counter(int(label) for label in labels[kept])
    for split in given:
        there = {int(labels[n]) for n in kept if listing.pictures[n].split == split}
        missing = [c for k, c in enumerate(listing.classes) if k not in there]
        severity = ERROR if split == "train" else WARNING
        message = f"class(es) without a picture in {split}: {', '.join(missing[:5])}"
        book.add_paths("class_missing", severity, missing, message)
    few = [c for k, c in enumerate(listing.classes) if counts[k] < FEW]
    message = f"class(es) with fewer than {FEW} pictures: {', '.join(few[:5])}"
    book.add_paths("few_pictures", WARNING, few, message)
    if len(listing.classes) < 2:
        message = "class: there is nothing to tell apart"
        book.add_paths("one_class", ERROR, list(listing.classes), message)
    elif min(counts.values(), default=0) and len(counts) == len(listing.classes):
        (most, n), *_, (least, m) = counts.most_common()
        if n >= UNBALANCED * m:
            names = [listing.classes[most], listing.classes[least]]
            message = f"classes of very different size: {names[0]} {n:,}, {names[1]} {m:,} pictures"
            book.add_paths("imbalance", WARNING, names, message)
