"""Datasets with one folder per class and one file per image."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from neocog.data.sources.index import (
    SUFFIXES,
    DatasetIndex,
    Sample,
    is_system_file,
    parse_layout,
    sorted_classes,
)
from neocog.errors import NeocogError

CONTACT_SHEETS_MARKER = ".neocog-contact-sheets"  # marks folders written by `neocog data --sheets`


def list_images(folder: Path) -> list[Path]:
    """List the image files below `folder`, sorted, without hidden files and `__MACOSX`.

    Special files (FIFOs, sockets, devices) are included; reading them raises the error.
    """
    paths = (
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.is_dir()
    )
    return sorted(p for p in paths if not is_system_file(p.relative_to(folder).as_posix()))


def can_read(path: Path) -> bool:
    """Whether `path` is a folder."""
    return path.is_dir()


def read(folder: Path, allow_outside: bool = False) -> DatasetIndex:
    """Index a folder of class folders, with or without split folders (train, test) above them.

    Classes are sorted by name. Links to files or folders outside are not used, unless
    `allow_outside` is set. Raises NeocogError if no image is in a class folder.
    """
    files, unused = _scan(folder, allow_outside)
    if any(kind == "link" for kind, _ in unused) and not files:
        raise NeocogError(
            f"{folder} holds only links to files outside it, which are not followed.",
            "If you trust their targets, add {settings}.",
            [("allow_outside", True)],
        )
    places, misplaced = parse_layout(files, folder)
    samples = [
        Sample(p.name, p.label, files[p.name], _stamp(files[p.name]), p.split) for p in places
    ]
    return DatasetIndex(folder, samples, sorted_classes(samples), [*unused, *misplaced])


def _display_path(path: Path, folder: Path) -> str:
    """The relative path as text; a name that is not UTF-8 is decoded as GBK if possible."""
    raw = os.fsencode(path.relative_to(folder).as_posix())
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace")


def _is_generated(names: list[str]) -> bool:
    """Whether Neocog wrote the folder: a run folder or contact sheets."""
    return {"recipe.json", "environment.json"} <= set(names) or CONTACT_SHEETS_MARKER in names


def _scan(folder: Path, allow_outside: bool) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Return the files below `folder` by relative path, and (kind, path) of unused entries."""
    root = folder.resolve()
    files: dict[str, Path] = {}
    unused: list[tuple[str, str]] = []

    def unreadable(error: OSError) -> None:
        unused.append(("unread_folder", _display_path(Path(error.filename), folder)))

    followed: set[Path] = set()
    for here, folders, names in _walk(folder, followed, unreadable):
        if here != folder and _is_generated(names):
            folders.clear()
            continue
        for name in [*names, *(f for f in folders if (here / f).is_symlink())]:
            path, shown = here / name, _display_path(here / name, folder)
            kind = "" if is_system_file(shown) else _file_type(path, root, allow_outside, followed)
            if kind == "file":
                files[shown] = path
            elif kind in ("link", "special"):
                unused.append((kind, shown))
        if not folders and not names and here != folder:
            unused.append(("empty_folder", _display_path(here, folder)))
        folders[:] = sorted(f for f in folders if not is_system_file(f))
    return files, unused


def _file_type(path: Path, root: Path, allow_outside: bool, followed: set[Path]) -> str:
    """The type of `path`: file, folder, special, or link (a link that is not followed).

    If links outside are allowed, the target folder of `path` is added to `followed`.
    """
    if path.is_symlink() and not is_inside(path, root):
        target = _link_target(path) if allow_outside else None
        if target is None or target in followed:
            return "link"
        if target.is_dir():
            followed.add(target)
    if path.is_file():
        return "file"
    return "folder" if path.is_dir() else "special"


def _walk(
    folder: Path, followed: set[Path], unreadable: Callable[[OSError], None]
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk a folder like `os.walk`, and also enter links to the folders in `followed`.

    Each target is entered once, so that circular links terminate.
    """
    begun: set[Path] = set()
    tops = [folder]
    while tops:
        for above, folders, names in os.walk(tops.pop(), onerror=unreadable, followlinks=False):
            here = Path(above)
            yield here, folders, names
            for link in (here / name for name in folders if (here / name).is_symlink()):
                target = _link_target(link)
                if target in followed and target not in begun:
                    begun.add(target)
                    tops.append(link)


def _link_target(link: Path) -> Path | None:
    """The target of a link, or None if the link is broken or circular."""
    try:
        return link.resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def is_inside(path: Path, root: Path) -> bool:
    """Whether a file, with links resolved, is inside `root`, which must itself be resolved."""
    target = _link_target(path)
    return target is not None and target.is_relative_to(root)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
