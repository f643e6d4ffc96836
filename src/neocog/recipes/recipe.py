"""A recipe: everything that decides what is trained and how, as one frozen value."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neocog.errors import UsageError, unknown
from neocog.json_fields import MOST, FieldError, read_fields, read_value, short

MOST_PIXELS_A_SIDE = 2048  # of what a network gets: `Preprocessing` refuses more

CHOICES: dict[str, tuple[str, ...]] = {
    "loss": ("cross_entropy", "nll", "map", "squared_error"),
    "output": ("auto", "logits", "log_softmax", "softmax"),
    "optimizer": ("sgd", "adam"),
    "schedule": ("constant", "one-cycle", "step"),
    "select": ("validation/accuracy", "validation/loss", "train/accuracy_after", "last"),
    "fit": ("digit", "square", "crop"),
    "precision": ("float32", "bfloat16", "fast"),
    "augment_flip": ("none", "random", "alternating"),
    "augment_edge": ("black", "reflect"),
}

_WRONG_PAIRS = {
    ("softmax", "cross_entropy"): (
        "cross_entropy takes logits and applies log-softmax itself: after a softmax it sees "
        "numbers between 0 and 1, so its gradient is flat and it can never reach zero"
    ),
    ("softmax", "nll"): (
        "nll takes log-probabilities: given plain probabilities it returns minus the probability, "
        "which is not a likelihood and weighs a hopeless image like an easy one"
    ),
    ("logits", "nll"): (
        "nll takes log-probabilities: given bare logits it falls without bound by making them large"
    ),
    ("log_softmax", "cross_entropy"): (
        "cross_entropy applies log-softmax itself, so it would be taken twice"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train and how; plain values only, checked when made.

    `image_size_pixels` is the side that images are brought to; None is the data set's own (64
    for a folder). `fit` says how a folder's are (see `Preprocessing`); named data sets have
    their own. `resize_pixels` is the short side that fit=crop brings images to before it
    takes the middle; `train_resize_pixels` another for those to train on. `mean` and `std` are
    of the images scaled to 0..1, one number a channel; empty, they and the sizes are what the
    weights were made with. `weights` to begin with are random, imagenet, or a file.
    `trained_part` is how the names of the layers begin that are trained, the others stay as
    they are; empty is all. With `feature_views` above 0 the network is no more than run once
    over so many views of each image to train on (as it is, mirrored, then crops), and its
    last layer fitted to what comes out; `fine_tune` then trains the whole network, as the other
    fields say. With `folds` as many fits, each judged on what it has not seen, say how much the
    accuracy depends on the images. `body_rate_factor` multiplies the learning rate of the
    layer before the last; towards the first it falls to its square. `validation_size` is how
    many images are kept back from the official training half; None is the data set's own
    number and 0 trains on all of them, as published recipes do. `select` names the metric whose
    best epoch is kept (ties go to the earlier), looked at every `look_every_epochs` and at the
    last. `validation/loss` is the recipe's own loss, as `train/loss` is; `train/accuracy_after` is
    measured on the whole training split after the epoch.
    `augment_*` describe uniform ranges, drawn anew for every image and epoch;
    `augment_elastic_pixels` is the standard deviation by which points of the image move against
    each other, `augment_worn_fraction` the share of images with a gap, a pale or a cut off end,
    `augment_hand_fraction` the share of ones, sevens and nines that get an upstroke, a bar, a foot;
    `augment_grow_pixels` is the side that images are grown to before a crop of their own size
    is taken at random (0: not). `augment_flip` alternating mirrors a random half in the first
    epoch and the other half in the next. `decay_at_epochs` and `decay_factor` belong to
    schedule=step; `decay_renews_optimizer` also drops its moments there.
    `norm_bias_rate_factor` multiplies the learning rate of batch norms' biases. `map_penalty`
    is the constant j of loss=map. `test_mirrored` averages the answers to an image and its
    mirror image. precision=fast is bfloat16 where the processor is made for it, else float32.
    `allow_outside` lets links and CSV files name files outside the data's folder.
    `printed_*` are what the source printed, or this project's README of its own.
    `honest_validation_size` is what `neocog reproduce` holds back to say, beside a published
    figure, what an honest choice gives. Raises UsageError where a value is outside its range or
    two values contradict each other.
    """

    name: str
    source: str
    data: str
    model: str
    epochs: int
    batch_size: int
    learning_rate: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: str = "square"
    image_size_pixels: int | None = None
    resize_pixels: int | None = None
    train_resize_pixels: int | None = None
    weights: str = "random"
    trained_part: str = ""
    feature_views: int = 0
    fine_tune: bool = False
    folds: int = 0
    body_rate_factor: float = 1.0
    validation_size: int | None = None
    augment_shift_pixels: float = 0.0
    augment_rotate_degrees: float = 0.0
    augment_scale_fraction: float = 0.0
    augment_shear_fraction: float = 0.0
    augment_stroke_fraction: float = 0.0
    augment_elastic_pixels: float = 0.0
    augment_worn_fraction: float = 0.0
    augment_hand_fraction: float = 0.0
    augment_grow_pixels: int = 0
    augment_flip: str = "none"
    augment_edge: str = "black"
    loss: str = "cross_entropy"
    output: str = "auto"
    label_smoothing: float = 0.0
    map_penalty: float = 1.0
    optimizer: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_fraction: float = 0.3
    decay_at_epochs: tuple[int, ...] = ()
    decay_factor: float = 0.1
    decay_renews_optimizer: bool = False
    norm_bias_rate_factor: float = 1.0
    select: str = "validation/accuracy"
    look_every_epochs: int = 1
    precision: str = "float32"
    channels_last: bool = False
    test_mirrored: bool = False
    allow_outside: bool = False
    honest_validation_size: int | None = None
    seed: int = 0
    printed_test_accuracy: float | None = None
    printed_train_accuracy: float | None = None

    def __post_init__(self) -> None:
        """Check every range, choice and pairing."""
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise unknown(f"value of {field}:", str(getattr(self, field)), choices)
        self._check_ranges()
        # Without numbers they are those of the weights.
        if not self.learning_rate > 0 or not min(self.std, default=1) > 0:
            raise UsageError(
                f"learning_rate ({self.learning_rate}) and std {self.std} must be above 0."
            )
        for field in _BELOW_1:
            if not getattr(self, field) < 1:
                raise UsageError(f"{field} must be below 1, not {getattr(self, field)}.")
        numbers = [v for v in vars(self).values() if isinstance(v, float)]
        if not all(map(math.isfinite, (*numbers, *self.mean, *self.std))) or self.seed >= 2**63:
            raise UsageError("Every number of a recipe must be finite, and seed below 2**63.")
        self._check_together()

    def _check_ranges(self) -> None:
        for field, low in _LOWEST.items():
            value = getattr(self, field)
            if value is not None and not value >= low:
                raise UsageError(f"{field} must be at least {low}, not {value}.")
        for field, high in _HIGHEST.items():
            value = getattr(self, field)
            if value is not None and value > high:
                raise UsageError(f"{field} must be at most {high:,}, not {value:,}.")

    def _check_together(self) -> None:
        if len(self.mean) != len(self.std):
            raise UsageError(
                f"mean and std want one number a channel each, not {short(self.mean)} and "
                f"{short(self.std)}."
            )
        if len(self.mean) not in (0, 1, 3):
            raise UsageError(
                f"mean and std want 1 number (grey) or 3 (RGB), not {len(self.mean)}.",
                "For example: --set mean=0.5,0.5,0.5 std=0.5,0.5,0.5",
            )
        self._check_transfer()
        if self.nesterov and not self.momentum > 0:
            raise UsageError("nesterov needs momentum above 0.", "Say: --set momentum=0.9")
        if self.label_smoothing and self.loss != "cross_entropy":
            raise UsageError(
                "label_smoothing works with loss=cross_entropy.", "Say: --set loss=cross_entropy"
            )
        bends = (
            self.augment_rotate_degrees,
            self.augment_scale_fraction,
            self.augment_shear_fraction,
            self.augment_shift_pixels % 1,
            self.augment_elastic_pixels,
        )
        if self.augment_edge == "reflect" and any(bends):
            raise UsageError(
                "augment_edge=reflect goes with shifts by whole pixels only.",
                "Say: --set augment_edge=black, or leave turns, stretches and shears out.",
            )
        if self.decay_renews_optimizer and self.schedule != "step":
            raise UsageError(
                "decay_renews_optimizer needs schedule=step.",
                "For example: --set schedule=step decay_at_epochs=20,40,60",
            )
        if (self.schedule == "step") != bool(self.decay_at_epochs):
            raise UsageError(
                "schedule=step and decay_at_epochs belong together.",
                "For example: --set schedule=step decay_at_epochs=20,40,60 decay_factor=0.1",
            )
        if self.select.startswith("validation") and self.validation_size == 0:
            raise UsageError(
                f"select={self.select} needs a validation split, and validation_size is 0.",
                "Say: --set select=last or --set validation_size=5000",
            )
        kind = self.loss if self.loss == "nll" else "cross_entropy"  # the others take logits, too
        reason = _WRONG_PAIRS.get((self.loss_input, kind))
        if reason:
            fit = "log_softmax" if self.loss == "nll" else "logits"
            raise UsageError(
                f"output={self.output} does not go with loss={self.loss}: {reason}.",
                f"Say: --set output={fit}",
            )

    def _check_transfer(self) -> None:
        if self.fine_tune and not self.feature_views:
            raise UsageError(
                "fine_tune comes after a fit of the last layer: it needs feature_views above 0.",
                "Say: --recipe photos, or --set feature_views=1",
            )
        if self.folds == 1 or (self.folds and not self.feature_views):
            raise UsageError(
                "folds wants 2 or more, and a recipe that fits the last layer to features.",
                "Say: --recipe photos --folds 5",
            )
        if self.feature_views and self.weights == "random":
            raise UsageError(
                "feature_views needs a network that knows images already.",
                "Say: --set weights=imagenet, or --set feature_views=0",
            )

    @property
    def loss_input(self) -> str:
        """What the loss is given: `logits`, `log_softmax` or `softmax`."""
        if self.output != "auto":
            return self.output
        return "log_softmax" if self.loss == "nll" else "logits"

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; `from_json` reads them back."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: Any) -> "Recipe":
        """The recipe that `to_json` wrote.

        Raises UsageError for what is no JSON object, an unknown or missing field, or a value of
        another type or out of its range.
        """
        if not isinstance(values, Mapping):
            raise UsageError(f"A recipe is a JSON object, not {short(values)}.")
        fields = dataclasses.fields(Recipe)
        known = {field.name for field in fields}
        for name in values:
            if name not in known:
                raise unknown("recipe field", name, known)
        try:
            given = read_fields(Recipe, values)
        except FieldError as error:
            raise _cannot_be(error) from None
        missing = [f.name for f in fields if f.default is dataclasses.MISSING]
        missing = [name for name in missing if name not in given]
        if missing:
            raise UsageError(f"The recipe is incomplete: it has no {', '.join(missing)}.")
        return Recipe(**given)


def _cannot_be(error: FieldError) -> UsageError:
    return UsageError(
        f"The recipe's {error.name} cannot be {error.shown}: expected {error.expected}."
    )


_BELOW_1 = (
    "label_smoothing",
    "augment_stroke_fraction",
    "augment_worn_fraction",
    "augment_hand_fraction",
    "warmup_fraction",
)
_LOWEST: dict[str, float] = {
    "epochs": 1,
    "image_size_pixels": 1,
    "resize_pixels": 1,
    "train_resize_pixels": 1,
    "feature_views": 0,
    "folds": 0,
    "body_rate_factor": 0,
    "augment_grow_pixels": 0,
    "map_penalty": 0,
    "decay_factor": 0,
    "norm_bias_rate_factor": 0,
    "honest_validation_size": 1,
    "batch_size": 1,
    "look_every_epochs": 1,
    "seed": 0,
    "validation_size": 0,
    "momentum": 0,
    "weight_decay": 0,
    "label_smoothing": 0,
    "warmup_fraction": 0,
    "augment_shift_pixels": 0,
    "augment_rotate_degrees": 0,
    "augment_scale_fraction": 0,
    "augment_shear_fraction": 0,
    "augment_stroke_fraction": 0,
    "augment_elastic_pixels": 0,
    "augment_worn_fraction": 0,
    "augment_hand_fraction": 0,
}


_HIGHEST: dict[str, float] = {
    "image_size_pixels": MOST_PIXELS_A_SIDE,
    "resize_pixels": 4 * MOST_PIXELS_A_SIDE,
    "train_resize_pixels": 4 * MOST_PIXELS_A_SIDE,
    "augment_grow_pixels": 2 * MOST_PIXELS_A_SIDE,
    "feature_views": 1000,
    "folds": 1000,
    "epochs": 10**7,
    "batch_size": 10**7,
}


def override(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some fields replaced; text is read as the field's own type.

    `{"epochs": "3", "mean": "0.5"}` is what `--set epochs=3 mean=0.5` gives. Raises UsageError for
    an unknown field (the nearest name is suggested) and for a value of the wrong type.
    """
    hints = typing.get_type_hints(Recipe)
    fixed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints or name in ("name", "source"):
            raise unknown("recipe field", name, set(hints) - {"name", "source"})
        if not (isinstance(value, tuple | list) or value is None):
            fixed[name] = _read(name, hints[name], str(value))
            continue
        try:
            fixed[name] = read_value(name, hints[name], value)
        except FieldError as error:
            raise _cannot_be(error) from None
    return dataclasses.replace(recipe, **fixed)


def _read(name: str, kind: Any, text: str) -> Any:
    if isinstance(kind, types.UnionType):
        if text.lower() in ("none", "null"):
            return None
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        kind = typing.get_args(kind)[0]
        return tuple(_read(name, kind, part) for part in text.strip("()[]").split(",") if part)
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
    elif kind is str:
        return text
    else:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is not None and (kind is float or abs(number) < MOST):
            return number
    wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
    raise UsageError(
        f"{name} wants {wanted}, not {short(text)}.", f"For example: --set {name}={_example(kind)}"
    )


def _example(kind: Any) -> str:
    return {int: "10", float: "0.01", bool: "true"}[kind]
