"""Export a run: write its network for other programs, if the predictions stay the same."""

import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import neocog
from neocog import data
from neocog.classifier import Classifier, load, model_path
from neocog.data.images import ImageSet, Splits
from neocog.data.preprocess import Preprocessing
from neocog.engines.onnx_layers import LAYERS_KEY
from neocog.engines.onnx_runtime import network_metadata
from neocog.engines.torch import layer_table, network_facts
from neocog.errors import NeocogError, UsageError, unknown
from neocog.evaluation.evaluate import splits_of
from neocog.export import onnx as onnx_file
from neocog.export import openvino as openvino_files
from neocog.export import parity, standalone
from neocog.export import torch as torch_file
from neocog.export.graph import with_metadata
from neocog.export.images import as_files, stand_ins
from neocog.export.parity import Network, Parity
from neocog.export.torch import module_network
from neocog.model_card import ModelCard, network_digest, read_card_of
from neocog.models.inference import InferenceModule
from neocog.records import ExportFacts, Int8Record, ParityRecord
from neocog.runs import display_name, of_model_file, runs_folder
from neocog.storage.atomic import write_atomic

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
Source = Path | bytes | Callable[[], bytes]  # an image file, its content, or a member of an archive
MAX_INT8_LOSS = 0.003  # of the accuracy
CALIBRATION_IMAGES = 256
MAX_EVALUATION_IMAGES = 5000


@dataclass(frozen=True)
class Int8:
    """The accuracy before and after quantization, 0..1, on `n` images of `split`.

    `calibrated_on` is the number of training images that gave the ranges of the activations.
    """

    accuracy_before: float
    accuracy_after: float
    n: int
    split: str
    calibrated_on: int

    @property
    def passed(self) -> bool:
        """Whether the loss is small enough to be accepted without --force."""
        return self.accuracy_before - self.accuracy_after <= MAX_INT8_LOSS


@dataclass(frozen=True)
class ExportResult:
    """The result of an export. `files` is empty if a check failed: then nothing was written.

    `bfloat16` compares the labels of the validation split, if OpenVINO can run the file in it.
    """

    run: str
    to: str
    files: tuple[Path, ...]
    parity: Parity
    script: Parity | None
    int8: Int8 | None
    bfloat16: Parity | None
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        checks = (self.parity, self.script, self.int8)
        return all(check is None or check.passed for check in checks)

    def to_json(self) -> dict[str, Any]:
        """Return the value that `--json` prints."""
        values = asdict(self)
        return {**values, "files": [str(path) for path in self.files], "passed": self.passed}


@dataclass(frozen=True)
class _Samples:
    """Image files to compare on, their description, and the run's own images if they are there."""

    files: Sequence[Source]
    text: str
    splits: Splits | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Exported:
    """A converted network: its files by suffix, with given metadata, and what they compute."""

    write: Callable[[Mapping[str, str]], dict[str, bytes]]
    network: Network
    opset: int | None = None
    bfloat16: Network | None = None


def export(
    run: str | Path = "latest",
    to: str = "onnx",
    *,
    int8: bool = False,
    force: bool = False,
    output: Path | None = None,
    runs_dir: Path | None = None,
) -> ExportResult:
    """Export the classifier of a run, of `latest`, or in a model file, and check the result.

    `to` is a key of FORMATS. Up to 256 images, as files, go through the network and the exported
    file: all labels must be the same, and all probabilities within 1e-5. With `int8` the accuracy
    decides instead: a loss of more than 0.3 points is accepted only with `force`. If a check fails,
    nothing is written and the result has no files. `output` is by default the model file with
    another suffix. Raises UsageError for what cannot be combined, and NeocogError if the model file
    is damaged or the place cannot be written.
    """
    path = model_path(str(run), runs_folder(runs_dir))
    target = _target(path, to, int8, output)
    if path.suffix == ".onnx":
        raise UsageError(f"{path} is exported already.", "Give the run or its model.safetensors.")
    classifier, card = load(path, device="cpu", engine="torch"), read_card_of(path)
    module = classifier.inference
    samples = _samples(classifier, path)
    calibration = _calibration(samples.splits) if int8 else None
    exported, reference = _convert(module, to, calibration), module_network(module)
    done = _check(card.preprocessing, samples, reference, exported, int8)
    done = replace(done, run=display_name(path), to=to)
    if calibration is not None:
        assert samples.splits is not None, "they gave the images for the calibration"
        measured = _measure(reference, exported.network, samples.splits, len(calibration))
        done = replace(done, int8=measured)
    refused = done.int8 and not done.int8.passed and not force
    if refused or not replace(done, int8=None).passed:
        return done
    metadata = _metadata(card, done, exported)
    weights = "" if int8 else network_digest(path, card)
    metadata |= network_metadata(network_facts(module), weights)
    metadata[LAYERS_KEY] = layer_table(module)
    contents = exported.write(metadata)
    script = standalone.script_for(card.preprocessing, target.name) if to == "onnx" else None
    return replace(done, files=_write(target, contents, script))


def _check(
    rule: Preprocessing, samples: _Samples, reference: Network, exported: _Exported, int8: bool
) -> ExportResult:
    """Compare the exported network with the reference on image files."""
    images, contents = parity.fit_files(samples.files, rule)
    result = parity.compare(
        parity.run_in_batches(reference, images),
        parity.run_in_batches(exported.network, images),
        samples.text,
        None if int8 else parity.TOLERANCE,
    )
    script = None
    if exported.opset:
        script = standalone.check_script(contents, images, rule, exported.network)
    bfloat16 = None
    if exported.bfloat16 and samples.splits and len(samples.splits.validation):
        checked = _spread(samples.splits.validation, MAX_EVALUATION_IMAGES)
        bfloat16 = parity.compare(
            parity.run_in_batches(reference, np.asarray(checked.images)),
            parity.run_in_batches(exported.bfloat16, np.asarray(checked.images)),
            "the validation split",
            None,
        )
    return ExportResult("", "", (), result, script, None, bfloat16, samples.notes)


def _target(path: Path, to: str, int8: bool, output: Path | None) -> Path:
    """Return the file to write. Raises UsageError or NeocogError before any work is done."""
    if to not in FORMATS:
        raise unknown("format", to, FORMATS)
    if int8 and to == "torch":
        raise UsageError(
            "int8 needs an ONNX graph, which a .pt2 file does not contain.",
            "Use {settings}.",
            [("to", "onnx"), ("int8", True)],
        )
    if to == "openvino":
        openvino_files.require()
    suffix = FORMATS[to]
    target = output or path.with_suffix(".int8" + suffix if int8 else suffix)
    if target.suffix != suffix:
        raise UsageError(
            f"The output {target} does not end in {suffix}.",
            "For example: {settings}",
            [("output", str(target.with_suffix(suffix)))],
        )
    if not target.parent.is_dir():
        raise NeocogError(
            f"There is no folder {target.parent}.", "Create it, or choose another one."
        )
    if not os.access(target.parent, os.W_OK):
        raise _unwritable(target, "Permission denied")
    script = target.with_name(standalone.SCRIPT)
    if to == "onnx" and script.exists() and not standalone.is_own(script):
        raise NeocogError(
            f"{script} would be overwritten, but Neocog did not write it.",
            "Rename it, or choose another place: {settings}",
            [("output", "FILE")],
        )
    return target


def _samples(classifier: Classifier, path: Path) -> _Samples:
    """Return images of the run's validation and test splits as files, else stand-ins."""
    try:
        splits = splits_of(classifier, path)
    except NeocogError as error:
        files, text = stand_ins(classifier.preprocessing, parity.MAX_IMAGES)
        note = f"The run's own images were not used. {error.message}"
        return _Samples(files, f"{text} in place of the run's own images", None, (note,))
    name = data.bare_name(splits.name)
    chosen: list[Source] = []
    own = [part for part in (splits.validation, splits.test) if len(part)]
    originals = _original_files(classifier, path, splits)
    for part in own:
        room = parity.MAX_IMAGES - len(chosen)
        if originals:
            chosen += [originals[image] for image in part.paths[:room]]
        else:
            chosen += as_files(part.images, room)
    kind = "files" if originals else "arrays written as PNG"
    return _Samples(chosen, f"{kind}, validation and test of {name}", splits)


def _original_files(classifier: Classifier, path: Path, splits: Splits) -> dict[str, Source]:
    """Return the image files of a user's own dataset by their path in it; empty for others."""
    if not splits.test.paths:
        return {}
    run, recipe = of_model_file(path), classifier.facts.recipe
    if run:
        allow_outside = run.read_recipe().allow_outside
    else:
        allow_outside = bool(recipe and recipe.values.get("allow_outside"))
    wanted = {*splits.validation.paths, *splits.test.paths}
    index = data.open_dataset(splits.name, allow_outside)
    return {sample.path: sample.source for sample in index.samples if sample.path in wanted}


def _convert(module: InferenceModule, to: str, calibration: ImageSet | None) -> _Exported:
    """Convert the network; with `calibration`, training images, to int8."""
    if to == "torch":
        program = torch_file.to_program(module)
        network = torch_file.pt2_network(torch_file.save(program, {}))
        return _Exported(lambda metadata: {".pt2": torch_file.save(program, metadata)}, network)
    model = onnx_file.to_onnx(module, {})
    if calibration is not None:
        model = onnx_file.quantized(model, np.asarray(calibration.images))
    if to == "onnx":
        return _Exported(
            lambda metadata: {".onnx": with_metadata(model, metadata)},
            parity.onnx_network(model),
            onnx_file.OPSET,
        )
    files = openvino_files.to_openvino(model, {})
    network = openvino_files.openvino_network(files[".bin"], files[".xml"])
    bfloat16 = None
    if calibration is None and openvino_files.has_bfloat16():
        bfloat16 = openvino_files.openvino_network(files[".bin"], files[".xml"], "bf16")
    return _Exported(
        lambda metadata: openvino_files.to_openvino(model, metadata), network, bfloat16=bfloat16
    )


def _spread(images: ImageSet, count: int) -> ImageSet:
    """Select at most `count` images, evenly over the set."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).astype(np.int64))
    return images.subset(chosen)


def _calibration(splits: Splits | None) -> ImageSet:
    if splits is None:
        raise NeocogError(
            "int8 needs the run's own images for calibration, and they are missing.",
            "Put them back, or export without int8.",
        )
    return _spread(splits.train, CALIBRATION_IMAGES)


def _measure(reference: Network, exported: Network, splits: Splits, calibrated_on: int) -> Int8:
    """Measure the accuracy of both on the validation split, or on test if there is none."""
    split = "validation" if len(splits.validation) else "test"
    images = _spread(splits.parts[split], MAX_EVALUATION_IMAGES)
    pixels = np.asarray(images.images)
    before, after = (
        float((parity.run_in_batches(network, pixels).argmax(1) == images.labels).mean())
        for network in (reference, exported)
    )
    return Int8(before, after, len(images), split, calibrated_on)


def _metadata(card: ModelCard, done: ExportResult, exported: _Exported) -> dict[str, str]:
    """The metadata of the file: the card with the facts of the export, and the self-test."""
    names = ("torch", "onnx", "onnxruntime", "openvino")[: {"torch": 1, "onnx": 3}.get(done.to, 4)]
    versions = {name: importlib.metadata.version(name) for name in names}
    facts = ExportFacts(
        format=done.to,
        precision="int8" if done.int8 else "float32",
        opset=exported.opset,
        versions={"neocog": neocog.__version__, **versions},
        parity=ParityRecord(**asdict(done.parity)),
        script=ParityRecord(**asdict(done.script)) if done.script else None,
        int8=Int8Record(**asdict(done.int8)) if done.int8 else None,
        bfloat16=ParityRecord(**asdict(done.bfloat16)) if done.bfloat16 else None,
    )
    measured = None if done.int8 else card.facts.measured
    card = replace(card, facts=replace(card.facts, measured=measured, export=facts))
    tolerance = standalone.INT8_TOLERANCE if done.int8 else standalone.TOLERANCE
    test = standalone.selftest(exported.network, card.preprocessing, tolerance)
    return {"neocog": card.to_json(), standalone.SELFTEST_KEY: test}


def _write(target: Path, contents: Mapping[str, bytes], script: str | None) -> tuple[Path, ...]:
    """Write the files, each whole or not at all, the target last."""
    files = {target.with_suffix(suffix): content for suffix, content in contents.items()}
    written = []
    try:
        if len(files) > 1:  # a graph must not be left beside the weights of another one
            target.unlink(missing_ok=True)
        for path, content in files.items():
            write_atomic(path, content)
            written.append(path)
        if script is not None:
            beside = target.with_name(standalone.SCRIPT)
            write_atomic(beside, script)
            written.append(beside)
    except OSError as error:
        raise _unwritable(target, error.strerror or str(error)) from None
    return tuple(sorted(written, key=lambda path: path != target))


def _unwritable(target: Path, reason: str) -> NeocogError:
    return NeocogError(
        f"{target} cannot be written ({reason}).",
        "Choose another place: {settings}",
        [("output", "FILE")],
    )
