"""ONNX files as graphs, read and written without PyTorch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
FEATURES, FEATURE_MAPS = "features", "feature_maps"


def with_metadata(model: bytes, metadata: Mapping[str, str]) -> bytes:
    """Replace the `metadata_props` of an ONNX file, and name Neocog as its producer."""
    import onnx

    import neocog

    proto = onnx.load_from_string(model)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, dict(metadata))
    proto.producer_name, proto.producer_version = "neocog", neocog.__version__
    content: bytes = proto.SerializeToString()
    return content


def with_head(
    backbone: bytes,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    metadata: Mapping[str, str],
    name: str = "head",
) -> bytes:
    """Append a linear head to the file of a backbone, as the last node before the softmax.

    `name` is that of the layer, `weight` is `(K, D)` and `bias` `(K,)`. The graph then has the
    outputs of `export.onnx.to_onnx`: logits, probabilities and, if the backbone has them, feature
    maps.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    proto = onnx.load_from_string(backbone)
    graph = proto.graph
    names = ("head.weight", "head.bias")
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array), name)
        for array, name in zip((weight, bias), names, strict=True)
    )
    node = f"/module/network/{name}/Gemm"  # as the exporter names it
    graph.node.append(helper.make_node("Gemm", [FEATURES, *names], [LOGITS], node, transB=1))
    graph.node.append(helper.make_node("Softmax", [LOGITS], [PROBABILITIES], axis=1))
    maps = [output for output in graph.output if output.name == FEATURE_MAPS]
    shape = ("N", len(bias))
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in (LOGITS, PROBABILITIES)
    ]
    del graph.output[:]
    graph.output.extend([*outputs, *maps])
    return with_metadata(proto.SerializeToString(), metadata)
