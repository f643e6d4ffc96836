"""A trained network as one ONNX file: uint8 images in, logits and probabilities out.

torch's older exporter is used, through TorchScript (`dynamo=False`). `benchmarks/export.py`
measured both on all networks of `MODELS` (docs/howto/elsewhere.md has the table): for the 22 whose
files are below 100 MB the older one takes 24 seconds in sum and the newer 115, above that neither
is faster throughout; differences to torch are the same, at most 2.6e-6; the newer one's files are
up to 12% larger, and it needs onnxscript besides.
"""

import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neocog.export.graph import FEATURE_MAPS, FEATURES, LOGITS, PROBABILITIES, with_metadata
from neocog.inspection.hooks import record_layers
from neocog.models.inference import InferenceModule

OPSET = 17  # the first with LayerNormalization; read by ONNX Runtime 1.12 (2022) and later


class ExportGraph(nn.Module):
    """What a file computes: logits and probabilities `(N, K)` of uint8 images `(N, H, W, C)`.

    With `pooling`, the name of the network's last global average pooling, the third output is that
    layer's input, the feature maps `(N, M, h, w)` of the images (not of their mirror images).
    """

    def __init__(self, module: InferenceModule, pooling: str | None = None) -> None:
        super().__init__()
        self.module = module
        self.pooling = pooling

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return logits, probabilities and, if asked for, feature maps."""
        logits, *maps = self.with_maps(images)
        return logits, torch.softmax(logits, dim=1), *maps

    def with_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return what the module computes and, if asked for, feature maps."""
        if self.pooling is None:
            return (self.module(images),)
        maps: list[Tensor] = []
        layer = self.module.network.get_submodule(self.pooling)
        handle = layer.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
        outputs = self.module(images)
        handle.remove()
        return outputs, *maps[:1]


class BackboneGraph(ExportGraph):
    """What the file of a network without its head computes: features `(N, D)` and feature maps."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features and, if asked for, feature maps."""
        features, *maps = self.with_maps(images)
        return features.flatten(1), *maps


def example_images(module: InferenceModule) -> Tensor:
    """Two black images of the network's size, uint8 `(2, H, W, C)`, where the network is."""
    rule = module.preprocessing
    device = next(module.parameters()).device
    return torch.zeros((2, *rule.image_size, rule.channels), dtype=torch.uint8, device=device)


def to_onnx(
    module: InferenceModule, metadata: Mapping[str, str], *, feature_maps: bool = False
) -> bytes:
    """Write a network with normalisation, mirrored views and temperature as one ONNX file.

    The graph maps `images`, uint8 `(N, H, W, C)` with any N, to `logits` and `probabilities`,
    float32 `(N, K)`. With `feature_maps` it has a third output of that name, `(N, M, h, w)`: what
    the last global average pooling receives, if the network has one. `metadata` goes into the
    file's `metadata_props`. The file is not checked: see `parity.check`.
    """
    pooling = _last_pooling(module) if feature_maps else None
    content = _write(ExportGraph(module, pooling), (LOGITS, PROBABILITIES))
    return with_metadata(content, metadata)


def backbone_to_onnx(module: InferenceModule) -> bytes:
    """Write a network whose head is an identity as one ONNX file.

    The graph maps `images`, uint8 `(N, H, W, C)` with any N, to `features`, float32 `(N, D)`, and
    to the `feature_maps` of `to_onnx`, if the network has any. The file is not checked.
    """
    return _write(BackboneGraph(module, _last_pooling(module)), (FEATURES,))


def _write(graph: ExportGraph, outputs: tuple[str, ...]) -> bytes:
    names = [*outputs, *([FEATURE_MAPS] if graph.pooling else [])]
    example = example_images(graph.module)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), _pooled_by_matrices(graph.module, example):
        # Networks check the sizes of images, which a graph has fixed, and the exporter is old.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval(),
            (example,),
            buffer,  # type: ignore[arg-type]  # the annotation is the newer exporter's
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=names,
            dynamic_axes={name: {0: "N"} for name in ("images", *names)},
        )
    return buffer.getvalue()


def quantized(model: bytes, images: NDArray[np.uint8]) -> bytes:
    """Quantize the convolutions and matrix products of an ONNX file to int8.

    `images`, uint8 `(N, H, W, C)`, calibrate the ranges of the activations. Weights are quantized
    per output channel. Of 196 photos of ants and bees, EfficientNet-Lite0 labels 95.9% right in
    float32, 94.4% so, 92.9% with weights of eight bits instead of seven, and 92.9% with ranges at
    the 99.999th percentile (two cores with AVX-512; 128 images to calibrate).
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches: Iterator[NDArray[np.uint8]] = iter(
                images[k : k + CALIBRATION_BATCH] for k in range(0, len(images), CALIBRATION_BATCH)
            )

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch}

    with tempfile.TemporaryDirectory(prefix="neocog-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, prepared, target = (Path(folder, f"{k}.onnx") for k in range(3))
        source.write_bytes(model)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            per_channel=True,
            reduce_range=True,  # CPUs without VNNI overflow at eight bits
        )
        return target.read_bytes()


CALIBRATION_BATCH = 16


def _last_pooling(module: InferenceModule) -> str | None:
    """The name of the layer that averages the last feature maps; None if there is none."""
    names: list[str] = []

    def record(name: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        is_pooling = isinstance(layer, nn.AdaptiveAvgPool2d) and output.shape[2:] == (1, 1)
        if is_pooling and inputs.dim() == 4 and name in modules:
            names.append(name)

    modules = dict(module.network.named_modules())
    with torch.no_grad(), record_layers(module.network, record):
        module.eval()(example_images(module))
    return names[-1] if names else None


@contextmanager
def _pooled_by_matrices(module: InferenceModule, example: Tensor) -> Iterator[None]:
    """Let adaptive poolings be matrix products inside the context, where their sizes do not divide.

    ONNX has no adaptive pooling, and the exporter writes only those whose windows are all alike:
    not that of AlexNet and VGG for images of other sizes than theirs.
    """
    replaced: list[nn.Module] = []

    def record(_: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        sizes = zip(inputs.shape[2:], output.shape[2:], strict=True)
        if isinstance(layer, nn.AdaptiveAvgPool2d) and any(n % m for n, m in sizes):
            rows, columns = map(_averages, inputs.shape[2:], output.shape[2:])
            replaced.append(layer)
            layer.forward = partial(_pool, rows.to(inputs), columns.to(inputs))  # type: ignore[method-assign]

    try:
        with torch.no_grad(), record_layers(module.network, record):
            module.eval()(example)
        yield
    finally:
        for layer in replaced:
            layer.__dict__.pop("forward", None)


def _averages(inputs: int, outputs: int) -> Tensor:
    """The matrix `(outputs, inputs)` of adaptive average pooling along one axis."""
    return nn.functional.adaptive_avg_pool1d(torch.eye(inputs), outputs).T


def _pool(rows: Tensor, columns: Tensor, maps: Tensor) -> Tensor:
    return rows @ maps @ columns.T
