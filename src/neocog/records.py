"""The records of a run: frozen values, stored as JSON objects in its folder and its model file.

The attributes are for Python; `json_key` has the keys of the files, which are part of their format.
Fields that earlier versions did not record have defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from neocog.json_fields import JsonRecord, JsonValue, json_key
from neocog.messages import AS_RECORDED, Message


@dataclass(frozen=True)
class SplitSizes(JsonRecord):
    """The number of images in each split."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class SplitFingerprints(JsonRecord):
    """The fingerprint of the images in each split."""

    train: str
    validation: str
    test: str


@dataclass(frozen=True)
class FindingRecord(JsonRecord):
    """A problem of a dataset, or a fact that its user should know; it concerns `count` images."""

    kind: str
    count: int
    message: Message

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object; `message` is the English sentence."""
        return {"kind": self.kind, "count": self.count, **self.message.to_json()}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return a recorded finding. Raises as `JsonRecord.from_json` does."""
        return super().from_json({**values, "message": values})


_NO_NOTE = Message(AS_RECORDED, {"text": ""})


@dataclass(frozen=True, kw_only=True)
class DataInfo(JsonRecord):
    """The data of a run.

    `note` says how the splits were made. `classes` are in label order, and
    `image_shape` is (height, width, channels). Model files of earlier versions may have the name
    and the fingerprints alone.
    """

    name: str
    note: Message = field(default=_NO_NOTE, metadata=json_key(optional=True))
    findings: tuple[FindingRecord, ...] = ()
    classes: tuple[str, ...] = field(default=(), metadata=json_key(optional=True))
    image_shape: tuple[int, ...] = field(default=(), metadata=json_key(optional=True))
    sizes: SplitSizes = field(default=SplitSizes(0, 0, 0), metadata=json_key(optional=True))
    fingerprints: SplitFingerprints


@dataclass(frozen=True, kw_only=True)
class RunInfo(JsonRecord):
    """environment.json: versions, machine, seed, start and data of a run.

    `torch` or `onnxruntime` is the version of what computed: ONNX Runtime, if a head was fitted
    without PyTorch. `processor` is torch's name of the instructions in use, `machine` the model of
    the processor.
    `git_commit` is None for an installed package, `device_name` for a CPU. `started` is an ISO 8601
    time, and `read_seconds` is how long reading the data took. What is None was not recorded.
    """

    neocog: str | None = None
    torch: str | None = None
    onnxruntime: str | None = field(default=None, metadata=json_key(optional=True))
    python: str | None = None
    system: str | None = None
    processor: str | None = None
    device: str
    device_name: str | None = None
    threads: int | str | None = None  # a text was put there by hand
    cpus: int | None = None
    machine: str | None = None
    git_commit: str | None = None
    seed: int | None = None
    started: str
    read_seconds: float
    data: DataInfo


@dataclass(frozen=True, kw_only=True)
class HeadMetrics(JsonRecord):
    """How the head was fitted, in the line of epoch 0.

    `chosen_by` says which held-out images chose the `penalty`; `least` is the penalty with the
    lowest criterion. `losses`, `criteria` and `errors` belong to the `penalties` that were tried.
    `views` is the number of rows per training image, `kept` the number of images whose features
    were in the cache. `refit` is the number of images, validation included, of a second fit.
    `class_weights`, `(K,)`, are there if classes are weighted, and `folds` are the accuracies of a
    cross-validation.
    """

    penalty: float = field(metadata=json_key("head/penalty"))
    chosen_by: Message = field(metadata=json_key("head/chosen_by"))
    least: float | None = field(default=None, metadata=json_key("head/least", optional=True))
    penalties: tuple[float, ...] = field(
        default=(), metadata=json_key("head/penalties", optional=True)
    )
    losses: tuple[float, ...] | None = field(
        default=None, metadata=json_key("head/losses", optional=True)
    )
    criteria: tuple[float, ...] | None = field(
        default=None, metadata=json_key("head/criteria", optional=True)
    )
    errors: tuple[float, ...] | None = field(
        default=None, metadata=json_key("head/errors", optional=True)
    )
    views: int | None = field(default=None, metadata=json_key("head/views", optional=True))
    kept: int | None = field(default=None, metadata=json_key("head/kept", optional=True))
    tuning_skipped: bool = field(
        default=False, metadata=json_key("head/tuning_skipped", optional=True)
    )
    folds: tuple[float, ...] | None = field(default=None, metadata=json_key(optional=True))
    refit: int | None = field(default=None, metadata=json_key("head/refit", optional=True))
    class_weights: tuple[float, ...] | None = field(
        default=None, metadata=json_key("head/class_weights", optional=True)
    )
    features_seconds: float = 0.0
    head_seconds: float = 0.0

    def summary(self) -> "HeadFit":
        """Return what the evaluation of a run repeats of this."""
        return HeadFit(
            penalty=self.penalty,
            chosen_by=self.chosen_by,
            least=self.least,
            refit=self.refit,
            class_weights=self.class_weights,
            tuning_skipped=self.tuning_skipped,
        )


@dataclass(frozen=True, kw_only=True)
class EpochMetrics(JsonRecord):
    """A line of metrics.jsonl: the metrics of an epoch; those of epoch 0 are of a fitted head.

    `step` is the number of steps and `time_seconds` the time since training began; `lr` is the
    learning rate of the last step. Losses are those that training lowers; a `cross_entropy` is
    there if that is another. `train_accuracy_after` is measured after the epoch, the other metrics
    of train during it.
    """

    epoch: int
    step: int
    time_seconds: float
    lr: float
    train_loss: float = field(metadata=json_key("train/loss"))
    train_accuracy: float = field(metadata=json_key("train/accuracy"))
    train_cross_entropy: float | None = field(
        default=None, metadata=json_key("train/cross_entropy", optional=True)
    )
    validation_loss: float | None = field(
        default=None, metadata=json_key("validation/loss", optional=True)
    )
    validation_accuracy: float | None = field(
        default=None, metadata=json_key("validation/accuracy", optional=True)
    )
    validation_cross_entropy: float | None = field(
        default=None, metadata=json_key("validation/cross_entropy", optional=True)
    )
    train_accuracy_after: float | None = field(
        default=None, metadata=json_key("train/accuracy_after", optional=True)
    )
    head: HeadMetrics | None = field(default=None, metadata=json_key(optional=True))

    def metric(self, name: str) -> float | None:
        """Return the metric that a recipe's `select` names, such as `validation/loss`, if any."""
        value: float | None = getattr(self, name.replace("/", "_"), None)
        return value

    def to_json(self) -> dict[str, Any]:
        """Return the line as a JSON object; the head's keys stand beside the others."""
        values = super().to_json()
        return values | values.pop("head", {})

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return the metrics in a line. Raises as `JsonRecord.from_json` does."""
        if isinstance(values, Mapping) and "head/penalty" in values:
            values = {**values, "head": values}
        return super().from_json(values)


@dataclass(frozen=True)
class ClassResult(JsonRecord):
    """Precision, recall and F1 of a class, each 0..1, and the number `n` of its images."""

    name: str = field(metadata=json_key("class"))
    precision: float
    recall: float
    f1: float
    n: int


@dataclass(frozen=True)
class Rejection(JsonRecord):
    """The fraction of images to reject, 0..1, for an error rate of the others.

    `threshold` applies `by` probability or output. If it is None, `reason` is `no_threshold` or
    `too_few_images`: fewer images than `needed` would be accepted.
    """

    error: float
    rejected: float
    by: str = "probability"
    threshold: float | None = None
    reason: str | None = None
    needed: int = 0


@dataclass(frozen=True)
class UnknownClass(JsonRecord):
    """A class of the data that the classifier does not know, and the number `n` of its images."""

    name: str = field(metadata=json_key("class"))
    n: int


@dataclass(frozen=True)
class Mistake(JsonRecord):
    """A wrong prediction and its probability; `label` is the true class."""

    path: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Times(JsonRecord):
    """How long reading the data, training and evaluation took, in seconds, and all together."""

    data: float
    training: float
    evaluation: float
    total: float


@dataclass(frozen=True)
class FoldStatistics(JsonRecord):
    """Mean and standard deviation of the accuracies of `n` folds of `images` images."""

    n: int
    mean: float
    std: float
    each: tuple[float, ...]
    images: int


@dataclass(frozen=True, kw_only=True)
class HeadFit(JsonRecord):
    """How the head of a run was fitted, as `HeadMetrics` describes it."""

    penalty: float
    chosen_by: Message
    least: float | None = field(default=None, metadata=json_key(optional=True))
    refit: int | None = field(default=None, metadata=json_key(optional=True))
    class_weights: tuple[float, ...] | None = field(default=None, metadata=json_key(optional=True))
    tuning_skipped: bool = field(default=False, metadata=json_key(optional=True))


@dataclass(frozen=True)
class ClassificationMetrics(JsonRecord):
    """Accuracy over `n` images with its 95% interval, and the results for each class.

    `confusion` holds the counts, `(K, K)`: rows are labels, columns predicted classes.
    """

    n: int
    accuracy: float
    interval: tuple[float, float]
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord(JsonRecord):
    """evaluation.json: the result on a test split, as `neocog evaluate --json` prints it.

    `run` is the path of a run or a model file, `parameters` the number of trained parameters.
    `notes` qualify the accuracy. `mistakes` are the most confident ones. Epochs,
    `selected_by`, `folds` and `head` are there for a run on its own test split; `head` and `folds`
    if it fitted a head.
    """

    run: str
    recipe: str | None = None
    model: str
    engine: str | None = field(default=None, metadata=json_key(optional=True))
    precision: str | None = field(default=None, metadata=json_key(optional=True))
    data: str
    split: str
    n: int
    accuracy: float
    interval: tuple[float, float]
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    rejection: tuple[Rejection, ...] = ()
    parameters: int = 0
    notes: tuple[Message, ...] = ()
    unknown_classes: tuple[UnknownClass, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    time_seconds: Times
    folds: FoldStatistics | None = field(default=None, metadata=json_key(optional=True))
    head: HeadFit | None = field(default=None, metadata=json_key(optional=True))
    epochs: int | None = field(default=None, metadata=json_key(optional=True))
    selected_epoch: int | None = field(default=None, metadata=json_key(optional=True))
    selected_by: Message | str | None = field(default=None, metadata=json_key(optional=True))

    def selection(self) -> Message:
        """Return what selected the model: a metric by its name, or what chose a head's penalty."""
        by = self.selected_by or ""
        return Message.from_json(by) if isinstance(by, str) else by


@dataclass(frozen=True)
class RecipeFacts(JsonRecord):
    """The recipe in a model file, as it was recorded; `Recipe.from_json` reads its `values`."""

    name: str
    values: Mapping[str, JsonValue]

    def to_json(self) -> dict[str, JsonValue]:
        """Return the recorded values."""
        return dict(self.values)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return a recorded recipe, whose values are not checked except the name."""
        return super().from_json({**values, "values": values})


@dataclass(frozen=True)
class SelectedFacts(JsonRecord):
    """The selected epoch, how it was selected, and its metrics as in metrics.jsonl, less times."""

    epoch: int
    by: Message | str  # a text is the name of a metric, or was recorded by an earlier version
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class MeasuredFacts(JsonRecord):
    """The accuracy on `n` images of a split, with its 95% interval."""

    split: str
    n: int
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class ParityRecord(JsonRecord):
    """How far an exported file's predictions are from the network's, on `n` images.

    `images` names them. `labels_differ` counts the images with another label, and
    `largest_difference` is that of any probability. `tolerance` is the largest that is accepted, or
    None if the accuracy decides, as for int8.
    """

    n: int
    images: str
    labels_differ: int
    largest_difference: float
    tolerance: float | None = None


@dataclass(frozen=True)
class Int8Record(JsonRecord):
    """The accuracy before and after quantization, 0..1, on `n` images of `split`.

    `calibrated_on` is the number of training images that gave the ranges of the activations.
    """

    accuracy_before: float
    accuracy_after: float
    n: int
    split: str
    calibrated_on: int


@dataclass(frozen=True)
class ExportFacts(JsonRecord):
    """How a file was exported: its format, precision (float32 or int8), and the checks it passed.

    `versions` are those of the packages. `script` is the check of the script beside the file.
    `bfloat16` compares the labels of the validation split, computed in that precision.
    """

    format: str
    precision: str
    opset: int | None
    versions: Mapping[str, str]
    parity: ParityRecord
    script: ParityRecord | None = None
    int8: Int8Record | None = None
    bfloat16: ParityRecord | None = None


@dataclass(frozen=True, kw_only=True)
class ModelFacts(JsonRecord):
    """What a model file says of its training, evaluation and export; each part may be missing."""

    recipe: RecipeFacts | None = field(default=None, metadata=json_key(optional=True))
    data: DataInfo | None = field(default=None, metadata=json_key(optional=True))
    selected: SelectedFacts | None = field(default=None, metadata=json_key(optional=True))
    measured: MeasuredFacts | None = field(default=None, metadata=json_key(optional=True))
    export: ExportFacts | None = field(default=None, metadata=json_key(optional=True))
