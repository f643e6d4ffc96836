"""The two ONNX exporters of torch on every network: seconds, differences, sizes.

python benchmarks/export.py [NETWORK ...]

Networks have random weights, at the size that they were designed for; a batch norm has seen noise.
Each exporter runs in the same process, TorchScript's first, after one small network has warmed both
up. `difference` is the largest of a probability, on eight images of noise, to torch. The figures
go to benchmarks/results/export/exporters.json, from which docs/generate.py writes a table.
"""

import io
import json
import logging
import os
import platform
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from neocog import models
from neocog.data.preprocess import Preprocessing
from neocog.export.onnx import ExportGraph, example_images, to_onnx
from neocog.export.parity import compare, onnx_network
from neocog.export.torch import module_network
from neocog.models import MODELS
from neocog.models.inference import InferenceModule

RESULTS = Path(__file__).parent / "results" / "export" / "exporters.json"


def module_of(name):
    """The network at its own size, with weights that give different classes."""
    torch.manual_seed(0)
    network = MODELS[name]
    channels, *size = network.input
    rule = Preprocessing(
        tuple(size), channels, "digit" if channels == 1 else "crop", (0.5,) * channels,
        (0.25,) * channels,
    )  # fmt: skip
    model = models.build(name, network.num_classes, channels, tuple(size)).train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            nn.init.normal_(layer.weight, std=0.05)  # the head of ViT begins with zeros
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None  # the mean of all batches
        for _ in range(2 if norms else 0):
            model(rule.normalize(noise(rule, 8)))
    return InferenceModule(model.eval(), rule)


def noise(rule, count):
    return torch.randint(0, 256, (count, *rule.image_size, rule.channels), dtype=torch.uint8)


def by_dynamo(module):
    """The newer exporter, as its documentation has it."""
    program = torch.onnx.export(
        ExportGraph(module).eval(),
        (example_images(module),),
        dynamo=True,
        opset_version=18,  # the lowest that it writes without converting
        input_names=["images"],
        output_names=["logits", "probabilities"],
        dynamic_shapes=({0: torch.export.Dim("N")},),
        verbose=False,
    )
    buffer = io.BytesIO()
    program.save(buffer)
    return buffer.getvalue()


def measure(name):
    module = module_of(name)
    images = noise(module.preprocessing, 8).numpy()
    expected, row = module_network(module)(images), {}
    for exporter, export in (("torchscript", lambda m: to_onnx(m, {})), ("dynamo", by_dynamo)):
        start = time.perf_counter()
        try:
            content = export(module)
            seconds = time.perf_counter() - start
            found = onnx_network(content)(images)
            result = compare(expected, found, "noise")
            row[exporter] = {
                "time_seconds": round(seconds, 2),
                "difference": result.largest_difference,
                "labels_differ": result.labels_differ,
                "megabytes": round(len(content) / 1e6, 2),
            }
        except Exception as error:
            row[exporter] = {"error": f"{type(error).__name__}: {str(error)[:80]}"}
    return row


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    measure("lenet5")
    rows = {}
    for name in sys.argv[1:] or MODELS:
        rows[name] = measure(name)
        print(name, json.dumps(rows[name]), flush=True)
    if sys.argv[1:]:
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    about = {"machine": machine, "numpy": np.__version__, **versions}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**about, "networks": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
