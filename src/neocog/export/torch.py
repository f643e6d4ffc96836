"""A trained network as a `.pt2` file, which `torch.export.load` reads without Neocog."""

import io
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from neocog.export.onnx import ExportGraph, example_images
from neocog.export.parity import Network
from neocog.models.inference import InferenceModule


def to_program(module: InferenceModule) -> torch.export.ExportedProgram:
    """Trace a network with torch.export, for any number of images.

    The program maps uint8 images `(N, H, W, C)` to logits and probabilities, `(N, K)`.
    """
    images = {0: torch.export.Dim("N", min=1)}
    graph = ExportGraph(module).eval()
    with torch.no_grad():
        return torch.export.export(graph, (example_images(module),), dynamic_shapes=(images,))


def save(program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """Write a program as a `.pt2` file; `metadata` become its extra files."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=dict(metadata))
    return buffer.getvalue()


def pt2_network(content: bytes) -> Network:
    """The probabilities that a `.pt2` file computes."""
    network = torch.export.load(io.BytesIO(content)).module()

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            _, probabilities = network(torch.tensor(images))
        result: NDArray[np.float32] = probabilities.numpy()
        return result

    return run


def module_network(module: InferenceModule) -> Network:
    """The probabilities that the network itself computes: the reference."""

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        device = next(module.parameters()).device
        with torch.inference_mode():
            probabilities = module.probabilities(torch.tensor(images, device=device))
        result: NDArray[np.float32] = probabilities.cpu().numpy()
        return result

    return run
