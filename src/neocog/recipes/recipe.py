"""`Recipe`: all settings of a training run as one frozen value."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neocog.errors import UsageError, unknown
from neocog.json_fields import MAX_NUMBER, FieldError, JsonValue, read_fields, read_value, short

MOST_PIXELS_A_SIDE = 2048  # of a network's input; `Preprocessing` rejects more

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
    """What to train and how: plain values only, checked on construction.

    Raises UsageError if a value is out of range or two values contradict each other. Each field is
    documented below it.
    """

    name: str
    """The recipe's key in `RECIPES`."""
    source: str
    """The tutorial, paper or project that the recipe follows."""
    data: str
    """A dataset name or the path of a dataset; PHOTOS stands for the user's own images."""
    model: str
    """A key of `MODELS`, timm/NAME or a layer pattern."""
    epochs: int
    """Number of passes over the training split."""
    batch_size: int
    """Number of images per optimizer step."""
    learning_rate: float
    """The learning rate before the schedule; with schedule=one-cycle its maximum."""
    mean: tuple[float, ...]
    """Mean per channel of images scaled to 0..1; empty: the value of the pretrained weights."""
    std: tuple[float, ...]
    """Standard deviation per channel of images scaled to 0..1; empty: that of the weights."""
    fit: str = "square"
    """How custom images are resized (see `Preprocessing`); built-in datasets have their own way."""
    image_size_pixels: int | None = None
    """Side of the network's input; None: the size of the dataset (64 for custom images) or, with
    pretrained weights, theirs."""
    resize_pixels: int | None = None
    """With fit=crop: the short side before the centre crop; None: that of the weights."""
    train_resize_pixels: int | None = None
    """Replaces `resize_pixels` for training images."""

    weights: str = "random"
    """Initial weights: random, imagenet or the path of a file."""
    trained_part: str = ""
    """Only layers whose names begin with this prefix are trained; empty: all."""
    feature_views: int = 0
    """If above 0, run the frozen backbone once on this many views of each training image (the
    image, its mirror image, then random crops) and fit the head to the features."""
    fine_tune: bool = False
    """After fitting the head, train the whole network as the other fields say."""
    folds: int = 0
    """Number of folds for a cross-validated accuracy of the head; 0: none."""
    body_rate_factor: float = 1.0
    """Multiplies the learning rate of the layer before the head; the factor falls geometrically
    to its square at the first layer."""

    validation_size: int | None = None
    """Number of official training images held out for validation; None: the dataset's default;
    0: train on all of them, as many published recipes do."""

    augment_shift_pixels: float = 0.0
    """Largest shift in each direction. All random augmentations are redrawn for every image and
    epoch; bounds are of uniform distributions, both ways."""
    augment_rotate_degrees: float = 0.0
    """Largest rotation."""
    augment_scale_fraction: float = 0.0
    """Largest relative change of each side."""
    augment_shear_fraction: float = 0.0
    """Largest shear, relative to the side."""
    augment_stroke_fraction: float = 0.0
    """Fraction of images whose strokes are thickened by a pixel; half as many are thinned."""
    augment_elastic_pixels: float = 0.0
    """Standard deviation of the displacement of grid points in elastic distortion."""
    augment_worn_fraction: float = 0.0
    """Fraction of digits with a gap in a stroke, a faded end or a cut-off end."""
    augment_hand_fraction: float = 0.0
    """Fraction of the digits 1, 7 and 9 that get an upstroke, a bar or a foot."""
    augment_grow_pixels: int = 0
    """Side to which images are enlarged before a random crop of their original size; 0: no crop."""
    augment_flip: str = "none"
    """Horizontal flips: none, random, or alternating, which mirrors a random half of the images in
    the first epoch, the other half in the next, and so on."""
    augment_edge: str = "black"
    """Pixels that a shift moves into the image: black, or the reflected edge."""

    loss: str = "cross_entropy"
    """The training loss; see `CHOICES`."""
    output: str = "auto"
    """Input of the loss; auto: the one that `loss` requires (see `loss_input`)."""
    label_smoothing: float = 0.0
    """Probability mass spread over all classes; loss=cross_entropy only."""
    map_penalty: float = 1.0
    """The constant j in the criterion of LeCun et al. 1998; loss=map only."""

    optimizer: str = "sgd"
    """sgd or adam."""
    momentum: float = 0.0
    """Momentum of SGD."""
    nesterov: bool = False
    """Nesterov momentum; needs momentum above 0."""
    weight_decay: float = 0.0
    """L2 penalty on weights; not applied to biases and norms."""
    schedule: str = "constant"
    """Learning-rate schedule: constant, one-cycle or step."""
    warmup_fraction: float = 0.3
    """Fraction of the steps before the maximum; schedule=one-cycle only."""
    decay_at_epochs: tuple[int, ...] = ()
    """Epochs after which the learning rate is multiplied by `decay_factor`; schedule=step only."""
    decay_factor: float = 0.1
    """Factor of the learning rate at each decay; schedule=step only."""
    decay_renews_optimizer: bool = False
    """Reset the optimizer's moments at each decay; schedule=step only."""
    norm_bias_rate_factor: float = 1.0
    """Multiplies the learning rate of batch-norm biases."""

    select: str = "validation/accuracy"
    """Metric of the epoch that is kept; ties go to the earlier epoch. `validation/loss` is the
    recipe's own loss, as `train/loss` is; `train/accuracy_after` is measured on the whole training
    split after the epoch; last keeps the last epoch."""
    look_every_epochs: int = 1
    """Number of epochs between evaluations of the metric; the last epoch is always evaluated."""

    precision: str = "float32"
    """float32, bfloat16, or fast: bfloat16 if the hardware supports it natively, else float32."""
    channels_last: bool = False
    """Store tensors in torch.channels_last memory format, which is faster on most CPUs."""
    test_mirrored: bool = False
    """Average the predictions for an image and its mirror image."""
    allow_outside: bool = False
    """Allow symbolic links and CSV files to refer to files outside the dataset's folder."""
    honest_validation_size: int | None = None
    """Validation size with which `neocog reproduce` trains again if the published recipe selected
    on the test split."""
    seed: int = 0
    """Seed of every random choice."""
    printed_test_accuracy: float | None = None
    """Test accuracy, 0..1, stated by the source, or by Neocog's README for its own recipes."""
    printed_train_accuracy: float | None = None
    """Training accuracy, 0..1, stated by the source."""

    def __post_init__(self) -> None:
        """Check ranges, choices and combinations."""
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise unknown(f"value of {field}:", str(getattr(self, field)), choices)
        self._check_ranges()
        # An empty std is filled in later from the weights.
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
        self._check_combinations()

    def _check_ranges(self) -> None:
        for field, low in _LOWEST.items():
            value = getattr(self, field)
            if value is not None and not value >= low:
                raise UsageError(f"{field} must be at least {low}, not {value}.")
        for field, high in _HIGHEST.items():
            value = getattr(self, field)
            if value is not None and value > high:
                raise UsageError(f"{field} must be at most {high:,}, not {value:,}.")

    def _check_combinations(self) -> None:
        if len(self.mean) != len(self.std):
            raise UsageError(
                f"mean and std need one number per channel, not {short(self.mean)} and "
                f"{short(self.std)}."
            )
        if len(self.mean) not in (0, 1, 3):
            raise UsageError(
                f"mean and std need 1 number (grey) or 3 (RGB), not {len(self.mean)}.",
                "For example: {settings}",
                [("mean", (0.5, 0.5, 0.5)), ("std", (0.5, 0.5, 0.5))],
            )
        self._check_transfer()
        self._check_schedule()
        if self.nesterov and not self.momentum > 0:
            raise UsageError(
                "nesterov needs momentum above 0.", "Use {settings}.", [("momentum", 0.9)]
            )
        if self.label_smoothing and self.loss != "cross_entropy":
            raise UsageError(
                "label_smoothing works with loss=cross_entropy.",
                "Use {settings}.",
                [("loss", "cross_entropy")],
            )
        warps = (
            self.augment_rotate_degrees,
            self.augment_scale_fraction,
            self.augment_shear_fraction,
            self.augment_shift_pixels % 1,
            self.augment_elastic_pixels,
        )
        if self.augment_edge == "reflect" and any(warps):
            raise UsageError(
                "augment_edge=reflect works only with shifts by whole pixels.",
                "Use {settings}, or no rotation, scaling and shear.",
                [("augment_edge", "black")],
            )
        loss = self.loss if self.loss == "nll" else "cross_entropy"  # the others take logits, too
        reason = _WRONG_PAIRS.get((self.loss_input, loss))
        if reason:
            expected = "log_softmax" if self.loss == "nll" else "logits"
            raise UsageError(
                f"output={self.output} does not go with loss={self.loss}: {reason}.",
                "Use {settings}.",
                [("output", expected)],
            )

    def _check_schedule(self) -> None:
        if self.decay_renews_optimizer and self.schedule != "step":
            raise UsageError(
                "decay_renews_optimizer needs schedule=step.",
                "For example: {settings}",
                [("schedule", "step"), ("decay_at_epochs", (20, 40, 60))],
            )
        if (self.schedule == "step") != bool(self.decay_at_epochs):
            raise UsageError(
                "schedule=step and decay_at_epochs belong together.",
                "For example: {settings}",
                [("schedule", "step"), ("decay_at_epochs", (20, 40, 60)), ("decay_factor", 0.1)],
            )
        if self.select.startswith("validation") and self.validation_size == 0:
            raise UsageError(
                f"select={self.select} needs a validation split, and validation_size is 0.",
                "Use {select} or {validation_size}.",
                [("select", "last"), ("validation_size", 5000)],
            )

    def _check_transfer(self) -> None:
        if self.fine_tune and not self.feature_views:
            raise UsageError(
                "fine_tune follows a fit of the head: it needs feature_views above 0.",
                "Use {recipe} or {feature_views}.",
                [("recipe", "photos"), ("feature_views", 1)],
            )
        if self.folds == 1 or (self.folds and not self.feature_views):
            raise UsageError(
                "folds must be at least 2, and needs feature_views above 0.",
                "Use {settings}.",
                [("recipe", "photos"), ("folds", 5)],
            )
        if self.feature_views and self.weights == "random":
            raise UsageError(
                "feature_views needs a pretrained network.",
                "Use {weights} or {feature_views}.",
                [("weights", "imagenet"), ("feature_views", 0)],
            )

    @property
    def loss_input(self) -> str:
        """Input of the loss: `logits`, `log_softmax` or `softmax`."""
        if self.output != "auto":
            return self.output
        return "log_softmax" if self.loss == "nll" else "logits"

    def to_json(self) -> dict[str, JsonValue]:
        """Return all fields as JSON values, which `from_json` reads."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(values: Any) -> "Recipe":
        """Read the recipe that `to_json` wrote.

        Raises UsageError if `values` is not a JSON object, a field is unknown or missing, or a
        value has the wrong type or is out of range.
        """
        if not isinstance(values, Mapping):
            raise UsageError(f"A recipe is a JSON object, not {short(values)}.")
        fields = dataclasses.fields(Recipe)
        known = {field.name for field in fields}
        for name in values:
            if name not in known:
                raise unknown("recipe field", name, known)
        try:
            arguments = read_fields(Recipe, values)
        except FieldError as error:
            raise _wrong_type(error) from None
        required = [f.name for f in fields if f.default is dataclasses.MISSING]
        missing = [name for name in required if name not in arguments]
        if missing:
            raise UsageError(f"The recipe is incomplete: it has no {', '.join(missing)}.")
        return Recipe(**arguments)


def _wrong_type(error: FieldError) -> UsageError:
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
    """Return the recipe with fields replaced; text is parsed as the type of its field.

    `--set epochs=3 mean=0.5` arrives as `{"epochs": "3", "mean": "0.5"}`. Raises UsageError for an
    unknown field, with the nearest name as a suggestion, and for a value of the wrong type.
    """
    hints = typing.get_type_hints(Recipe)
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints or name in ("name", "source"):
            raise unknown("recipe field", name, set(hints) - {"name", "source"})
        if not (isinstance(value, tuple | list) or value is None):
            changes[name] = _parse(name, hints[name], str(value))
            continue
        try:
            changes[name] = read_value(name, hints[name], value)
        except FieldError as error:
            raise _wrong_type(error) from None
    return dataclasses.replace(recipe, **changes)


def _parse(name: str, hint: Any, text: str) -> Any:
    """Parse text as a field's type. Raises UsageError if it is not a value of that type."""
    if isinstance(hint, types.UnionType):
        if text.lower() in ("none", "null"):
            return None
        hint = next(h for h in typing.get_args(hint) if h is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        hint = typing.get_args(hint)[0]
        return tuple(_parse(name, hint, part) for part in text.strip("()[]").split(",") if part)
    if hint is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
    elif hint is str:
        return text
    else:
        try:
            number = hint(text)
        except ValueError:
            number = None
        if number is not None and (hint is float or abs(number) < MAX_NUMBER):
            return number
    expected = {int: "a whole number", float: "a number", bool: "true or false"}[hint]
    example = {int: 10, float: 0.01, bool: True}[hint]
    raise UsageError(
        f"{name} must be {expected}, not {short(text)}.",
        "For example: {settings}",
        [(name, example)],
    )
