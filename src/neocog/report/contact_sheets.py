"""Contact sheets: one sheet per class with many of its images, to spot problems."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from neocog.data.sources.folder import CONTACT_SHEETS_MARKER
from neocog.escaping import visible
from neocog.examine import DatasetInspection
from neocog.rendering.fonts import pillow_font
from neocog.rendering.tiling import Tiling
from neocog.storage.atomic import make_folder, sweep, write_atomic
from neocog.wording import counted

MAX_CLASSES, COLUMNS, ROWS, MIN_COLUMNS = 100, 10, 10, 4
SIDE, GAP, CAPTION, HEADING, FRAME = 96, 4, 14, 30, 3  # pixels
INK, RED = "#222222", "#b3261e"
LEGEND = "red frame: excluded from training"


def draw(inspection: DatasetInspection, folder: Path) -> list[Path]:
    """Write CLASS.png for each class to `folder` and return the paths.

    A sheet has up to a hundred images with the ends of their file names: first images that are
    excluded from training, with a red frame, then an even selection of the others. Sheets of an
    earlier call are deleted.
    """
    usable, included = inspection.decoded.readable, set(inspection.report.indices.tolist())
    labels = np.array([inspection.index.samples[n].label for n in usable], dtype=object)
    make_folder(folder)
    sweep(folder)
    mark = folder / CONTACT_SHEETS_MARKER
    for old in mark.read_text("utf-8").splitlines() if mark.exists() else ():
        (folder / old).unlink(missing_ok=True)
    written: list[Path] = []
    for name in inspection.index.classes[:MAX_CLASSES]:
        positions = np.nonzero(labels == name)[0]
        if not len(positions):
            continue
        is_excluded = np.array([int(usable[n]) not in included for n in positions])
        excluded = positions[is_excluded][: COLUMNS * ROWS // 2]
        others = np.setdiff1d(positions, excluded)
        room = min(len(others), COLUMNS * ROWS - len(excluded))
        selection = others[np.linspace(0, len(others) - 1, room).astype(int)]
        cells = [
            (int(n), int(usable[n]) not in included) for n in np.concatenate([excluded, selection])
        ]
        count = f": {counted(len(positions), 'image')}"
        if len(cells) < len(positions):
            count += f", {len(cells):,} shown"
        sheet = _draw_sheet(inspection, cells, visible(" ".join(name.split())), count)
        path = folder / f"{_file_name(name)}.png"
        if path in written:
            path = folder / f"{_file_name(name)} {len(written)}.png"
        drawn = io.BytesIO()
        sheet.save(drawn, "PNG")
        write_atomic(path, drawn.getvalue())
        written.append(path)
    write_atomic(mark, "".join(f"{file.name}\n" for file in written))
    return written


def _draw_sheet(
    inspection: DatasetInspection, cells: Sequence[tuple[int, bool]], name: str, count: str
) -> Image.Image:
    """The images at these positions of the decoded dataset, framed where True, under a heading.

    The heading is the class name, shortened if necessary, and the count.
    """
    tiling = Tiling(
        len(cells),
        COLUMNS,
        cell=(SIDE, SIDE + CAPTION),
        gap=(GAP, GAP),
        margin=(GAP, HEADING + GAP, GAP, GAP),
        min_columns=MIN_COLUMNS,
    )
    has_excluded = any(framed for _, framed in cells)
    sheet = tiling.sheet()
    pen, font, small_font = ImageDraw.Draw(sheet), pillow_font(14), pillow_font(9)
    legend_width = round(small_font.getlength(LEGEND)) + 14 if has_excluded else 0
    room = sheet.width - 3 * GAP - legend_width
    while font.getlength(name + count) > room and len(name) > 1:
        name = name[:-2] + "…"
    pen.text((GAP, HEADING / 2), name + count, INK, font, anchor="lm")
    if has_excluded:
        pen.text((sheet.width - GAP, HEADING / 2), LEGEND, RED, small_font, anchor="rm")
    for cell, (position, framed) in enumerate(cells):
        left, top = tiling.corner(cell)
        if framed:
            frame = (left - FRAME, top - FRAME, left + SIDE + FRAME, top + SIDE + FRAME)
            sheet.paste(RED, frame)
        image = Image.fromarray(inspection.decoded.images[position])
        sheet.paste(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), (left, top))
        path = inspection.index.samples[inspection.decoded.readable[position]].path
        caption = _shorten_left(visible(PurePosixPath(path).name), small_font)
        pen.text((left, top + SIDE + 1), caption, INK, small_font)
    return sheet


def _shorten_left(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of the end of a file name as fits under an image."""
    while font.getlength(name) > SIDE:
        name = "…" + name[2:]
    return name


def _file_name(name: str) -> str:
    safe = "".join("_" if c in '/\\:*?"<>|' else c for c in visible(name))
    return safe[:60] or "_"
