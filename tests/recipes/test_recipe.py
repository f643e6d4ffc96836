import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neocog import recipes
from neocog.data import DATASETS
from neocog.errors import UsageError
from neocog.models import MODELS
from neocog.recipes import RECIPES, Recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_refers_to_existing_names_and_survives_json(name):
    recipe = RECIPES[name]
    assert recipe.model in MODELS
    assert recipe.data in DATASETS or recipe.data == "PHOTOS"
    assert recipe.source
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_the_recipes_of_tutorials_have_their_settings():
    assert recipes.get("threenet").printed_test_accuracy == 0.97959
    three, lenet, lenet5, convnet = (
        recipes.get(n) for n in ("threenet", "lenet", "lenet5", "convnet")
    )
    assert (three.epochs, three.batch_size, three.learning_rate) == (500, 256, 0.01)
    assert (three.loss, three.mean, three.std, three.momentum) == ("nll", (0.5,), (0.5,), 0)
    assert (three.select, three.look_every_epochs) == ("train/accuracy_after", 20)
    assert (lenet.epochs, lenet.batch_size, lenet.learning_rate, lenet.momentum) == (
        2,
        4,
        1e-3,
        0.9,
    )
    assert (lenet5.epochs, lenet5.batch_size, lenet5.learning_rate) == (50, 64, 1e-3)
    assert lenet.mean == lenet5.mean == (0.1307,)
    assert lenet.std == lenet5.std == (0.3081,)
    assert (convnet.optimizer, convnet.learning_rate, convnet.batch_size) == ("adam", 1e-3, 100)
    assert (convnet.epochs, convnet.mean, convnet.std) == (1, (0.0,), (1.0,))
    assert {r.validation_size for r in (three, lenet, lenet5, convnet)} == {0}


def test_text_is_parsed_as_the_type_of_the_field():
    changed = recipes.get(
        "quickstart",
        {
            "epochs": "3",
            "learning_rate": "1e-2",
            "nesterov": "false",
            "mean": "0.5",
            "validation_size": "none",
            "model": "lenet",
        },
    )
    assert (changed.epochs, changed.learning_rate, changed.nesterov) == (3, 0.01, False)
    assert (changed.mean, changed.validation_size, changed.model) == ((0.5,), None, "lenet")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learnig_rate": "1"}, "Did you mean 'learning_rate'"),
        ({"lr": "1"}, "no recipe field 'lr'"),
        ({"epochs": "many"}, "epochs must be a whole number, not 'many'"),
        ({"epochs": "2.5"}, "epochs must be a whole number"),
        ({"nesterov": "maybe"}, "nesterov must be true or false"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"mean": "a,b"}, "mean must be a number"),
        ({"epochs": "0"}, "epochs must be at least 1"),
        ({"learning_rate": "-1"}, "must be above 0"),
        ({"learning_rate": "nan"}, "must be above 0"),
        ({"std": "0"}, "must be above 0"),
        ({"mean": "0.1,0.2"}, "one number per channel"),
        ({"optimizer": "sdg"}, "Did you mean 'sgd'"),
        ({"momentum": "0"}, "nesterov needs momentum"),
        ({"validation_size": "0"}, "needs a validation split"),
        ({"label_smoothing": "1"}, "must be below 1"),
        ({"loss": "nll", "label_smoothing": "0.1"}, "label_smoothing works with"),
    ],
)
def test_errors_of_invalid_values_say_what_is_valid(values, message):
    with pytest.raises(UsageError, match=message):
        recipes.get("quickstart", values)


@pytest.mark.parametrize(
    ("loss", "output", "reason"),
    [
        ("cross_entropy", "softmax", "gradient is flat"),
        ("nll", "softmax", "minus the probability"),
        ("nll", "logits", "falls without bound"),
        ("cross_entropy", "log_softmax", "taken twice"),
    ],
)
def test_a_loss_rejects_the_wrong_input(loss, output, reason):
    with pytest.raises(UsageError, match=reason):
        recipes.get("quickstart", {"loss": loss, "output": output})


@pytest.mark.parametrize(("loss", "output"), [("nll", "log_softmax"), ("cross_entropy", "logits")])
def test_a_loss_accepts_the_right_input(loss, output):
    assert recipes.get("quickstart", {"loss": loss}).loss_input == output
    assert recipes.get("quickstart", {"loss": loss, "output": output}).loss_input == output


def test_an_unknown_recipe_suggests_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean 'quickstart'"):
        recipes.get("quikstart")


def test_the_step_schedule_requires_decay_epochs():
    with pytest.raises(UsageError, match="belong together"):
        recipes.get("mnist", {"schedule": "step"})
    changed = recipes.get("mnist", {"schedule": "step", "decay_at_epochs": "2,4"})
    assert changed.decay_at_epochs == (2, 4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epochs": "many"}, "epochs cannot be 'many': expected a whole number"),
        ({"epochs": 2.0}, "epochs cannot be 2.0"),
        ({"epochs": True}, "epochs cannot be True"),
        ({"epochs": None}, "epochs cannot be None"),
        ({"mean": 0.5}, r"mean cannot be 0.5: expected a list of numbers"),
        ({"mean": ["0.5"]}, r"mean cannot be \['0.5'\]"),
        ({"std": [float("inf")]}, r"std cannot be \[inf\]"),
        ({"learning_rate": 10**400}, "learning_rate cannot be so large"),
        ({"learning_rate": float("nan")}, "learning_rate cannot be nan"),
        ({"loss": {}}, "loss cannot be {}: expected a text"),
        ({"nesterov": 1}, "nesterov cannot be 1: expected true or false"),
        (
            {"validation_size": "5"},
            "validation_size cannot be '5': expected a whole number or null",
        ),
        ({"image_size_pixels": 40_000}, "image_size_pixels must be at most 2,048, not 40,000"),
        ({"feature_views": 10**6}, "feature_views must be at most 1,000"),
        ({"mean": [0.5] * 2, "std": [0.5] * 2}, "1 number .grey. or 3 .RGB., not 2"),
    ],
)
def test_a_recipe_from_a_file_is_checked_field_by_field(change, says):
    with pytest.raises(UsageError, match=says):
        Recipe.from_json(recipes.get("quickstart").to_json() | change)


@pytest.mark.parametrize("values", [None, [], "quickstart", 3, {}])
def test_json_that_is_not_a_recipe_is_rejected(values):
    with pytest.raises(
        UsageError, match=r"A recipe is a JSON object|The recipe is incomplete: .*name"
    ):
        Recipe.from_json(values)


FIELDS = [field.name for field in dataclasses.fields(Recipe)]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=3), SCALARS)
CHANGES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), VALUES, max_size=4)


def error_message(action):
    """Return the one-line message of a UsageError; empty if there was none."""
    try:
        action()
    except UsageError as error:
        assert error.message and "\n" not in error.message and "\n" not in error.hint  # noqa: PT017
        return error.message
    return ""


@settings(deadline=None, max_examples=300)
@given(CHANGES, st.sampled_from(sorted(RECIPES)))
def test_any_json_is_a_recipe_or_an_error(changes, name):
    values = RECIPES[name].to_json() | changes

    def read():
        recipe = Recipe.from_json(values)
        assert Recipe.from_json(json.loads(json.dumps(recipe.to_json(), allow_nan=False))) == recipe

    error_message(read)


TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "none", "nan", "inf", "1e999", "-1", "0", "9" * 5000, "(0.5,0.5,0.5)", "1,,", "true", "³"]
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), TEXTS | VALUES, max_size=4))
def test_any_set_option_changes_the_recipe_or_is_an_error(changes):
    def change():
        recipe = recipes.get("quickstart", changes)
        assert Recipe.from_json(json.loads(json.dumps(recipe.to_json(), allow_nan=False))) == recipe

    error_message(change)
