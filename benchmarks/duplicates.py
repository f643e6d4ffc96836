"""How many planted copies `neocog data` finds, how many it makes up, and how long it takes.

python benchmarks/duplicates.py PHOTOS           copies of photos: cropped, mirrored, saved anew ...
python benchmarks/duplicates.py PHOTOS --small   also the time for 10,000 images, and what is found
                                                 among digits and CIFAR-10's small images
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from neocog import data
from neocog.data import decode
from neocog.data.duplicates import near_duplicates
from neocog.data.sources.folder import list_images
from neocog.messages.phrases import fill

EACH = 200  # copies of a kind
random = np.random.default_rng(0)


def cropped(image, share):
    """A part of the image at a random place, its sides this share of the image's."""
    wide, high = (round(side * share) for side in image.size)
    left, top = (
        random.integers(0, image.width - wide + 1),
        random.integers(0, image.height - high + 1),
    )
    return image.crop((left, top, left + wide, top + high))


def mirrored(image):
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def saved(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


COPIES = {
    "crop to 90%": lambda image: cropped(image, 0.9),
    "crop to 80%": lambda image: cropped(image, 0.8),
    "mirrored": mirrored,
    "mirrored, crop to 90%": lambda image: mirrored(cropped(image, 0.9)),
    "JPEG, quality 30": lambda image: Image.open(io.BytesIO(saved(image, 30))),
    "brightness 0.6": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "brightness 1.3": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "resized to a third": lambda image: image.resize((image.width // 3, image.height // 3)),
}


def thumb_of(image):
    """The image's small grey form, as the doctor has it of a file."""
    with decode.ignore_pillow_warnings():
        return decode.decode_with_metadata(saved(image, 90), 512, lambda image: image)[2]


def planted(folder):
    """Copies of photos among all of them: recall by kind, and the precision of what is joined."""
    images = [Image.open(path).convert("RGB") for path in list_images(folder)]
    thumbnails = [thumb_of(image) for image in images]
    kinds, origins = ["photo"] * len(images), list(range(len(images)))
    before = near_duplicates(np.stack(thumbnails), np.arange(len(thumbnails)))
    found = fill("{n:pair is|pairs are} found", n=len(before))
    print(f"{len(images):,} photos, in which {found}")
    for kind, copy in COPIES.items():
        for n in random.choice(len(images), min(EACH, len(images)), replace=False):
            thumbnails.append(thumb_of(copy(images[n])))
            kinds.append(kind)
            origins.append(int(n))
    began = time.perf_counter()
    groups = near_duplicates(np.stack(thumbnails), np.arange(len(thumbnails)))
    seconds = time.perf_counter() - began
    joined = np.arange(len(thumbnails))
    right = pairs = 0
    for group in groups:
        joined[group] = group[0]
        same = np.array(origins)[group]
        pairs += len(group) * (len(group) - 1) // 2
        right += sum(n * (n - 1) // 2 for n in np.unique(same, return_counts=True)[1])
    print(f"{'copies':<24}{'found':>7}{'of':>6}{'recall':>9}")
    for kind in COPIES:
        members = [n for n, k in enumerate(kinds) if k == kind]
        found = sum(joined[n] == joined[origins[n]] for n in members)
        print(f"{kind:<24}{found:>7}{len(members):>6}{found / len(members):>9.1%}")
    print(f"precision {right / max(1, pairs):.4f}: {right:,} of {pairs:,} joined pairs are copies")
    print(f"{len(thumbnails):,} images in {seconds:.1f} s")


def small():
    """Images in which there is nothing to be found, or little; and the time for many."""
    form = data.DataConfig((0.5,) * 3, (0.5,) * 3)
    for name, count, given in (
        ("mnist5k", 3500, data.DataConfig()),
        ("cifar10", 2000, form),
        ("cifar10", 10000, form),
    ):
        images = np.asarray(data.load(name, given).train.images[:count])
        grey = [Image.fromarray(i[:, :, 0] if i.shape[2] == 1 else i).convert("L") for i in images]
        side = (decode.THUMBNAIL_SIZE, decode.THUMBNAIL_SIZE)
        thumbnails = np.stack([np.asarray(g.resize(side, Image.Resampling.BOX)) for g in grey])
        began, used = time.perf_counter(), time.process_time()
        groups = near_duplicates(thumbnails, np.arange(len(thumbnails)))
        seconds = time.perf_counter() - began
        used = time.process_time() - used
        joined = sum(map(len, groups))
        print(
            f"{name}, {count:,} images: {len(groups)} groups of {joined} in "
            f"{seconds:.1f} s, {used:.1f} s of processor"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args()
    planted(asked.photos)
    if asked.small:
        small()


if __name__ == "__main__":
    main()
