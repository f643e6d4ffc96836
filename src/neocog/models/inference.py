"""From uint8 images to logits and probabilities, as one module.

Training works on the network alone. Everything that uses a trained network - prediction,
evaluation, explanations, export - runs an `InferenceModule`, so that all of them normalise the
images, average mirrored views and apply the temperature in the same way.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neocog.data.images import Images
from neocog.data.preprocess import Preprocessing
from neocog.inspection.fuse_batch_norm import folded
from neocog.models.protocols import KnowsItsLargestLayer
from neocog.progress import Progress, no_progress

BATCH_SIZE = 500
BATCH_VALUES = 2**28  # of one layer, 1 GB in float32
BATCH_PIXELS = 1600 * 1024  # bounds the memory that large images take: 32 of 224 x 224 at a time
MANY = 32  # large images from which on fusing batch norms first saves time


class InferenceModule(nn.Module):
    """Normalisation, network, mirrored views and temperature.

    `network` maps normalised images (N, C, H, W), float32, to logits (N, K). With
    `preprocessing.mirrored` the logits are the mean over each image and its mirror image.
    `temperature` (above 0) divides them.
    """

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.temperature = temperature

    def normalize(self, images: Tensor) -> Tensor:
        """The network's input (N, C, H, W), float32, for uint8 images (N, H, W, C)."""
        return self.preprocessing.normalize(images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K), float32, of uint8 images (N, H, W, C)."""
        inputs = self.normalize(images)  # (N, C, H, W)
        logits: Tensor = self.network(inputs).float()  # (N, K)
        if self.preprocessing.mirrored:
            logits = (logits + self.network(inputs.flip(3)).float()) / 2
        return logits / self.temperature

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities (N, K) of uint8 images (N, H, W, C)."""
        return torch.softmax(self(images), dim=1)


def batch_size_for(shape: Sequence[int], network: nn.Module) -> int:
    """The number of images of shape (N, H, W, C) per batch where nothing is trained.

    A layer pattern with many feature maps gets fewer: a model file may hold any pattern.
    """
    size = min(BATCH_SIZE, BATCH_PIXELS // (shape[1] * shape[2]))
    if isinstance(network, KnowsItsLargestLayer):
        size = min(size, BATCH_VALUES // max(1, network.values_per_image))
    return max(1, size)


def batch_of(images: Images | Tensor, begin: int, size: int, device: torch.device) -> Tensor:
    """`size` images from `begin` on, uint8 (N, H, W, C), on the device."""
    batch = images[begin : begin + size]
    return batch if isinstance(batch, Tensor) else torch.tensor(batch, device=device)


@torch.inference_mode()
def predict_logits(
    module: InferenceModule,
    images: Images | Tensor,
    progress: Progress = no_progress,
) -> Tensor:
    """Logits (N, K), float32, of uint8 images (N, H, W, C), computed batch by batch.

    They stay on the network's device. The network runs in evaluation mode; its own mode is restored
    afterwards. The stage of `progress` is `predict`, in images.
    """
    network = module.network
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    size = batch_size_for(images.shape, network)
    if len(images) > MANY and size < BATCH_SIZE:
        example = module.normalize(batch_of(images, 0, 1, device))
        module = InferenceModule(folded(network, example), module.preprocessing, module.temperature)
    batches = []
    for begin in range(0, len(images), size):
        batches.append(module(batch_of(images, begin, size, device)))
        progress("predict", min(begin + size, len(images)), len(images))
    network.train(was_training)
    return torch.cat(batches) if batches else torch.empty(0, 0)
