"""Placeholder until the branch `export` is merged."""

import io
import warnings
from collections.abc import Mapping

import torch
from torch import nn

from neocog.models.inference import InferenceModule


class _Graph(nn.Module):
    def __init__(self, module: InferenceModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.module(images)
        return logits, torch.softmax(logits, 1)


def to_onnx(module: InferenceModule, metadata: Mapping[str, str]) -> bytes:
    """The network as ONNX."""
    import onnx

    rule = module.preprocessing
    example = torch.zeros((2, *rule.image_size, rule.channels), dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Graph(module).eval(),
            (example,),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            input_names=["images"],
            output_names=["logits", "probabilities"],
            dynamic_axes={n: {0: "N"} for n in ("images", "logits", "probabilities")},
            opset_version=17,
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, dict(metadata))
    return model.SerializeToString()
