"""Predict images. Needs onnxruntime, numpy, pillow. python predict_onnx.py [--selftest] IMAGE..."""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def decode(content: bytes, rule: Any) -> Image.Image:
    """Decode an image file to RGB, upright; a large JPEG at a reduced scale."""
    image: Image.Image = Image.open(io.BytesIO(content))
    image.draft(None, (max(512, 2 * max(rule["image_size"])),) * 2)
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
    model = Path(__file__).with_name("model.onnx")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    card, selftest = json.loads(metadata["neocog"]), json.loads(metadata["neocog_selftest"])

    def predict(content: bytes) -> Any:
        image = fit(decode(content, card["preprocessing"]), card["preprocessing"])
        return session.run(["probabilities"], {"images": image[None]})[0][0]

    if arguments == ["--selftest"]:
        pairs = [(base64.b64decode(x["png"]), x["probabilities"]) for x in selftest["images"]]
        worst = max(float(np.abs(predict(png) - expected).max()) for png, expected in pairs)
        print(f"{len(pairs)} images, largest difference of a probability {worst:.1e}")
        sys.exit("failed" if worst > selftest["tolerance"] else None)
    for path in arguments:
        found = predict(Path(path).read_bytes())
        rejected = " (rejected)" * bool(found.max() < card["threshold"])
        print(f"{path}: {card['classes'][found.argmax()]} {found.max():.4f}{rejected}")


if __name__ == "__main__":
    main(sys.argv[1:])
