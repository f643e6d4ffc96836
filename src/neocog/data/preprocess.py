"""The single path from an image to the input of a network: training, prediction and export."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neocog.errors import NeocogError
from neocog.json_fields import FieldError, JsonValue, read_fields, short
from neocog.recipes.recipe import MOST_PIXELS_A_SIDE

if TYPE_CHECKING:
    import torch

RESIZE_MODES = ("digit", "square", "crop")


@dataclass(frozen=True)
class CropInfo:
    """The part of an image that the network receives.

    `box` is left, top, right and bottom as fractions of the image. `inverted` is True if dark and
    light are swapped; `as_it_is` is True if the image already has the network's size and format.
    """

    box: tuple[float, float, float, float]
    inverted: bool = False
    as_it_is: bool = False


@dataclass(frozen=True)
class Preprocessing:
    """The conversion of an image to the input of a network.

    `transform_image` converts any image to uint8 with `image_size` (height, width) and `channels`
    (1 grey, 3 RGB), the format in which datasets are held in memory; `normalize` then converts it
    to floats. `fit` is the resize mode: "digit" finds the ink, dark or light, and centres it in a
    `box` as MNIST does; "square" pads to a square with the border's colour and resizes, and with
    `dark_background` inverts images on a light background; "crop" resizes the short side to
    `resize` pixels and takes the centre, as is usual for photos. `mean` and `std` apply to images
    scaled to 0..1. With `mirrored` the prediction is the mean of those for the image and its mirror
    image. Raises NeocogError if a value is out of range or two values contradict each other.
    """

    image_size: tuple[int, int]
    channels: int
    fit: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    box: int = 20
    dark_background: bool = False
    mirrored: bool = False
    resize: int = 0

    def __post_init__(self) -> None:
        if self.fit not in RESIZE_MODES:
            raise NeocogError(
                f"Preprocessing has no rule {short(self.fit)}, only {', '.join(RESIZE_MODES)}."
            )
        self._check_sizes()
        if self.fit == "digit" and min(self.image_size) < self.box:
            raise NeocogError(
                f"Digits in a box of {self.box} x {self.box} do not fit into images of "
                f"{self.image_size[0]} x {self.image_size[1]}.",
                "Use {settings} or more.",
                [("image_size_pixels", round(self.box * 28 / 20))],
            )
        if not len(self.mean) == len(self.std) == self.channels:
            raise NeocogError(
                f"mean {short(self.mean)} and std {short(self.std)} must have one number for "
                f"each channel, and images have {'1' if self.channels == 1 else 'RGB, 3'}.",
                "Use {settings}.",
                [("mean", (0.5,) * self.channels), ("std", (0.5,) * self.channels)],
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or not min(self.std) > 0:
            raise NeocogError(
                f"mean {short(self.mean)} and std {short(self.std)} must be finite, and std above "
                "0."
            )

    def _check_sizes(self) -> None:
        most = MOST_PIXELS_A_SIDE
        if len(self.image_size) != 2 or not all(1 <= side <= most for side in self.image_size):
            raise NeocogError(
                f"A network's images have 1 to {most:,} pixels a side, not "
                f"{' x '.join(map(short, self.image_size))}."
            )
        if self.channels not in (1, 3):
            raise NeocogError(
                f"Images have 1 channel (grey) or 3 (RGB), not {short(self.channels)}."
            )
        least_box = 1 if self.fit == "digit" else 0
        if not least_box <= self.box <= most or not 0 <= self.resize <= 4 * most:
            raise NeocogError(
                f"`box` lies between {least_box} and {most:,} pixels and `resize` between 0 and "
                f"{4 * most:,}, not at {short(self.box)} and {short(self.resize)}."
            )

    @property
    def shrink_to(self) -> int:
        """The short side, in pixels, to which a JPEG may be reduced when decoded."""
        return max(512, *(2 * side for side in self.image_size))

    def transform_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert an RGB image, uint8 `(H, W, 3)`, to uint8 `(*image_size, channels)`.

        An image that already has the dataset's size and a dark background is returned bit for bit,
        so that a dataset saved as files is predicted as it was evaluated. Raises ImageError if
        mode "digit" finds no ink.
        """
        height, width = self.image_size
        if self._is_fitted(image):
            return self._centred(_grey(image)[:, :, None])
        if self.fit == "digit":
            from neocog.data.digits import find_digit  # imports SciPy, which is slow

            return find_digit(image, height, self.box)[:, :, None]
        if self.fit == "crop":
            fitted = _crop(image, height, width, self.resize)
        else:
            fitted = _square(image, height, width)
        if self.channels == 3:
            return fitted
        grey = _grey(fitted)
        if self.dark_background and not self._on_dark_ground(grey):
            grey = 255 - grey
        return grey[:, :, None]

    def crop_info(self, image: NDArray[np.uint8]) -> CropInfo:
        """The part of an image `(H, W, 3)` that `transform_image` uses. Raises as it does."""
        high, wide = image.shape[:2]
        whole = (0.0, 0.0, 1.0, 1.0)
        if self._is_fitted(image):
            return CropInfo(whole, as_it_is=True)
        if self.fit == "digit":
            from neocog.data.digits import find_ink

            return CropInfo(*find_ink(image))
        if self.fit == "crop":
            height, width = self.image_size
            left, top, right, bottom = _crop_box(high, wide, height, width, self.resize)
            return CropInfo((left / wide, top / high, right / wide, bottom / high))
        dark = not self.dark_background or self.channels == 3
        return CropInfo(whole, not (dark or self._on_dark_ground(_grey(image))))

    def _is_fitted(self, image: NDArray[np.uint8]) -> bool:
        """Whether an image has the dataset's size and background, and a digit is centred."""
        sizes = (self.image_size, self._published_size)
        if self.channels == 3 or image.shape[:2] not in sizes:
            return False
        grey = _grey(image)
        if not self._on_dark_ground(grey):
            return False
        return self.fit != "digit" or min(grey.shape) <= self.box or self._is_centred_in_box(grey)

    def _is_centred_in_box(self, grey: NDArray[np.uint8]) -> bool:
        """Whether a digit on black fills its box and is centred by mass.

        All 60,000 training images of MNIST pass: the longer side of the pixels above 32 is 18 to
        20, and the centre of mass is within half a pixel of the middle. Other 28 x 28 digits, such
        as small ones or thin ones centred by eye, are found and placed again.
        """
        rows, columns = np.nonzero(grey > 32)
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        mass = grey.astype(np.float64)
        offsets = [
            abs(float((mass.sum(axis=1 - axis) * np.arange(side)).sum() / mass.sum()) - side // 2)
            for axis, side in enumerate(grey.shape)
        ]
        return bool(0.9 * self.box <= longer <= self.box and max(offsets) <= 1)

    def transform_images(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert a dataset's images, `(N, H, W, C)`, to `image_size`.

        Published digits are centred already; their dark border becomes wider or narrower.
        """
        if images.shape[1:3] == self.image_size:
            return images
        if self.fit == "digit":
            return np.stack([self._centred(image) for image in images])
        rgb = (np.broadcast_to(image, (*image.shape[:2], 3)) for image in images)
        return np.stack([_square(image, *self.image_size)[:, :, : self.channels] for image in rgb])

    @property
    def _published_size(self) -> tuple[int, int]:
        """The size in which digits are published: 28 x 28 for MNIST's box of 20."""
        side = round(self.box * 28 / 20)
        return (side, side) if self.fit == "digit" else self.image_size

    def _centred(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Crop or pad an image, `(H, W, C)`, with 0 around its centre to `image_size`."""
        if image.shape[:2] == self.image_size:
            return image
        canvas = np.zeros((*self.image_size, image.shape[2]), dtype=np.uint8)
        source, target = [], []
        for have, want in zip(image.shape[:2], self.image_size, strict=True):
            size = min(have, want)
            source.append(slice((have - size) // 2, (have - size) // 2 + size))
            target.append(slice((want - size) // 2, (want - size) // 2 + size))
        canvas[tuple(target)] = image[tuple(source)]
        return canvas

    def _on_dark_ground(self, grey: NDArray[np.uint8]) -> bool:
        border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        if self.fit == "digit":
            return bool(np.median(border) <= 8 and grey.max() > 96)
        return bool(np.median(border) <= np.median([grey.min(), grey.max()]))

    def normalize(self, images: "torch.Tensor") -> "torch.Tensor":
        """Convert uint8 or float images 0..255, `(N, H, W, C)`, to float32 `(N, C, H, W)`."""
        import torch

        # Copies floats, too, because the operations below are in place.
        pixels = images.to(torch.float32, copy=True).permute(0, 3, 1, 2)
        if self.channels == 1:
            return pixels.mul_(1 / (255 * self.std[0])).sub_(self.mean[0] / self.std[0])
        std = torch.tensor(self.std, device=pixels.device).view(1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=pixels.device).view(1, -1, 1, 1)
        return pixels.mul_(1 / (255 * std)).sub_(mean / std)

    def to_json(self) -> dict[str, JsonValue]:
        """Return all fields as JSON values, which `from_json` reads."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: Any) -> "Preprocessing":
        """Read the value that `to_json` returned. Raises NeocogError if it is invalid."""
        if not isinstance(values, Mapping):
            raise NeocogError(f"{short(values)} is not a preprocessing, which is a JSON object.")
        fields = dataclasses.fields(Preprocessing)
        missing = [f.name for f in fields if f.default is dataclasses.MISSING]
        missing = [name for name in missing if name not in values]
        if missing:
            raise NeocogError(f"This is not a preprocessing: it has no `{missing[0]}`.")
        try:
            return Preprocessing(**read_fields(Preprocessing, values))
        except FieldError as error:
            raise NeocogError(f"This is not a preprocessing: {error}.") from None
        except KeyError as error:
            name = short(error.args[0])
            raise NeocogError(f"This is not a preprocessing: it has {name}.") from None


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if (image[:, :, 0] == image[:, :, 1]).all() and (image[:, :, 0] == image[:, :, 2]).all():
        return image[:, :, 0]
    return np.asarray(Image.fromarray(image).convert("L"))


def _crop(image: NDArray[np.uint8], height: int, width: int, resize: int) -> NDArray[np.uint8]:
    """Resize the short side to `resize` and take the central height x width pixels."""
    box = _crop_box(image.shape[0], image.shape[1], height, width, resize)
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box)
    return np.asarray(small)


def _crop_box(
    high: int, wide: int, height: int, width: int, resize: int
) -> tuple[float, float, float, float]:
    """The box that `_crop` takes from a high x wide image: left, top, right, bottom in pixels."""
    scale = max(resize / min(high, wide), height / high, width / wide)
    tall, broad = height / scale, width / scale
    top, left = (high - tall) / 2, (wide - broad) / 2
    return max(0.0, left), max(0.0, top), min(wide, left + broad), min(high, top + tall)


def _square(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize to fit into height x width; fill the rest with the border's median colour."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    ground = np.median(border, axis=0).astype(np.uint8)
    scale = min(height / image.shape[0], width / image.shape[1])
    tall, wide = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    canvas = np.empty((height, width, 3), dtype=np.uint8)
    canvas[:] = ground
    top, left = (height - tall) // 2, (width - wide) // 2
    small = Image.fromarray(image).resize((wide, tall), Image.Resampling.BILINEAR)
    canvas[top : top + tall, left : left + wide] = np.asarray(small)
    return canvas
