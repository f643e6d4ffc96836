"""Batches out of memory: uint8 images on the device, taken by index, no hidden state."""

from collections.abc import Iterator

import torch
from torch import Tensor

from neocog.data.images import ImageSet, LazyImages


def to_device(split: ImageSet, device: torch.device) -> tuple[Tensor | LazyImages, Tensor]:
    """The images (uint8, N x H x W x C) and labels (int64, N) of a split, on the device.

    Images that are too many for memory stay where they are.
    """
    labels = torch.tensor(split.labels, device=device)
    if isinstance(split.images, LazyImages):
        return split.images, labels
    return torch.tensor(split.images, device=device), labels


def seeded(*key: int) -> torch.Generator:
    """A CPU generator that depends on the numbers of `key` and on nothing else."""
    state = 0x9E3779B97F4A7C15
    for number in key:  # splitmix64: neighbouring keys give unrelated streams
        state = (state + number * 0xBF58476D1CE4E5B9) % 2**64
        state ^= state >> 30
        state = state * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    return torch.Generator().manual_seed(state % 2**63)


def order(count: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch takes `count` images, decided by (seed, epoch)."""
    return torch.randperm(count, generator=seeded(seed, epoch, 0))


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Where an epoch of `count` images is cut into batches: (begin, end) of each.

    The last batch holds what remains; a single image, of which a batch norm can tell no variance,
    joins the batch before it.
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
    """(number, images, labels) of the batches that `indices` make, from batch `first` on.

    Nothing is copied but the batch itself.
    """
    indices = indices.to(labels.device)
    for number, (begin, end) in enumerate(batch_bounds[first:], start=first):
        chosen = indices[begin:end]
        if isinstance(images, LazyImages):
            batch = torch.from_numpy(images[chosen.cpu().numpy()]).to(labels.device)
        else:
            # index_select copies rows; indexing with [] walks single bytes, ten times slower.
            batch = images.index_select(0, chosen)
        yield number, batch, labels.index_select(0, chosen)
