"""Optional methods of a network beside `forward`; checked with isinstance."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class FitsToImages(Protocol):
    """A network with a layer that is computed from training images instead of being trained."""

    def fit_to(self, images: Tensor) -> None:
        """Compute that layer from normalised images (N, C, H, W)."""


@runtime_checkable
class RejectsByOutput(Protocol):
    """A network whose paper rejects an image by its largest output, not by its probability."""

    rejects_by_output: bool


@runtime_checkable
class KnowsItsLargestLayer(Protocol):
    """A network that says how many values its largest layer gives per image."""

    values_per_image: int
