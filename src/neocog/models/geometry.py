"""Feature map sizes, and the check that images are large enough for a network."""

from neocog.errors import UsageError


def conv_output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Return the size of an axis after a convolution or pooling: floor((W - F + 2P) / S) + 1."""
    return (size - kernel + 2 * padding) // stride + 1


def require(network: str, image_size: tuple[int, int], fits: bool, minimum: str) -> None:
    """Raise UsageError unless `fits`; `minimum` is the smallest image size, such as "32 x 32"."""
    if not fits:
        raise UsageError(
            f"{network} needs images of at least {minimum}, not {image_size[0]} x {image_size[1]}.",
            "Use {image_size_pixels}, or another network: {model} takes any size.",
            [("image_size_pixels", int(minimum.split()[0])), ("model", "threenet")],
        )
