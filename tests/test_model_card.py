"""Model files are validated before memory is allocated for their weights."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from neocog import classifier
from neocog.errors import NeocogError
from neocog.messages import Message
from neocog.model_card import read_card
from neocog.records import ModelFacts

from .memory import megabytes_of_refusals

CARD = {
    "format_version": 1,
    "architecture": {"name": "lenet5", "num_classes": 3, "in_channels": 1, "image_size": [28, 28]},
    "preprocessing": {
        "image_size": [28, 28],
        "channels": 1,
        "fit": "digit",
        "mean": [0.13],
        "std": [0.3],
        "box": 20,
        "dark_background": False,
        "mirrored": False,
        "resize": 0,
    },
    "classes": ["a", "b", "c"],
    "temperature": 1.5,
    "threshold": 0.25,
    "recipe": {"name": "quickstart"},
    "data": {
        "name": "mnist5k",
        "fingerprints": {"train": "0", "validation": "1", "test": "2"},
        "findings": [],
    },
    "selected": {"epoch": 3, "by": "last", "metrics": {"epoch": 3, "train/loss": 0.5}},
    "measured": {"split": "test", "n": 10, "accuracy": 0.9, "interval": [0.8, 1.0]},
}


def changed(**changes):
    """The card with values replaced: `data__name=3` is card["data"]["name"]."""
    card = json.loads(json.dumps(CARD))
    for path, value in changes.items():
        *above, last = path.split("__")
        place = card
        for key in above:
            place = place[key]
        place[last] = value
    return card


def test_a_card_round_trips():
    card = read_card(json.dumps(CARD))
    assert json.loads(card.to_json()) == CARD
    assert read_card(card.to_json()) == card


def test_a_card_says_by_which_metric_or_by_what_a_head_was_selected():
    by = Message("penalty_by_folds", {"folds": 5, "n": 202}).to_json()
    selected = read_card(json.dumps(changed(selected__by=by))).facts.selected
    assert selected.by.text() == ("5-fold cross-validation on 202 training images")


def test_a_card_of_an_earlier_version_may_have_less():
    least = {k: v for k, v in CARD.items() if k not in ("recipe", "data", "selected", "measured")}
    for name in ("box", "dark_background", "mirrored", "resize"):
        least["preprocessing"] = {k: v for k, v in least["preprocessing"].items() if k != name}
        assert read_card(json.dumps(least)).facts == ModelFacts()


WRONG = {
    "no list": (changed(classes=None), "`classes` must be a list of texts, not None"),
    "a text": (changed(classes="abc"), "`classes` must be a list of texts, not 'abc'"),
    "a dict": (changed(classes={"a": 1, "b": 2, "c": 3}), "`classes` must be a list of texts"),
    "numbers": (changed(classes=[0, 1, 2]), "`classes` must be a list of texts"),
    "twice": (changed(classes=["a", "b", "a"]), "class 'a' occurs twice"),
    "no classes": (changed(classes=[], architecture__num_classes=0), "1 to 100,000 classes, not 0"),
    "surrogate": (changed(classes=["a", "b", "\ud800"]), "is not text"),
    "fewer": (changed(classes=["a", "b"]), "has 3 classes, but there are 2 class names"),
    "ten million": (
        changed(architecture__num_classes=10**7),
        "has 10000000 classes, but there are 3",
    ),
    "NaN": (changed(temperature=float("nan")), "NaN is not a JSON number"),
    "infinite": (changed(selected__metrics={"x": float("inf")}), "Infinity is not a JSON number"),
    "cold": (changed(temperature=0), "`temperature` lies between"),
    "negative": (changed(temperature=-1), "`temperature` lies between"),
    "not warm": (changed(temperature="warm"), "`temperature` must be a number, not 'warm'"),
    "true": (changed(temperature=True), "`temperature` must be a number, not True"),
    "threshold": (changed(threshold=1.5), "`threshold` lies between 0 and 1"),
    "no threshold": (changed(threshold=None), "`threshold` must be a number, not None"),
    "version": (changed(format_version="1"), "`format_version` must be 1 or more"),
    "version 0": (changed(format_version=0), "`format_version` must be 1 or more"),
    "version true": (changed(format_version=True), "`format_version` must be 1 or more"),
    "list": ([], "it is a JSON object, not []"),
    "null": (None, "it is a JSON object, not None"),
    "unknown": (changed(extra=1), "it has 'extra', which no version of Neocog wrote"),
    "architecture": (changed(architecture=[]), "`architecture` must be a JSON object, not []"),
    "size": (changed(architecture__image_size=28), "must be a list of 2 whole numbers, not 28"),
    "three": (changed(architecture__image_size=[1, 2, 3]), "a list of 2 whole numbers"),
    "half": (changed(architecture__image_size=[28.5, 28]), "a list of 2 whole numbers"),
    "option": (changed(architecture__depth=3), "has name, num_classes, in_channels and image_size"),
    "name": (changed(architecture__name=3), "`name` must be a text, not 3"),
    "digits": (changed(architecture__num_classes=10**400), "not so large"),
    "other size": (changed(architecture__image_size=[32, 32]), "takes images of (32, 32)"),
    "huge": (
        changed(architecture__image_size=[40_000] * 2, preprocessing__image_size=[40_000] * 2),
        "1 to 2,048 pixels a side, not 40000 x 40000",
    ),
    "empty": (changed(preprocessing__image_size=[0, 28]), "1 to 2,048 pixels a side"),
    "channels": (changed(preprocessing__channels=2), "1 channel (grey) or 3 (RGB), not 2"),
    "mean": (changed(preprocessing__mean=[0.1, 0.2]), "one number for each channel"),
    "mean text": (changed(preprocessing__mean="0.1"), "`mean` must be a list of numbers"),
    "large mean": (changed(preprocessing__mean=[1e999]), "Infinity is not a JSON number"),
    "std": (changed(preprocessing__std=[0]), "std above 0"),
    "fit": (changed(preprocessing__fit="x"), "no rule 'x'"),
    "fit list": (changed(preprocessing__fit=[]), "`fit` must be a text"),
    "box": (changed(preprocessing__box=0), "`box` lies between 1 and"),
    "resize": (changed(preprocessing__resize=10**9), "`resize` between 0 and"),
    "field": (changed(preprocessing__zoom=2), "it has 'zoom'"),
    "preprocessing": (changed(preprocessing=None), "is not a preprocessing"),
    "recipe": (changed(recipe="quickstart"), "`recipe` must be a JSON object"),
    "data": (changed(data=[1]), "`data` must be a JSON object"),
    "data name": (changed(data__name=["a"]), "`data.name` cannot be ['a']"),
    "zero byte": (changed(data__name="a\0b"), "`data.name` cannot be"),
    "fingerprints": (changed(data__fingerprints={"test": 3}), "`data.fingerprints` cannot be"),
    "selected": (changed(selected={"by": "last"}), "`selected.epoch` cannot be None"),
    "selected by": (changed(selected__by=["last"]), "`selected.by` cannot be ['last']"),
    "missing": ({k: v for k, v in CARD.items() if k != "threshold"}, "it has no `threshold`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_invalid_value_is_named(name):
    card, says = WRONG[name]
    with pytest.raises(NeocogError) as caught:
        read_card(json.dumps(card).replace("1e999", "NaN"))
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is not valid JSON"),
        ("{", "it is not valid JSON"),
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        ('{"temperature": 1e999}', "inf is not a JSON number"),
        ("9" * 5000, "it is not valid JSON"),
        (" " * (8 * 2**20 + 1), "8,388,609 characters, and may have 8,388,608"),
    ],
)
def test_text_that_is_not_a_card_is_rejected(text, says):
    with pytest.raises(NeocogError) as caught:
        read_card(text)
    assert says in caught.value.message and "\n" not in caught.value.message


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([0, -1, 10**7, 10**400, 1e-300, "", "digit", "crop", "lenet", "[fc] fc"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
PLACES = [
    *((key,) for key in CARD),
    *((key, inner) for key, value in CARD.items() if isinstance(value, dict) for inner in value),
]


@settings(deadline=None, max_examples=500)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_any_change_of_a_card_is_valid_or_an_error(changes):
    card = json.loads(json.dumps(CARD))
    for place, value in changes:
        inside = card
        for key in place[:-1]:
            inside = inside[key] if isinstance(inside[key], dict) else inside
        inside[place[-1]] = value
    try:
        parsed, message = read_card(json.dumps(card)), ""
    except NeocogError as error:
        parsed, message = None, error.message
    if parsed:
        assert read_card(parsed.to_json()) == parsed
    else:
        assert message and "\n" not in message and len(message) < 500


@settings(deadline=None, max_examples=200)
@given(st.text() | st.recursive(SCALARS, st.lists).map(json.dumps))
def test_any_text_is_a_card_or_an_error(text):
    try:
        read_card(text)
    except NeocogError as error:
        assert "\n" not in error.message  # noqa: PT017


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a model file from a card and tensors, or only a header."""

    def write(card, tensors):
        path = tmp_path / "model.safetensors"
        text = card if isinstance(card, str) else json.dumps(card)
        save_file(tensors, path, {"neocog": text})
        return path

    return write


def own_card(run):
    with safe_open(run.model_file, framework="pt") as file:
        return json.loads(file.metadata()["neocog"]), load_file(run.model_file)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "nonesuch"}, "There is no network 'nonesuch'"),
        ({"name": "lenet5-1998"}, "lenet5-1998 is as published"),
        ({"name": "[conv3-8 relu"}, "The layer pattern is wrong at '['"),
        ({"name": "fc65536 fc65536 fc"}, "a pattern may have 250,000,000"),
        ({"name": "timm/hf-hub:someone/something"}, "not the name of a timm network"),
        ({"name": "threenet"}, "they have no 'f1.weight'"),
    ],
)
def test_an_impossible_network_is_a_one_line_error(digits_run, written, change, says):
    card, tensors = own_card(digits_run)
    card["architecture"] |= change
    if change["name"].startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(NeocogError) as caught:
        classifier.load(written(card, tensors))
    assert says in caught.value.message and "\n" not in caught.value.message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_rejected(digits_run, written, value):
    card, tensors = own_card(digits_run)
    tensors["c1.weight"][0, 0, 0, 0] = value
    with pytest.raises(NeocogError, match=r"'c1.weight' holds weights that are not finite"):
        classifier.load(written(card, tensors))


def test_weights_that_overflow_give_no_prediction(digits_run, written):
    card, tensors = own_card(digits_run)
    tensors["output.weight"][:] = 3e38
    loaded = classifier.load(written(card, tensors))
    with pytest.raises(NeocogError, match="logits are not finite"):
        loaded.probabilities(torch.zeros(1, 8, 8, 1, dtype=torch.uint8).numpy())


def test_weights_of_another_type_are_rejected(digits_run, written):
    card, tensors = own_card(digits_run)
    tensors["c1.weight"] = tensors["c1.weight"].double()
    with pytest.raises(NeocogError, match=r"'c1.weight' is F64 in the file and F32"):
        classifier.load(written(card, tensors))


HUGE = {
    "ten million classes": changed(architecture__num_classes=10**7),
    "many classes": changed(
        classes=[str(k) for k in range(99_999)], architecture__num_classes=99_999
    ),
    "a pattern": changed(architecture__name="fc65536 fc65536 fc"),
    "large images": changed(
        architecture__image_size=[40_000] * 2, preprocessing__image_size=[40_000] * 2
    ),
    "images of the largest size": changed(
        architecture__name="threenet",
        architecture__image_size=[2048] * 2,
        preprocessing__image_size=[2048] * 2,
    ),
    "a large network": changed(
        architecture__name="vgg19",
        architecture__image_size=[224] * 2,
        preprocessing__image_size=[224] * 2,
    ),
}


def test_a_small_file_takes_little_memory(tmp_path):
    for place, card in enumerate(HUGE.values()):
        content = save({"c1.weight": torch.zeros(6, 1, 5, 5)}, {"neocog": json.dumps(card)})
        (tmp_path / f"{place}.safetensors").write_bytes(content)
    megabytes, printed = megabytes_of_refusals(
        tmp_path,
        "*.safetensors",
        "from torchvision import models\nfrom neocog import classifier",
        "classifier.load",
    )
    assert len(megabytes) == len(HUGE), printed
    assert max(megabytes) < 100, printed
