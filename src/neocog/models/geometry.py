"""Sizes of feature maps, and the refusal of images that are too small for a network."""

from neocog.errors import UsageError


def convolved(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """An axis after a convolution or a pooling: (W - F + 2P) / S + 1, rounded down."""
    return (size - kernel + 2 * padding) // stride + 1


def require(network: str, image_size: tuple[int, int], fits: bool, least: str) -> None:
    """Raise UsageError where images of `image_size` do not fit the network."""
    if not fits:
        raise UsageError(
            f"{network} needs images of at least {least}, not {image_size[0]} x {image_size[1]}.",
            f"Say --set image_size_pixels={least.split()[0]}, or choose another network: --model "
            "threenet takes any.",
        )
