"""WebDataset: tar files of samples, `KEY.jpg` beside `KEY.cls` or `KEY.json`.

A dataset is one tar file, a folder of them, or a pattern such as `train-{000000..000007}.tar`.
"""

import io
import itertools
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from neocog.data.sources.archive import TAR_SUFFIXES, ArchiveMember, decompressed, members
from neocog.data.sources.index import (
    SUFFIXES,
    DatasetIndex,
    Sample,
    is_system_file,
    sorted_classes,
    split_of_shard,
)
from neocog.errors import NeocogError
from neocog.json_fields import parse
from neocog.wording import counted

LABEL_FIELDS = ("cls", "label")  # of a JSON file
MAX_LABEL_BYTES = {".cls": 2**12, ".json": 2**20}
MAX_SHARDS = 100_000
MAX_COMPRESSED_SHARDS = 200  # each is an open temporary file while it is in use
# The beginning of a tar file, which tells whether it is one: all files of a sample are adjacent.
BEGINNING_BYTES = 16 * 2**20
BRACES = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")


def can_read(path: Path) -> bool:
    """Whether `path` is a WebDataset: a tar file, a folder of tar files, or a pattern of them.

    A tar file is one if an image in its beginning has a `.cls` file beside it, or a `.json` file
    while no image is in a folder. Other tar files contain class folders, and so does a folder that
    has folders beside its tar files.
    """
    if is_pattern(str(path)):
        return True
    with suppress(OSError):  # a folder that cannot be listed: its own reader says so
        shards = _shards(path)
        if shards and path.is_dir():
            entries = (entry for entry in path.iterdir() if not is_system_file(entry.name))
            shards = [] if any(entry.is_dir() for entry in entries) else shards
        return bool(shards) and _begins_with_samples(shards[0])
    return False


def is_pattern(name: str) -> bool:
    """Whether a name with braces, `train-{000..007}.tar`, stands for several tar files."""
    braces = BRACES.search(name)
    return bool(braces) and _is_tar(name) and not os.path.exists(name)  # noqa: PTH110 - long names


def read(path: Path, allow_outside: bool = False) -> DatasetIndex:  # noqa: ARG001 - as all readers
    """Index the samples of one or more tar files, in place.

    The class is the text of `KEY.cls`, or the field `cls` or `label` of `KEY.json`. If all classes
    are whole numbers, they are sorted as such. With several files the split is the beginning of a
    file's name (`train-000000.tar`), and `train` by default. Raises NeocogError if a file is
    damaged or missing, or no image has a class.
    """
    shards = _shards(path)
    _check_shards(path, shards)
    splits = {split_of_shard(shard.name) for shard in shards}
    samples: list[Sample] = []
    unused: list[tuple[str, str]] = []
    if path.is_dir():
        others = sorted(set(path.iterdir()) - set(shards))
        unused += [("other_file", f.name) for f in others if not is_system_file(f.name)]
    for shard in shards:
        found, ignored = _read_shard(shard)
        split = split_of_shard(shard.name) if len(splits) > 1 else None
        prefix = f"{shard.name}/" if len(shards) > 1 else ""
        samples += (replace(s, path=f"{prefix}{s.path}", split=split) for s in found)
        unused += ((kind, f"{prefix}{name}") for kind, name in ignored)
    if not samples:
        raise NeocogError(
            f"{path} holds no image with a class ({counted(len(unused), 'file')} unused).",
            "Expected pairs KEY.jpg and KEY.cls, with the class as text or as a number.",
        )
    classes = sorted_classes(samples)
    if all(re.fullmatch(r"[0-9]{1,18}", name) for name in classes):
        classes = tuple(sorted(classes, key=lambda name: (int(name), name)))
    return DatasetIndex(path, samples, classes, unused)


def _read_shard(shard: Path) -> tuple[list[Sample], list[tuple[str, str]]]:
    """The samples in a tar file, and (kind, name) of what is unused in it."""
    files, unused = members(shard)
    unused = [(kind, name) for kind, name in unused if kind != "empty_folder"]
    images: dict[str, ArchiveMember] = {}
    labels: dict[tuple[str, str], ArchiveMember] = {}
    for member in files:
        key, extension = _key(member.name)
        if is_system_file(member.name):
            continue
        if extension in SUFFIXES:
            if key in images:
                unused.append(("repeated_key", member.name))
            images.setdefault(key, member)
        elif extension in MAX_LABEL_BYTES:
            labels.setdefault((key, extension), member)
        elif extension != ".txt":  # captions belong to the format
            unused.append(("other_file", member.name))
    unused += [("other_file", m.name) for (key, _), m in labels.items() if key not in images]
    samples = []
    for key, image in images.items():
        label = _label(labels.get((key, ".cls"))) or _label(labels.get((key, ".json")))
        if label:
            samples.append(Sample(image.name, label, image.read, image.stamp))
        else:
            unused.append(("no_cls", image.name))
    return samples, unused


def _label(member: ArchiveMember | None) -> str:
    """The class in a `.cls` or `.json` file; empty if there is none."""
    if member is None:
        return ""
    _, extension = _key(member.name)
    if member.stamp[0] > MAX_LABEL_BYTES[extension]:
        return ""
    try:
        text = member.read().decode("utf-8-sig")
        value = text if extension == ".cls" else _label_field(parse(text))
    except ValueError:  # UnicodeDecodeError is one
        return ""
    name = str(value).strip()
    return name if len(name.splitlines()) == 1 else ""


def _label_field(content: Any) -> str | int:
    """The class in the content of a JSON file; empty if there is none."""
    fields = content if isinstance(content, dict) else {}
    values = [fields[name] for name in LABEL_FIELDS if name in fields]
    is_class = values and isinstance(values[0], str | int) and not isinstance(values[0], bool)
    return values[0] if is_class else ""


def _shards(path: Path) -> list[Path]:
    """The tar files that `path` names, in order; those of a pattern need not exist."""
    if path.is_dir():
        return sorted(f for f in path.iterdir() if _is_tar(f.name) and f.is_file())
    if not is_pattern(str(path)):
        return [path] if _is_tar(path.name) and path.is_file() else []
    texts = BRACES.split(str(path))[::3]
    names = itertools.product(*_ranges(str(path)))
    return [Path(_joined(texts, numbers)) for numbers in itertools.islice(names, MAX_SHARDS + 1)]


def _check_shards(path: Path, shards: list[Path]) -> None:
    """Raise NeocogError if there are none or too many tar files, or one is missing."""
    compressed = sum(not shard.name.lower().endswith(".tar") for shard in shards)
    if len(shards) > MAX_SHARDS or compressed > MAX_COMPRESSED_SHARDS:
        most = MAX_SHARDS if len(shards) > MAX_SHARDS else MAX_COMPRESSED_SHARDS
        kind = "tar files" if len(shards) > MAX_SHARDS else "compressed tar files"
        raise NeocogError(f"{path} names more than {most:,} {kind}.", "Name fewer at a time.")
    missing = next((shard for shard in shards if not shard.is_file()), None)
    if missing or not shards:
        raise NeocogError(
            f"{path} names {missing or 'no files'}{', which is missing' if missing else ''}.",
            "Braces count from the first to the last number: train-{000000..000007}.tar",
        )


def _ranges(name: str) -> Iterator[list[str]]:
    """The numbers of each pair of braces, with leading zeros."""
    for first, last in BRACES.findall(name):
        numbers = range(int(first), int(last) + 1)[: MAX_SHARDS + 1]
        yield [str(n).zfill(len(first)) for n in numbers]


def _joined(texts: list[str], numbers: Iterable[str]) -> str:
    pairs = itertools.zip_longest(texts, numbers, fillvalue="")
    return "".join(itertools.chain.from_iterable(pairs))


def _is_tar(name: str) -> bool:
    return name.lower().endswith(TAR_SUFFIXES)


def _key(name: str) -> tuple[str, str]:
    """The key and the extension of a file: the extension begins at the first dot of its name."""
    path = PurePosixPath(name)
    stem, _, extension = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, f".{extension.lower()}"


def _begins_with_samples(shard: Path) -> bool:
    names = [name for name in _first_names(shard) if not is_system_file(name)]
    files = {_key(name) for name in names}
    images = {key for key, extension in files if extension in SUFFIXES}
    if any((key, ".cls") in files for key in images):
        return True
    return any((key, ".json") in files for key in images) and not any("/" in k for k in images)


def _first_names(shard: Path) -> list[str]:
    """The names of the files in the beginning of a tar file; empty if it is damaged."""
    names: list[str] = []
    with suppress(Exception), decompressed(shard) as file:  # zlib.error, lzma.LZMAError, ...
        beginning = io.BytesIO(file.read(BEGINNING_BYTES))
        with tarfile.open(fileobj=beginning, mode="r:") as archive:
            names += (str(PurePosixPath(entry.name)) for entry in archive if entry.isreg())
    return names
