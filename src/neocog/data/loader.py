"""Batches from in-memory tensors, taken by index, with no hidden state."""

from collections.abc import Iterator

import torch
from torch import Tensor

from neocog.data.images import ImageSet, LazyImages


def to_device(split: ImageSet, device: torch.device) -> tuple[Tensor | LazyImages, Tensor]:
    """Copy the images (uint8, `(N, H, W, C)`) and labels (int64, `(N,)`) of a split to the device.

    Images that do not fit into memory stay on disk.
    """
    labels = torch.tensor(split.labels, device=device)
    if isinstance(split.images, LazyImages):
        return split.images, labels
    return torch.tensor(split.images, device=device), labels


def seeded(*key: int) -> torch.Generator:
    """Return a CPU generator that depends only on the numbers in `key`."""
    state = 0x9E3779B97F4A7C15
    for number in key:  # splitmix64, so that similar keys give unrelated streams
        state = (state + number * 0xBF58476D1CE4E5B9) % 2**64
        state ^= state >> 30
        state = state * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    return torch.Generator().manual_seed(state % 2**63)


def order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of `count` images in an epoch, a function of (seed, epoch)."""
    return torch.randperm(count, generator=seeded(seed, epoch, 0))


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Split `count` images into batches; return the (begin, end) of each.

    The last batch has the remainder. A single remaining image joins the batch before it, because
    batch norm cannot compute a variance from one image.
    """
    ends = list(range(batch_size, count, batch_size))
    if ends and batch_size > 1 and count - ends[-1] == 1:
        ends.pop()
    ends.append(count)
    return list(zip([0, *ends], ends, strict=False))


def batches(
    images: Tensor | LazyImages,
    labels: Tensor,
    indices: Tensor,
    batch_bounds: list[tuple[int, int]],
    first: int = 0,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield (number, images, labels) of each batch of `indices`, starting with batch `first`.

    Only the batch is copied.
    """
    indices = indices.to(labels.device)
    for number, (begin, end) in enumerate(batch_bounds[first:], start=first):
        chosen = indices[begin:end]
        if isinstance(images, LazyImages):
            batch = torch.from_numpy(images[chosen.cpu().numpy()]).to(labels.device)
        else:
            # index_select copies whole rows; indexing with [] copies bytes and is ten times slower.
            batch = images.index_select(0, chosen)
        yield number, batch, labels.index_select(0, chosen)
