"""Contact sheets: many images of one class on one page, so that a person sees what is wrong."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neocog.data.sources.folder import CONTACT_SHEETS_MARKER
from neocog.escaping import visible
from neocog.examine import DatasetInspection
from neocog.rendering.fonts import drawn_font
from neocog.storage.atomic import make_folder, sweep, write_atomic
from neocog.wording import counted

MOST_CLASSES = 100
COLUMNS, ROWS, SIDE, GAP, CAPTION, HEAD = 10, 10, 96, 4, 14, 30  # from SIDE on in pixels
INK, RED = "#222222", "#b3261e"


def draw(found: DatasetInspection, folder: Path) -> list[Path]:
    """Write CLASS.png for each class into `folder` and return the files.

    A sheet shows up to a hundred images with the ends of their names: those that are left out of
    training first, with a red frame, then others taken evenly from all of the class. Sheets drawn
    before are deleted.
    """
    usable, kept = found.decoded.readable, set(found.report.indices.tolist())
    labels = np.array([found.index.samples[n].label for n in usable], dtype=object)
    make_folder(folder)
    sweep(folder)
    mark = folder / CONTACT_SHEETS_MARKER
    for old in mark.read_text("utf-8").splitlines() if mark.exists() else ():
        (folder / old).unlink(missing_ok=True)
    written: list[Path] = []
    for name in found.index.classes[:MOST_CLASSES]:
        places = np.nonzero(labels == name)[0]
        if not len(places):
            continue
        out = places[[int(usable[place]) not in kept for place in places]][: COLUMNS * ROWS // 2]
        rest = np.setdiff1d(places, out)
        even = np.linspace(0, len(rest) - 1, min(len(rest), COLUMNS * ROWS - len(out))).astype(int)
        few = np.concatenate([out, rest[even]])
        shown = [(int(place), int(usable[place]) not in kept) for place in few]
        count = f": {counted(len(places), 'image')}"
        if len(shown) < len(places):
            count += f", {len(shown):,} shown"
        sheet = _sheet(found, shown, visible(" ".join(name.split())), count)
        path = folder / f"{_file_name(name)}.png"
        if path in written:
            path = folder / f"{_file_name(name)} {len(written)}.png"
        drawn = io.BytesIO()
        sheet.save(drawn, "PNG")
        write_atomic(path, drawn.getvalue())
        written.append(path)
    write_atomic(mark, "".join(f"{file.name}\n" for file in written))
    return written


def _sheet(
    found: DatasetInspection, shown: Sequence[tuple[int, bool]], name: str, count: str
) -> Image.Image:
    """The images at some places of what is decoded, those with True framed, under a heading.

    The heading is the name, shortened where it has to be, and the count.
    """
    step = SIDE + GAP
    width = max(4, min(len(shown), COLUMNS)) * step + GAP  # 4: the heading needs room
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (width, HEAD + rows * (step + CAPTION) + GAP), "white")
    pen, font, small_font = ImageDraw.Draw(sheet), drawn_font(14), drawn_font(9)
    legend = "framed: left out of training" if any(framed for _, framed in shown) else ""
    room = width - 3 * GAP - round(small_font.getlength(legend)) - (14 if legend else 0)
    while font.getlength(name + count) > room and len(name) > 1:
        name = name[:-2] + "…"
    pen.text((GAP, HEAD / 2), name + count, INK, font, anchor="lm")
    if legend:
        pen.text((width - GAP, HEAD / 2), legend, RED, small_font, anchor="rm")
    for n, (place, framed) in enumerate(shown):
        left, top = n % COLUMNS * step + GAP, HEAD + n // COLUMNS * (step + CAPTION) + GAP
        if framed:
            sheet.paste(RED, (left - 3, top - 3, left + SIDE + 3, top + SIDE + 3))
        pixels = Image.fromarray(found.decoded.images[place])
        sheet.paste(pixels.resize((SIDE, SIDE), Image.Resampling.BILINEAR), (left, top))
        path = found.index.samples[found.decoded.readable[place]].path
        stem = _end(visible(PurePosixPath(path).name), small_font)
        pen.text((left, top + SIDE + 1), stem, INK, small_font)
    return sheet


def _end(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of the end of a file's name as there is room for under an image."""
    while font.getlength(name) > SIDE:
        name = "…" + name[2:]
    return name


def _file_name(name: str) -> str:
    safe = "".join("_" if c in '/\\:*?"<>|' else c for c in visible(name))
    return safe[:60] or "_"
