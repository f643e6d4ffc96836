"""Preparation of the typed arguments."""

import pytest

from neocog.cli.arguments import check_habits, spell_out
from neocog.errors import UsageError


def test_set_takes_all_that_follow_and_csv_a_file_only_by_its_name():
    spelled = spell_out(["train", "--set", "a=1", "b=2", "--epochs", "3", "x=y"])
    assert spelled == ["train", "--set", "a=1", "--set", "b=2", "--epochs", "3", "x=y"]
    assert spell_out(["predict", "--csv", "a.png"]) == ["predict", "--csv", "-", "a.png"]
    assert spell_out(["predict", "--csv", "a.csv"]) == ["predict", "--csv", "a.csv"]
    assert spell_out(["predict", "--csv"]) == ["predict", "--csv", "-"]
    assert spell_out(["predict", "--csv", "-"]) == ["predict", "--csv", "-"]
    joined = spell_out(["train", "--set=a=1", "b=2"])
    assert joined == ["train", "--set=a=1", "--set", "b=2"]


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("val", "evaluate"),
        ("test latest --json", "evaluate latest --json"),
        ("export --format onnx", "export --to onnx"),
        ("export run --format=onnx", "export run --to onnx"),
        ("train data=photos epochs=3", "train photos --epochs 3"),
        ("train --data photos --batch 16", "train photos --batch-size 16"),
        ("train photos --arch resnet18", "train photos --model resnet18"),
        ("train opt=adam lr=0.1", "train --set optimizer=adam --lr 0.1"),
        ("predict model=latest source=x.png", "predict latest x.png"),
    ],
)
def test_habits_of_other_tools_are_answered_with_the_right_command(typed, right):
    with pytest.raises(UsageError) as caught:
        check_habits(typed.split())
    assert caught.value.hint == f"Type: neocog {right}"
    assert check_habits(right.split()) == right.split()


def test_a_file_whose_name_contains_an_equals_sign_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data=photos").mkdir()
    for typed in ("train data=photos", "train --set data=photos", "train --name data=photos", ""):
        assert check_habits(typed.split()) == typed.split()
