"""A folder of class folders, or a zip or tar file of one, one picture a file."""

import os
from pathlib import Path

from neocog.data.archive import members
from neocog.data.listing import SUFFIXES, Listing, Picture, arrange, is_litter
from neocog.errors import NeocogError

SHEETS_MARK = ".neocog-contact-sheets"  # a file in the folders that the doctor draws into


def list_pictures(folder: Path) -> list[Path]:
    """The picture files below `folder`, sorted; hidden files and `__MACOSX` are left out."""
    found = (
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    return sorted(p for p in found if not is_litter(p.relative_to(folder).as_posix()))


def read_folder(folder: Path) -> Listing:
    """What a folder of class folders holds, with or without train and test folders above them.

    Classes are in the order of their names. A link to a file or folder outside is left out. Raises
    NeocogError where there are no pictures in class folders.
    """
    root = folder.resolve()
    files: dict[str, Path] = {}
    left_out: list[tuple[str, str]] = []

    def unreadable(error: OSError) -> None:
        left_out.append(("unread_folder", _shown(Path(error.filename), folder)))

    for above, folders, names in os.walk(folder, onerror=unreadable, followlinks=False):
        here = Path(above)
        if here != folder and _is_ours(names):
            folders.clear()
            continue
        for name in [*names, *(f for f in folders if (here / f).is_symlink())]:
            path, shown = here / name, _shown(here / name, folder)
            if is_litter(shown):
                continue
            if path.is_symlink() and not _is_inside(path, root):
                left_out.append(("link", shown))
            elif path.is_file():
                files[shown] = path
        if not folders and not names and here != folder:
            left_out.append(("empty_folder", _shown(here, folder)))
        folders[:] = sorted(f for f in folders if not is_litter(f))
    if any(kind == "link" for kind, _ in left_out) and not files:
        raise NeocogError(
            f"{folder} holds only links to files outside, which are not followed.",
            "Copy the pictures into it, or list them in a CSV file: path,label",
        )
    places, others = arrange(files, folder)
    pictures = [
        Picture(p.name, p.label, files[p.name], _stamp(files[p.name]), p.split) for p in places
    ]
    return Listing(folder, pictures, _classes(pictures), [*left_out, *others])


def _shown(path: Path, folder: Path) -> str:
    """The path below the folder as text: names in no UTF-8 are GBK, or what can be read of them."""
    raw = os.fsencode(path.relative_to(folder).as_posix())
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace")


def _is_ours(names: list[str]) -> bool:
    """Whether a folder is a run's or holds contact sheets: no picture of anybody's."""
    return {"recipe.json", "environment.json"} <= set(names) or SHEETS_MARK in names


def _is_inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # it leads to nothing, or to itself
        return False


def read_archive(path: Path) -> Listing:
    """What a zip or tar file of class folders holds; as `read_folder`, read in place."""
    found, outside = members(path)
    by_name = {member.name: member for member in found}
    places, left_out = arrange(by_name, path)
    pictures = [
        Picture(p.name, p.label, by_name[p.name].read, by_name[p.name].stamp, p.split)
        for p in places
    ]
    outside = [(kind, n) for kind, n in outside if kind != "empty_folder" or not is_litter(n)]
    return Listing(path, pictures, _classes(pictures), [*outside, *left_out])


def _classes(pictures: list[Picture]) -> tuple[str, ...]:
    return tuple(sorted({picture.label for picture in pictures}))


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns
