"""Predict images without Neocog: python predict_onnx.py [--selftest] IMAGE ...

Needs onnxruntime, numpy and pillow. Written by `neocog export`.
"""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MODEL = Path(__file__).with_name("model.onnx")


def decode(content: bytes, rule: Any) -> Image.Image:
    """Decode an image file to RGB, upright; a large JPEG at a reduced scale."""
    image: Image.Image = Image.open(io.BytesIO(content))
    side = max(512, 2 * max(rule["image_size"]))
    image.draft(None, (min(side, image.width), min(side, image.height)))
    ImageOps.exif_transpose(image, in_place=True)
    if "A" in image.getbands() or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def fit(image: Image.Image, rule: Any) -> Any:
    """Convert an RGB image to the network's input, uint8 `(H, W, C)`."""
    (high, wide), (width, height) = rule["image_size"], image.size
    grey = np.asarray(image.convert("L"))
    if rule["channels"] == 1 and grey.shape == (high, wide) and is_on_dark(grey):
        return grey[:, :, None]
    if rule["fit"] == "crop":
        scale = max(rule["resize"] / min(height, width), high / height, wide / width)
        x, y = (width - wide / scale) / 2, (height - high / scale) / 2
        box = max(0, x), max(0, y), min(width, x + wide / scale), min(height, y + high / scale)
        image = image.resize((wide, high), Image.Resampling.BILINEAR, box)
    else:
        scale, pixels = min(high / height, wide / width), np.asarray(image)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = image.resize(size, Image.Resampling.BILINEAR)
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        ground = tuple(np.median(border, axis=0).astype(np.uint8).tolist())
        image = Image.new("RGB", (wide, high), ground)
        image.paste(small, ((wide - small.width) // 2, (high - small.height) // 2))
    if rule["channels"] == 3:
        return np.asarray(image)
    grey = np.asarray(image.convert("L"))
    inverted = rule["dark_background"] and not is_on_dark(grey)
    return (255 - grey if inverted else grey)[:, :, None]


def is_on_dark(grey: Any) -> bool:
    """Whether the border of a grey image is darker than the middle of its range."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return bool(np.median(border) <= np.median([grey.min(), grey.max()]))


def main(arguments: list[str]) -> None:
    """Print the label and the probability of each image, or run the self-test."""
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    card, selftest = json.loads(metadata["neocog"]), json.loads(metadata["neocog_selftest"])

    def predict(content: bytes) -> Any:
        image = fit(decode(content, card["preprocessing"]), card["preprocessing"])
        return session.run(["probabilities"], {"images": image[None]})[0][0]

    if "--selftest" in arguments:
        worst = 0.0
        for example in selftest["images"]:
            found = predict(base64.b64decode(example["png"]))
            worst = max(worst, float(np.abs(found - example["probabilities"]).max()))
        passed = worst <= selftest["tolerance"]
        print(f"{len(selftest['images'])} images, largest difference {worst:.1e}:", end=" ")
        sys.exit(print("passed") if passed else "failed: other probabilities than at the export")
    for path in arguments:
        probabilities = predict(Path(path).read_bytes())
        best = int(probabilities.argmax())
        rejected = ", rejected" if probabilities[best] < card["threshold"] else ""
        print(f"{path}: {card['classes'][best]} {probabilities[best]:.4f}{rejected}")


if __name__ == "__main__":
    main(sys.argv[1:])
