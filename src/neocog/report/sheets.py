"""Contact sheets: many pictures of one class on one page, so that a person sees what is wrong."""

from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neocog.data.folder import SHEETS_MARK
from neocog.examine import Examination
from neocog.report.fonts import chinese_font

MOST_CLASSES = 100
COLUMNS, ROWS, SIDE, GAP, CAPTION = 10, 10, 96, 4, 14  # the last three in pixels


def draw(found: Examination, folder: Path) -> list[Path]:
    """Write CLASS.png for each class into `folder` and return the files.

    A sheet shows up to a hundred pictures with the ends of their names: those that are left out of
    training first, with a red frame, then others taken evenly from all of the class. Sheets drawn
    before are deleted.
    """
    file = chinese_font()
    font = ImageFont.truetype(file, 9) if file else ImageFont.load_default(9)
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
        out = places[[int(usable[place]) not in kept for place in places]][: COLUMNS * ROWS // 2]
        rest = np.setdiff1d(places, out)
        count = min(len(rest), COLUMNS * ROWS - len(out))
        even = np.linspace(0, len(rest) - 1, count).astype(int)
        few = np.concatenate([out, rest[even]])
        rows = -(-len(few) // COLUMNS)
        step = SIDE + GAP
        width = min(len(few), COLUMNS) * step + GAP
        sheet = Image.new("RGB", (width, rows * (step + CAPTION) + GAP), "white")
        pen = ImageDraw.Draw(sheet)
        for n, place in enumerate(few):
            pixels = found.decoded.images[place]
            left, top = n % COLUMNS * step + GAP, n // COLUMNS * (step + CAPTION) + GAP
            if int(usable[place]) not in kept:
                sheet.paste("#b3261e", (left - 3, top - 3, left + SIDE + 3, top + SIDE + 3))
            small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            sheet.paste(small, (left, top))
            stem = PurePosixPath(found.listing.pictures[usable[place]].path).name
            pen.text((left, top + SIDE + 1), _end(stem, font), "#222222", font)
        path = folder / f"{_file_name(name)}.png"
        if path in written:
            path = folder / f"{_file_name(name)} {len(written)}.png"
        sheet.save(path)
        written.append(path)
    mark.write_text("".join(f"{file.name}\n" for file in written), "utf-8")
    return written


def _end(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of the end of a file's name as there is room for under a picture."""
    while font.getlength(name) > SIDE:
        name = "…" + name[2:]
    return name


def _file_name(name: str) -> str:
    return "".join("_" if c in '/\\:*?"<>|' else c for c in name)[:60] or "_"
