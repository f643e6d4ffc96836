"""A folder of class folders, or a zip or tar file of one, one image a file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from neocog.data.sources.archive import members
from neocog.data.sources.index import SUFFIXES, DatasetIndex, Sample, is_litter, parse_layout
from neocog.errors import NeocogError

SHEETS_MARK = ".neocog-contact-sheets"  # a file in the folders that the doctor draws into


def list_images(folder: Path) -> list[Path]:
    """The image files below `folder`, sorted; hidden files and `__MACOSX` are left out.

    What is no regular file is among them: it is refused where it is read.
    """
    found = (
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.is_dir()
    )
    return sorted(p for p in found if not is_litter(p.relative_to(folder).as_posix()))


def read_folder(folder: Path, allow_outside: bool = False) -> DatasetIndex:
    """What a folder of class folders holds, with or without train and test folders above them.

    Classes are in the order of their names. A link to a file or folder outside is left out, unless
    `allow_outside` is set. Raises NeocogError where there are no images in class folders.
    """
    files, left_out = _files_of(folder, allow_outside)
    if any(kind == "link" for kind, _ in left_out) and not files:
        raise NeocogError(
            f"{folder} holds only links to files outside it, which are not followed.",
            "If you trust where they lead, add: --follow-links",
        )
    places, others = parse_layout(files, folder)
    samples = [
        Sample(p.name, p.label, files[p.name], _stamp(files[p.name]), p.split) for p in places
    ]
    return DatasetIndex(folder, samples, _classes(samples), [*left_out, *others])


def _shown(path: Path, folder: Path) -> str:
    """The path below the folder as text: names in no UTF-8 are GBK, or what can be read of them."""
    raw = os.fsencode(path.relative_to(folder).as_posix())
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace")


def _is_ours(names: list[str]) -> bool:
    """Whether a folder is a run's or holds contact sheets: no image of anybody's."""
    return {"recipe.json", "environment.json"} <= set(names) or SHEETS_MARK in names


def _files_of(folder: Path, allow_outside: bool) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """The files below a folder by their paths below it, and (kind, path) of what is left out."""
    root = folder.resolve()
    files: dict[str, Path] = {}
    left_out: list[tuple[str, str]] = []

    def unreadable(error: OSError) -> None:
        left_out.append(("unread_folder", _shown(Path(error.filename), folder)))

    followed: set[Path] = set()
    for here, folders, names in _walk(folder, followed, unreadable):
        if here != folder and _is_ours(names):
            folders.clear()
            continue
        for name in [*names, *(f for f in folders if (here / f).is_symlink())]:
            path, shown = here / name, _shown(here / name, folder)
            kind = "" if is_litter(shown) else _kind(path, root, allow_outside, followed)
            if kind == "file":
                files[shown] = path
            elif kind in ("link", "special"):
                left_out.append((kind, shown))
        if not folders and not names and here != folder:
            left_out.append(("empty_folder", _shown(here, folder)))
        folders[:] = sorted(f for f in folders if not is_litter(f))
    return files, left_out


def _kind(path: Path, root: Path, allow_outside: bool, followed: set[Path]) -> str:
    """What is at `path`: file, folder, special, or link, which is not to be followed.

    A folder outside that a link leads to is added to `followed` where that is allowed.
    """
    if path.is_symlink() and not is_inside(path, root):
        leads_to = _leads_to(path) if allow_outside else None
        if leads_to is None or leads_to in followed:
            return "link"
        if leads_to.is_dir():
            followed.add(leads_to)
    if path.is_file():
        return "file"
    return "folder" if path.is_dir() else "special"


def _walk(
    folder: Path, followed: set[Path], unreadable: Callable[[OSError], None]
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`os.walk`, which also goes into links to the folders that have come into `followed`.

    Each is gone into once, so that links in a circle end.
    """
    begun: set[Path] = set()
    tops = [folder]
    while tops:
        for above, folders, names in os.walk(tops.pop(), onerror=unreadable, followlinks=False):
            here = Path(above)
            yield here, folders, names
            for link in (here / name for name in folders if (here / name).is_symlink()):
                leads_to = _leads_to(link)
                if leads_to in followed and leads_to not in begun:
                    begun.add(leads_to)
                    tops.append(link)


def _leads_to(link: Path) -> Path | None:
    """The file or folder that a link leads to, None where it leads to nothing or to itself."""
    try:
        return link.resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def is_inside(path: Path, root: Path) -> bool:
    """Whether a file, wherever links lead, is inside `root`, a folder without links in its path."""
    leads_to = _leads_to(path)
    return leads_to is not None and leads_to.is_relative_to(root)


def read_archive(path: Path) -> DatasetIndex:
    """What a zip or tar file of class folders holds; as `read_folder`, read in place."""
    found, outside = members(path)
    by_name = {member.name: member for member in found}
    places, left_out = parse_layout(by_name, path)
    samples = [
        Sample(p.name, p.label, by_name[p.name].read, by_name[p.name].stamp, p.split)
        for p in places
    ]
    outside = [(kind, n) for kind, n in outside if kind != "empty_folder" or not is_litter(n)]
    return DatasetIndex(path, samples, _classes(samples), [*outside, *left_out])


def _classes(samples: list[Sample]) -> tuple[str, ...]:
    return tuple(sorted({sample.label for sample in samples}))


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns
