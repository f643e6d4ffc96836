"""Contact sheets: many pictures of one class on one page, so that a person sees what is wrong."""

from pathlib import Path

import numpy as np
from PIL import Image

from neocog.data.folder import SHEETS_MARK
from neocog.examine import Examination

MOST_CLASSES = 100
COLUMNS, ROWS, SIDE, GAP = 10, 10, 96, 4  # pixels


def draw(found: Examination, folder: Path) -> list[Path]:
    """Write CLASS.png for each class into `folder` and return the files.

    A sheet shows up to a hundred pictures, taken evenly from all of the class, those that are left
    out of training with a red frame.
    """
    usable, kept = found.decoded.usable, set(found.diagnosis.kept.tolist())
    labels = np.array([found.listing.pictures[n].label for n in usable], dtype=object)
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / SHEETS_MARK
    for old in mark.read_text("utf-8").splitlines() if mark.exists() else ():
        (folder / old).unlink(missing_ok=True)
    written: list[Path] = []
    for name in found.listing.classes[:MOST_CLASSES]:
        places = np.nonzero(labels == name)[0]
        if not len(places):
            continue
        few = places[np.linspace(0, len(places) - 1, min(len(places), COLUMNS * ROWS)).astype(int)]
        rows = -(-len(few) // COLUMNS)
        step = SIDE + GAP
        width = min(len(few), COLUMNS) * step + GAP
        sheet = Image.new("RGB", (width, rows * step + GAP), "white")
        for n, place in enumerate(few):
            pixels = found.decoded.images[place]
            left, top = n % COLUMNS * step + GAP, n // COLUMNS * step + GAP
            if int(usable[place]) not in kept:
                sheet.paste("#b3261e", (left - 3, top - 3, left + SIDE + 3, top + SIDE + 3))
            small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            sheet.paste(small, (left, top))
        path = folder / f"{_file_name(name)}.png"
        if path in written:
            path = folder / f"{_file_name(name)} {len(written)}.png"
        sheet.save(path)
        written.append(path)
    mark.write_text("".join(f"{file.name}\n" for file in written), "utf-8")
    return written


def _file_name(name: str) -> str:
    return "".join("_" if c in '/\\:*?"<>|' else c for c in name)[:60] or "_"
