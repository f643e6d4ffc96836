"""Messages have a sentence in every language, and what earlier versions recorded stays readable."""

import ast
import json
import string
from pathlib import Path

import pytest

import neocog
from neocog.data import checks
from neocog.evaluation.evaluate import evaluate
from neocog.messages import AS_RECORDED, CATALOGUE, Message
from neocog.messages.phrases import LANGUAGES, fill
from neocog.records import EvaluationRecord
from neocog.runs import Run

SOURCE = Path(neocog.__file__).parent


def placeholders(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def called_with_text(function):
    """The first argument of every call of a function in the source, if it is a text."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name == function and isinstance(node.args[0].value, str):
                    yield node.args[0].value


@pytest.mark.parametrize("key", CATALOGUE)
def test_a_sentence_has_the_same_placeholders_in_every_language(key):
    texts = CATALOGUE[key]
    assert len(texts) == len(LANGUAGES)
    assert len({frozenset(placeholders(text)) for text in texts}) == 1
    assert key == AS_RECORDED or texts[0] != texts[1]


def test_every_message_in_the_source_is_in_the_catalogue():
    messages = set(called_with_text("Message"))
    findings = {*checks.UNUSED_FILES, *checks._DUPLICATES} | {
        node.args[0].value
        for node in ast.walk(ast.parse((SOURCE / "data" / "checks.py").read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("add", "add_paths")
        if isinstance(node.args[0], ast.Constant)
    }
    assert len(messages) > 15 and len(findings) > 25
    assert messages | findings <= set(CATALOGUE)
    named_by_variable = {"split_official", "split_stratified", AS_RECORDED}
    assert set(CATALOGUE) == messages | findings | named_by_variable, "a sentence nobody says"


def test_the_ids_of_a_split_are_in_the_catalogue(mnist5k):
    assert mnist5k.note.id == "split_stratified"
    assert mnist5k.note.text() == (
        "1,000 images held out as test, 500 of the rest as validation; stratified, the same for "
        "every seed"
    )


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        ("{n:image|images}", {"n": 1}, "1 image"),
        ("{n:image|images}", {"n": 0}, "0 images"),
        ("{n:image|images}", {"n": 1234}, "1,234 images"),
        ("{n:image|images}", {"n": "1"}, "1 image"),
        ("{n:image|images}", {"n": "1,234"}, "1,234 images"),
        ("{n:,} {n:|is|are}", {"n": 1}, "1 is"),
        ("{n:,} {n:|is|are}", {"n": 1234}, "1,234 are"),
        ("{names:, }", {"names": ("a", "b|c", "{d}")}, "a, b|c, {d}"),
        ('"{names:", "}"', {"names": ("a", "b")}, '"a", "b"'),
        ("{ratio:g} {text}", {"ratio": 2.0, "text": "{n:a|b}"}, "2 {n:a|b}"),
    ],
)
def test_placeholders_are_filled_in(text, values, filled):
    assert fill(text, **values) == filled


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (Message("few_test_images", {"n": 1}), "1 image is too few for a reliable estimate"),
        (Message("few_test_images", {"n": 12}), "12 images are too few for a reliable estimate"),
        (
            Message("trained_on", {"n": 1, "total": 1200}),
            "1 of these 1,200 images was used for training: the accuracy is too high",
        ),
        (
            Message("not_an_image", {"n": 1}),
            "1 file with an image extension that is not an image",
        ),
        (
            Message("not_an_image", {"n": 2}),
            "2 files with an image extension that are not images",
        ),
        (
            Message("similar_class_names", {"name": "DOG", "similar": ("Dog", "dog")}),
            '"DOG" and "Dog" and "dog" differ only in case or spaces: if they are the same '
            "class, give them the same name",
        ),
        (
            Message("imbalance", {"n": 2, "most": "a", "most_images": 1000, "least": "b",
                                  "least_images": 1}),
            "2 classes of very different size: a has 1,000 images, b 1",
        ),
    ],
)  # fmt: skip
def test_an_english_sentence_agrees_with_its_numbers(message, sentence):
    assert message.text() == sentence


def test_a_message_is_the_same_after_it_was_recorded():
    message = Message("modes", {"n": 6, "modes": ("CMYK", "P")})
    recorded = json.loads(json.dumps(message.to_json()))
    assert recorded == {
        "id": "modes",
        "parameters": {"n": 6, "modes": ["CMYK", "P"]},
        "message": "6 images in other colour modes (CMYK, P), converted to RGB",
    }
    assert Message.from_json(recorded) == message
    assert message.text("zh") == "6 张图像为其他颜色模式（CMYK、P），已转换为 RGB"


@pytest.mark.parametrize(
    ("recorded", "sentence"),
    [
        ("6 images held out as test", "6 images held out as test"),  # before ids
        ("validation/accuracy", "validation/accuracy"),
        ({"kind": "few_pictures", "count": 1, "message": "1 class {n}"}, "1 class {n}"),
        ({"id": "not_yet", "parameters": {"n": 1}, "message": "A sentence."}, "A sentence."),
        ({"id": "modes", "parameters": {"n": 1}, "message": "No modes."}, "No modes."),
        ({"id": "modes", "parameters": {"n": "x", "modes": []}, "message": "n"}, "n"),
        ({"id": ["modes"], "parameters": {}, "message": "An id."}, "An id."),
        ({"id": "modes", "parameters": [1], "message": "A list."}, "A list."),
        ({"id": "modes"}, ""),
    ],
)
def test_what_other_versions_recorded_keeps_its_words_in_any_language(recorded, sentence):
    message = Message.from_json(recorded)
    assert message.text("en") == message.text("zh") == sentence
    assert Message.from_json(message.to_json()) == message


def test_a_run_folder_of_an_earlier_version_can_be_read(quick_run, tmp_path):
    """Its note and findings are sentences, and so is how the head was selected."""
    values = json.loads(quick_run.environment_file.read_text("utf-8"))
    assert values["data"]["note"]["id"] == "split_stratified"
    values["data"]["note"] = "as they were given"
    values["data"]["findings"] = [{"kind": "not_a_picture", "count": 1, "message": "1 file"}]
    (tmp_path / "environment.json").write_text(json.dumps(values))
    found = Run(tmp_path).read_environment().data
    assert found.note.text("zh") == "as they were given"
    assert [(f.kind, f.message.text("zh")) for f in found.findings] == [("not_a_picture", "1 file")]
    values = {
        **evaluate(quick_run.path).result.to_json(),
        "notes": ["so few"],
        "selected_by": "folds",
    }
    recorded = EvaluationRecord.from_json(values)
    assert [note.text("zh") for note in recorded.notes] == ["so few"]
    assert recorded.selection().text("zh") == recorded.selected_by == "folds"


def test_no_code_reads_a_sentence():
    """What a message is about is told by its id, an error's kind or its type."""
    reading = {"startswith", "endswith", "find", "index", "count"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            operands = []
            if isinstance(node, ast.Compare):
                operands = [node.left, *node.comparators]
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in reading:
                operands = [node.func.value]
            attributes = [getattr(operand, "attr", "") for operand in operands]
            assert "message" not in attributes, f"{path}:{node.lineno}"
