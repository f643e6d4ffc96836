"""A disk that fails, or loses its power, at the n-th thing that is written below a folder.

Linux only: files are identified through /proc and by their inodes.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

COUNTED = ("write", "fsync", "replace", "mkdir", "unlink")


class PowerLoss(BaseException):
    """The machine stops here: no handler of an error may make use of it."""


class Disk:
    """While it is entered, what is written below `root` is counted, and the `at`-th fails.

    `how`: `error` fails once, `full` from there on; `lost` and `zeros` end in PowerLoss. After it,
    `restore` leaves what a disk may hold then: with `lost` what was synced alone, names too; with
    `zeros` all names, and zeros where a file's content was not synced.
    """

    def __init__(self, root, at, how):
        self.root, self.at, self.how = Path(root).resolve(), at, how
        self.count, self.struck, self.dead = 0, "", False
        self.content, self.entries, self.handles, self.left = {}, {}, [], {}

    def __enter__(self):
        self.real = {name: getattr(os, name) for name in COUNTED}
        for folder, _, names in os.walk(self.root):
            self._note(folder)
            for name in names:
                self._note(os.path.join(folder, name))  # noqa: PTH118
        for name in COUNTED:
            setattr(os, name, getattr(self, f"_{name}"))
        return self

    def __exit__(self, *_):
        for name, function in self.real.items():
            setattr(os, name, function)
        for handle in self.handles:
            os.close(handle)

    def restore(self):
        """Leave what the disk holds after the power is back."""
        if not self.dead:
            return
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path, content in self.left.items():
            if content is None:
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(content)

    def _note(self, path):
        """What is on disk of a file or folder from now on. Its inode is held: it is not reused."""
        handle = os.open(path, os.O_RDONLY)
        number = os.fstat(handle).st_ino
        self.handles.append(handle)
        if os.path.isdir(path):  # noqa: PTH112
            with os.scandir(path) as found:
                self.entries[number] = {e.name: (e.inode(), e.is_dir()) for e in found}
        else:
            size = os.fstat(handle).st_size
            self.content[number] = os.pread(handle, size, 0)

    def _is_below(self, path):
        path = os.path.abspath(os.fspath(path))  # noqa: PTH100
        return f"{path}/".startswith(f"{self.root}/")

    def _fails(self, what, path):
        if self.dead or not self._is_below(path):
            return False
        self.count += 1
        lasting = self.how == "full" and self.count > self.at and what in ("write", "mkdir")
        if self.count != self.at and not lasting:
            return False
        if self.how in ("error", "full") and what == "unlink":
            self.at += 1  # what cannot be deleted is another story
            return False
        self.struck = self.struck or f"{what} {Path(path).name}"
        return True

    def _strike(self):
        if self.how in ("error", "full"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.dead = True
        self._capture(self.root)
        raise PowerLoss

    def _capture(self, folder):
        number = folder.stat().st_ino
        if self.how == "lost":
            self._capture_synced(number, folder)
            return
        for path in sorted(folder.rglob("*")):
            about = path.stat()
            synced = self.content.get(about.st_ino, b"")
            zeros = bytes(max(0, about.st_size - len(synced)))
            self.left[path] = None if path.is_dir() else synced + zeros

    def _capture_synced(self, number, folder):
        for name, (inner, is_folder) in self.entries.get(number, {}).items():
            path = folder / name
            self.left[path] = None if is_folder else self.content.get(inner, b"")
            if is_folder:
                self._capture_synced(inner, path)

    def _place(self, handle):
        with suppress(OSError):
            return os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115
        return "/"

    def _write(self, handle, data):
        if self._fails("write", self._place(handle)):
            self.real["write"](handle, bytes(data)[: len(data) // 2])
            self._strike()
        return self.real["write"](handle, data)

    def _fsync(self, handle):
        place = self._place(handle)
        if self._fails("fsync", place):
            self._strike()
        self.real["fsync"](handle)
        if not self.dead and self._is_below(place):
            self._note(f"/proc/self/fd/{handle}")

    def _replace(self, source, target, **options):
        if self._fails("replace", target):
            self._strike()
        self.real["replace"](source, target, **options)

    def _mkdir(self, path, *rest, **options):
        if self._fails("mkdir", path):
            self._strike()
        self.real["mkdir"](path, *rest, **options)

    def _unlink(self, path, *rest, **options):
        if self._fails("unlink", path):
            self._strike()
        self.real["unlink"](path, *rest, **options)


def strike_everywhere(root, how, prepare, work, check, most=400, step=1, first=1):
    """Do `work` once for every place where it may be struck, and `check` what is left each time.

    `prepare` makes the folder `root` as it is before. Returns how many places there were.
    """
    for at in range(first, most, step):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        prepare()
        with Disk(root, at, how) as disk:
            with suppress(PowerLoss, ValueError, OSError):  # NeocogError is a ValueError
                work()
            place = f"{how} {at}: {disk.struck}"
        if not disk.struck:
            return at - 1
        disk.restore()
        try:
            check()
        except Exception as error:
            raise AssertionError(f"after {place}: {error!r}") from error
    raise AssertionError(f"more than {most} places")
