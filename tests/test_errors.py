"""What an error carries: a stable code, and settings that each front end spells in its own way."""

import ast
import json
import re
from pathlib import Path

import pytest

from neocog import errors
from neocog.cli.arguments import spell_settings
from neocog.errors import NeocogError, UsageError, spell_in_python

FILES = sorted(Path(errors.__file__).parent.rglob("*.py"))
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, NeocogError)
]


def test_every_kind_has_a_code_of_its_own():
    assert len({kind.code for kind in KINDS}) == len(KINDS) >= 10


@pytest.mark.parametrize(
    ("settings", "typed", "python"),
    [
        ([("fit", "square")], "--set fit=square", 'fit="square"'),
        (
            [("mean", (0.5, 0.25)), ("std", (1,))],
            "--set mean=0.5,0.25 std=1",
            "mean=(0.5, 0.25), std=(1,)",
        ),
        (
            [("weights", "random"), ("feature_views", 0)],
            "--weights random --set feature_views=0",
            'weights="random", feature_views=0',
        ),
        ([("learning_rate", ...)], "--lr ...", "learning_rate=..."),
        ([("fine_tune", True)], "--fine-tune", "fine_tune=True"),
        ([("nesterov", True)], "--set nesterov=true", "nesterov=True"),
        ([("name", None)], "--name", "name"),
        ([("model", "conv3-8 fc")], "--model 'conv3-8 fc'", 'model="conv3-8 fc"'),
    ],
)
def test_settings_are_typed_on_the_command_line_and_written_in_python(settings, typed, python):
    assert spell_settings(settings) == typed
    assert spell_in_python(settings) == python


def test_a_hint_holds_one_setting_or_all_of_them():
    error = UsageError("No.", "Say {select} or {settings}.", [("select", "last"), ("epochs", 3)])
    assert str(error) == 'No. Say select="last" or select="last", epochs=3.'
    assert error.spell_hint(spell_settings) == (
        "Say --set select=last or --set select=last --epochs 3."
    )


def error_calls(tree):
    """The hints of errors that a module makes, each with the fields of its settings."""
    for node in ast.walk(tree):
        name = getattr(getattr(node, "func", None), "id", "")
        if name in {kind.__name__ for kind in KINDS} and len(node.args) > 1:
            hint = node.args[1]
            parts = hint.values if isinstance(hint, ast.JoinedStr) else [hint]
            text = "".join(str(getattr(part, "value", "")) for part in parts)
            pairs = node.args[2].elts if len(node.args) > 2 else []
            yield text, {getattr(pair.elts[0], "value", None) for pair in pairs}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hints_stand_for_the_settings_that_they_have(path):
    for text, fields in error_calls(ast.parse(path.read_text())):
        named = set(re.findall(r"\{(\w+)\}", text))
        assert named <= fields | ({"settings"} if fields else set()), text
        assert "settings" in named or fields <= named, text


def test_a_hint_without_settings_keeps_its_braces():
    assert NeocogError("No.", "Delete {settings}").hint == "Delete {settings}"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["train", "--recipe", "quikstart"], "unknown_name"),
        (["train", "--device", "gpu"], "unknown_name"),
        (["evaluate"], "unknown_name"),
        (["train", "--set", "select=validation/loss", "validation_size=0"], "usage"),
        (["train", "--nonsense"], "usage"),
        (["evaluate", "x.safetensors"], "not_found"),
    ],
)
def test_the_code_is_in_the_json(neocog_command, arguments, code):
    _, out, _ = neocog_command(*arguments, "--json")
    error = json.loads(out)["error"]
    assert set(error) == {"code", "message", "hint"} and error["code"] == code


def test_a_damaged_file_has_its_code(neocog_command, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nonsense")
    _, out, _ = neocog_command("evaluate", tmp_path / "x.safetensors", "--json")
    assert json.loads(out)["error"]["code"] == "damaged_file"


def test_the_command_line_spells_what_helps(neocog_command):
    code, _, err = neocog_command("train", "--set", "select=validation/loss", "validation_size=0")
    assert code == 2 and "Use --set select=last or --set validation_size=5000" in err
    code, _, err = neocog_command("train", "--set", "learning_rate=x")
    assert code == 2 and "For example: --lr 0.01" in err


def test_options_of_train_set_fields_of_the_recipe(neocog_command, tmp_path):
    arguments = ["train", "digits", "--epochs", 1, "--batch-size", 64, "--lr", 0.02]
    assert neocog_command(*arguments, "--runs", tmp_path)[0] == 0
    recipe = json.loads((tmp_path / "digits-digits-1" / "recipe.json").read_text())["recipe"]
    assert (recipe["batch_size"], recipe["learning_rate"]) == (64, 0.02)
