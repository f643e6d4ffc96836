"""Digits as people write them: what a trained network makes of other hands, pens and images.

    python benchmarks/handwriting.py RUN             one table: per kind, how many are right
    python benchmarks/handwriting.py RUN --sheet DIR  also contact sheets: images, what the network
                                                      gets of them, and the wrong ones

The images are made anew each time, always the same: MNIST's validation digits, never its test
digits, thinned to a line and written again with another pen, and digits from the stroke models
below, in forms that MNIST lacks. Kinds:

    paper         cut from printed squares, a pen on paper: uneven light, grain, JPEG; some touch
                  the edge, some keep a strip of the square's lines
    thin          white on black, 28 x 28, lines one pixel wide, of any size and anywhere
    mouse         a round brush on a canvas of 200 to 400 pixels
    continental   the stroke models, on paper, by mouse and thin
    digit_photos  ten photos, where a folder of NEOCOG_DATA has them
"""

import argparse
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import interpolate, ndimage

from neocog import data
from neocog.classifier import Classifier, load
from neocog.data.decode import read_images
from neocog.errors import NeocogError

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
COUNTS = {"paper": 600, "thin": 400, "mouse": 400, "continental": 600}
AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
GRID = 112  # the side that digits are thinned at: four times MNIST's

# Strokes through points "x,y", in hundredths, y downwards; "~" begins a curve, "-" straight pieces.
# The first character of a form is the digit that it is. Training sees none of them.
FORMS = """
1 upstroke: - 5,48 50,0 48,100
1 upstroke, long: - 0,62 50,2 52,100
1 upstroke, bent: ~ 5,45 30,28 50,2 - 50,2 50,100
1 upstroke, foot: - 12,36 50,0 50,100 - 20,100 80,98
7 bar: - 5,2 75,0 30,100 - 20,52 72,48
7 bar, curved: ~ 2,10 10,2 40,6 72,0 ~ 72,0 48,40 35,100 - 18,50 70,44
7 hook: - 5,16 7,0 70,2 35,100
9 curved foot: ~ 62,12 35,0 8,20 30,45 58,30 63,14 64,55 50,92 25,100 5,88
9 flat foot: ~ 60,10 34,0 10,22 30,46 56,32 62,12 ~ 62,10 63,50 58,85 45,98 5,100
9 straight: ~ 60,12 30,0 5,22 30,44 58,26 - 61,8 60,100
4 open: - 18,0 2,58 72,56 - 55,25 52,100
4 open, round: ~ 10,5 6,40 25,55 60,45 - 64,0 60,100
5 open: - 20,5 16,42 ~ 16,42 45,38 68,62 50,95 5,95 - 28,2 70,0
5 one stroke: ~ 72,2 30,2 20,20 15,42 40,36 65,60 50,95 2,98
6 open: ~ 50,0 22,25 8,65 25,98 52,88 55,66 36,56 20,66
6 straight top: ~ 42,0 18,40 10,75 30,100 55,80 40,58 12,72
2 loop: ~ 8,20 30,0 60,15 45,55 12,92 5,80 25,80 45,97 75,92
3 flat top: - 8,2 62,0 30,38 ~ 30,38 62,55 55,90 28,100 3,88
8 two circles: ~ 35,46 12,25 34,0 58,22 35,46 6,75 34,100 64,74 35,46
0 tail: ~ 40,2 8,30 15,85 45,98 64,55 50,10 30,4 50,16
"""


def forms() -> dict[str, list[tuple[str, Floats]]]:
    """The stroke models by name: each stroke's kind and its points, n x 2, in sides."""
    found: dict[str, list[tuple[str, Floats]]] = {}
    for line in FORMS.replace("\n    ", " ").strip().splitlines():
        name, _, strokes = line.partition(": ")
        found[name] = [
            (kind, np.array([point.split(",") for point in points.split()], dtype=float) / 100)
            for kind, points in re.findall(r"([~-]) ([\d, ]+)", strokes)
        ]
    return found


@dataclass(frozen=True)
class Drawn:
    """One image of the benchmark: H x W x 3, what it shows, and what it is counted as."""

    kind: str
    label: int
    image: Bytes
    form: str = ""


def images(seed: int = 0, share: float = 1.0) -> Iterator[Drawn]:
    """All images but the photos, or a share of them; `seed` decides them."""
    held = data.load("mnist").validation
    begin = 0
    for kind, way, stream in (("paper", on_paper, 5), ("thin", thin, 4), ("mouse", by_mouse, 5)):
        those = slice(begin, begin + round(COUNTS[kind] * share))
        for k, line in enumerate(thinned(held.images[those, :, :, 0])):
            random = np.random.default_rng([seed, stream, k])
            label = int(held.labels[begin + k])
            yield Drawn(kind, label, way(turned(as_strokes(line), random), random))
        begin += COUNTS[kind]
    models = forms()
    for k in range(round(COUNTS["continental"] * share)):
        form = list(models)[k % len(models)]
        random = np.random.default_rng([seed, 99, k])
        way = (on_paper, by_mouse, thin)[k // len(models) % 3]
        drawn = way(written(models[form], random), random)
        yield Drawn("continental", int(form[0]), drawn, form)


def thinned(batch: Bytes) -> NDArray[np.bool_]:
    """Digits, N x 28 x 28, as lines one pixel wide on N x GRID x GRID (Zhang and Suen, 1984)."""
    big = ndimage.zoom(batch.astype(np.float32), (1, GRID / 28, GRID / 28), order=1)
    on = np.pad(ndimage.gaussian_filter(big, (0, 1.5, 1.5)) > 100, ((0, 0), (1, 1), (1, 1)))
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            c = on[:, 1:-1, 1:-1]
            ring = [on[:, 1 + y : GRID + 1 + y, 1 + x : GRID + 1 + x] for y, x in AROUND]
            count = sum(p.astype(np.int8) for p in ring)
            turns = sum(
                (~a & b).astype(np.int8) for a, b in zip(ring, ring[1:] + ring[:1], strict=True)
            )
            n, e, s, w = ring[0], ring[2], ring[4], ring[6]
            free = ~(n & e & s) & ~(e & s & w) if first else ~(n & e & w) & ~(n & s & w)
            drop = c & (count >= 2) & (count <= 6) & (turns == 1) & free
            if drop.any():
                changed = True
                c &= ~drop
    return on[:, 1:-1, 1:-1]


def as_strokes(line: NDArray[np.bool_]) -> list[Floats]:
    """A thinned digit as short strokes, in units of its longer side, its corner at (0, 0)."""
    rows, columns = np.nonzero(line)
    points = np.stack([columns, rows], axis=1).astype(float)
    known = {(x, y): k for k, (x, y) in enumerate(points.astype(int).tolist())}
    pull = np.zeros_like(points)
    near = np.zeros(len(points))
    pairs = []
    for (x, y), k in known.items():
        for step in ((1, 0), (0, 1), (1, 1), (1, -1)):
            other = known.get((x + step[0], y + step[1]))
            if other is not None:
                pairs.append((k, other))
    edges = np.array(pairs).reshape(-1, 2)
    for _ in range(4):  # the stairs of the grid made smooth
        pull[:], near[:] = points, 1
        for a, b in ((0, 1), (1, 0)):
            np.add.at(pull, edges[:, a], points[edges[:, b]])
            np.add.at(near, edges[:, a], 1)
        points = pull / near[:, None]
    points -= points.min(axis=0)
    points /= max(1.0, points.max())
    return [points[pair] for pair in edges] or [points]


def written(strokes: list[tuple[str, Floats]], random: np.random.Generator) -> list[Floats]:
    """A stroke model by another hand: each point a little elsewhere, the whole turned."""
    lines = []
    for kind, given in strokes:
        points = given + random.normal(0, 0.018, (len(given), 2))
        if kind == "~":
            curve, _ = interpolate.splprep(points.T, s=0, k=min(3, len(points) - 1))
            points = np.stack(interpolate.splev(np.linspace(0, 1, 60), curve), axis=1)
        lines.append(points)
    return turned(lines, random, 1.0)


def turned(lines: list[Floats], random: np.random.Generator, much: float = 0.6) -> list[Floats]:
    """Slanted, stretched and turned at random; the longer side is 1 again."""
    slant, wide, angle = random.normal(0, (0.13 * much, 0.12 * much, 0.07 * much))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, -slant], [0, 1]])
    lines = [line @ (matrix * [np.exp(wide), 1]).T for line in lines]
    low = np.min([line.min(axis=0) for line in lines], axis=0)
    size = np.max([(line - low).max() for line in lines])
    return [(line - low) / size for line in lines]


def ink_of(
    lines: list[Floats], shape: tuple[int, int], at: Floats, side: float, pen: float
) -> Floats:
    """How much of each pixel a round pen covers, 0..1."""
    fine = 6 if max(shape) < 100 else 3
    canvas = Image.new("L", (shape[1] * fine, shape[0] * fine))
    draw = ImageDraw.Draw(canvas)
    radius = pen * fine / 2
    for line in lines:
        path = [tuple(p) for p in (line * side + at) * fine]
        draw.line(path, 255, max(1, round(pen * fine)))
        for x, y in path:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    small = canvas.resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def extent(lines: list[Floats]) -> Floats:
    return np.max([line.max(axis=0) for line in lines], axis=0)


def on_paper(lines: list[Floats], random: np.random.Generator) -> Bytes:
    """Cut from a printed square: any size from 40 to 300 pixels."""
    high = round(float(np.exp(random.uniform(np.log(40), np.log(300)))))
    wide = round(high * random.uniform(0.8, 1.15))
    shape = (high, wide)
    side = min(high, wide) * random.uniform(0.5, 0.92)
    pen = max(0.8, min(high, wide) * float(np.exp(random.uniform(np.log(0.018), np.log(0.09)))))
    room = np.array([wide, high]) - extent(lines) * side
    at = room * random.uniform(0.15, 0.85, 2)
    if random.random() < 0.25:  # it touches one edge, and may lose a little of itself
        axis = int(random.integers(2))
        over = random.uniform(-0.02, 0.03) * side
        at[axis] = -over if random.random() < 0.5 else room[axis] + over
    ink = ink_of(lines, shape, at, side, pen) * random.uniform(0.55, 1.0)
    printed = _printed_lines(shape, random)
    paper = random.uniform(185, 250) * np.array([1, 1, 1]) - random.uniform((0, 0, 0), (8, 8, 25))
    colour = np.array([(30, 30, 35), (40, 50, 140), (70, 70, 75), (20, 30, 90)][random.integers(4)])
    line_colour = paper * random.uniform(0.1, 0.75)
    out = np.broadcast_to(paper, (*shape, 3)) * np.ones((*shape, 1))
    out = out * (1 - printed[..., None]) + line_colour * printed[..., None]
    out = out * (1 - ink[..., None]) + colour * ink[..., None]
    ys, xs = np.mgrid[-0.5 : 0.5 : high * 1j, -0.5 : 0.5 : wide * 1j]
    angle, fall = random.uniform(0, 2 * np.pi), random.uniform(0, 0.4)
    out *= (1 - fall * (0.5 + xs * np.cos(angle) + ys * np.sin(angle)))[..., None]
    grain = ndimage.gaussian_filter(random.normal(0, 1, shape), 0.7)
    out += (grain * random.uniform(0, 10))[..., None]
    out = ndimage.gaussian_filter(out, (*[random.uniform(0, 0.008) * high] * 2, 0))
    kept = io.BytesIO()
    Image.fromarray(np.rint(out.clip(0, 255)).astype(np.uint8)).save(
        kept, "JPEG", quality=int(random.integers(40, 95))
    )
    return np.asarray(Image.open(kept))


def _printed_lines(shape: tuple[int, int], random: np.random.Generator) -> Floats:
    """Strips of the printed square's lines that the cut left, along up to four edges."""
    high, wide = shape
    printed = np.zeros(shape)
    if random.random() < 0.45:
        return printed
    tilt = random.normal(0, 0.008)
    thick = max(1.0, random.uniform(0.008, 0.03) * high)
    for edge in range(4):
        if random.random() < 0.5:
            continue
        inset = random.uniform(-0.8 * thick, 0.035 * high)
        along, away = (
            (np.arange(wide), np.arange(high)) if edge < 2 else (np.arange(high), np.arange(wide))
        )
        place = inset + tilt * (along - along.mean()) * (1 if edge % 2 else -1)
        from_edge = away if edge % 2 == 0 else away[::-1]
        depth = from_edge[:, None] + 0.5 - place[None, :]
        strip = np.clip(0.5 + np.minimum(depth, thick - depth), 0, 1)
        printed = np.maximum(printed, strip if edge < 2 else strip.T)
    return printed


def thin(lines: list[Floats], random: np.random.Generator) -> Bytes:
    """White on black, 28 x 28: a line of a pixel, its edges smooth or not, anywhere."""
    side = random.uniform(12, 25)
    room = 27 - extent(lines) * side
    at = 0.5 + room * random.uniform(0.1, 0.9, 2)
    if random.random() < 0.5:
        ink = ink_of(lines, (28, 28), at, side, random.uniform(0.7, 1.3)) * random.uniform(0.7, 1)
    else:
        canvas = Image.new("L", (28, 28))
        draw = ImageDraw.Draw(canvas)
        for line in lines:
            draw.line([tuple(p) for p in np.floor(line * side + at)], 255, 1)
        ink = np.asarray(canvas) / 255.0
    return np.repeat(np.rint(ink * 255).astype(np.uint8)[..., None], 3, axis=2)


def by_mouse(lines: list[Floats], random: np.random.Generator) -> Bytes:
    """A canvas of 200 to 400 pixels, either way round, a round brush."""
    size = int(random.integers(200, 401))
    side = size * random.uniform(0.4, 0.9)
    room = size - extent(lines) * side
    ink = ink_of(lines, (size, size), room * random.uniform(0.05, 0.95, 2), side,
                 size * random.uniform(0.012, 0.09))  # fmt: skip
    grey = np.rint(255 * (ink if random.random() < 0.5 else 1 - ink)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def photos() -> list[Drawn]:
    """The ten photos, where they are."""
    for folder in os.environ.get("NEOCOG_DATA", "").split(os.pathsep):
        files = sorted((Path(folder) / "digit_photos").glob("*.jpg"))
        if files:
            read = read_images(files, lambda image: image, 512)
            return [Drawn("digit_photos", int(f.stem), p) for f, p in zip(files, read, strict=True)]
    return []


def answers(classifier: Classifier, drawn: list[Drawn]) -> tuple[NDArray[np.int64], Bytes]:
    """What the classifier says of each image (-1: it finds no digit), and what its network gets."""
    rule = classifier.preprocessing
    blank = np.zeros((*rule.image_size, rule.channels), dtype=np.uint8)
    fitted, empty = [], []
    for one in drawn:
        try:
            fitted.append(rule.transform_image(one.image))
        except NeocogError:
            fitted.append(blank)
        empty.append(fitted[-1] is blank)
    stack = np.stack(fitted)
    said = np.array([int(classifier.classes[k]) for k in classifier.probabilities(stack).argmax(1)])
    return np.where(empty, -1, said), stack


def table(drawn: list[Drawn], said: NDArray[np.int64], by: Callable[[Drawn], str]) -> str:
    """One line a kind: name, n, how many are right, the share, what wrong ones are read as."""
    lines = [f"{'':<18} {'n':>5} {'right':>6} {'share':>7}   read as"]
    for name in dict.fromkeys(map(by, drawn)):
        of = [k for k, one in enumerate(drawn) if by(one) == name]
        right = sum(said[k] == drawn[k].label for k in of)
        wrong = [f"{drawn[k].label}>{said[k]}" for k in of if said[k] != drawn[k].label]
        common = sorted(set(wrong), key=lambda w: (-wrong.count(w), w))[:8]
        told = ", ".join(f"{w} {wrong.count(w)}" for w in common)
        lines.append(f"{name:<18} {len(of):>5} {right:>6} {100 * right / len(of):>6.1f}%   {told}")
    return "\n".join(lines)


def sheet(drawn: list[Drawn], said: NDArray[np.int64], fitted: Bytes, path: Path) -> None:
    """Images in pairs, each beside what the network gets, with label and answer above."""
    across, cell = 12, 64
    down = -(-len(drawn) // across)
    page = Image.new("RGB", (across * (2 * cell + 8), down * (cell + 18)), (60, 60, 90))
    draw = ImageDraw.Draw(page)
    for k, one in enumerate(drawn):
        x, y = k % across * (2 * cell + 8), k // across * (cell + 18)
        image = Image.fromarray(one.image)
        image.thumbnail((cell, cell)) if max(image.size) > cell else None
        scale = cell / max(image.size)
        page.paste(image.resize([max(1, round(s * scale)) for s in image.size]), (x, y + 14))
        page.paste(
            Image.fromarray(fitted[k, :, :, 0]).resize((cell, cell), 0), (x + cell + 2, y + 14)
        )
        draw.text((x + 2, y + 1), f"{one.label} > {said[k]}", fill=(255, 255, 255))
    page.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="a run, a model file, or latest")
    parser.add_argument("--share", type=float, default=1.0, help="of the images, 0..1")
    parser.add_argument("--sheet", type=Path, metavar="DIR")
    options = parser.parse_args()
    classifier = load(options.run)
    drawn = [*images(share=options.share), *photos()]
    said, fitted = answers(classifier, drawn)
    print(table(drawn, said, lambda one: one.kind))
    print()
    forms = [k for k, one in enumerate(drawn) if one.form]
    print(table([drawn[k] for k in forms], said[forms], lambda one: one.form))
    if options.sheet:
        options.sheet.mkdir(parents=True, exist_ok=True)
        for kind in dict.fromkeys(one.kind for one in drawn):
            of = [k for k, one in enumerate(drawn) if one.kind == kind]
            wrong = [k for k in of if said[k] != drawn[k].label][:120]
            for name, chosen in ((kind, of[:96]), (f"{kind}-wrong", wrong)):
                if chosen:
                    some = [drawn[k] for k in chosen]
                    sheet(some, said[chosen], fitted[chosen], options.sheet / f"{name}.png")


if __name__ == "__main__":
    main()
