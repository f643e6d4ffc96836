"""Random changes to a batch of pictures: pure functions of the batch and a generator.

A batch is float32, N x C x H x W, values 0..255 on a dark ground (0); so is what comes back.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def shift(batch: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Move every picture by whole pixels, -pixels..pixels each way; what moves in is 0."""
    n, _, height, width = batch.shape
    offset = torch.randint(0, 2 * pixels + 1, (2, n, 1), generator=generator)
    rows = (offset[0] + torch.arange(height)).to(batch.device)
    columns = (offset[1] + torch.arange(width)).to(batch.device)
    padded = F.pad(batch, (pixels, pixels, pixels, pixels))
    picture = torch.arange(n, device=batch.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def affine(
    batch: Tensor,
    generator: torch.Generator,
    rotate_degrees: float,
    scale_fraction: float,
    shear_fraction: float,
    shift_pixels: float,
) -> Tensor:
    """Turn, stretch, shear and move every picture, each uniformly within plus-minus its bound.

    A stretch by `scale_fraction` s is by a factor between exp(-s) and exp(s). Bilinear.
    """
    n, height, width = len(batch), batch.shape[2], batch.shape[3]
    u = torch.rand(6, n, generator=generator) * 2 - 1
    angle = u[0] * math.radians(rotate_degrees)
    across, down = torch.exp(-u[1] * scale_fraction), torch.exp(-u[2] * scale_fraction)
    shear = u[3] * shear_fraction
    cos, sin = torch.cos(angle), torch.sin(angle)
    to_x, to_y = u[4] * shift_pixels * 2 / width, u[5] * shift_pixels * 2 / height
    theta = torch.stack(
        [
            torch.stack([cos * across, (cos * shear - sin) * across, to_x], dim=1),
            torch.stack([sin * down, (sin * shear + cos) * down, to_y], dim=1),
        ],
        dim=1,
    ).to(batch.device)
    grid = F.affine_grid(theta, list(batch.shape), align_corners=False)
    return F.grid_sample(batch, grid, align_corners=False)


def strokes(batch: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Thicken the strokes of a `fraction` of the pictures by a pixel, and thin half as many."""
    moved = F.pad(batch, (1, 0, 1, 0))
    left, up, both = moved[..., 1:, :-1], moved[..., :-1, 1:], moved[..., :-1, :-1]
    thick = torch.maximum(torch.maximum(batch, left), torch.maximum(up, both))
    thin = torch.minimum(torch.minimum(batch, left), up)
    u = torch.rand(len(batch), generator=generator).to(batch.device)[:, None, None, None]
    return torch.where(u < fraction, thick, torch.where(u > 1 - fraction / 2, thin, batch))
