"""Untrusted text has no effect on a terminal, a page or a spreadsheet."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neocog.escaping import csv_cell, to_json, visible, visible_block

HOSTILE = "\x1b[31m\x1b]0;title\x07 \u202egnp.exe\u2066 \x9b2J \r\n\t\x00\x7f\u2028\u200b\ufeff"


def test_invisible_characters_are_escaped():
    assert visible("a\x1b[2J\u202eb\x9b\n\t") == r"a\x1b[2J\u202eb\x9b\n\t"
    assert visible_block("a\x1b\n\tb") == "a\\x1b\n\tb"
    for same in ("plain", "我的照片", "naïve café", "می‌خواهم", "👩‍🔬", "שלום", "a\\x1b"):
        assert visible(same) == same


@given(st.text())
def test_no_control_character_remains(text):
    for character in visible(text):
        assert character >= " " and not 0x7F <= ord(character) <= 0x9F
        assert character not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
    assert visible(visible(text)) == visible(text)


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner)))
def test_json_round_trips(value):
    assert json.loads(to_json(value)) == value
    assert to_json(value) == visible(to_json(value))
    assert json.loads(to_json({"a": value}, indent=2)) == {"a": value}


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "+1+1", "-1+1", "@SUM(A1)",
        "\t=1", "\rx", "\nx", " =1", "\uff1d1+1", "\x00=1", "'=1",
    ],
)  # fmt: skip
def test_cells_are_never_formulas(text):
    cell = csv_cell(text)
    assert cell.startswith("'")
    assert cell[1:] == visible(text)


@pytest.mark.parametrize("value", ["-1", "+1.5", "-2e-05", ".5", "-.5", 3, -0.25, "", None, False])
def test_numbers_are_unchanged(value):
    assert csv_cell(value) is value


@pytest.mark.parametrize("text", ["cat", "a-b", "0.png", "photos/=1.jpg", "我的", "e.g. x=1", "-"])
def test_other_cells_are_unchanged(text):
    assert csv_cell(text) == text


def test_a_hostile_name_is_harmless_everywhere():
    for escaped in (visible(HOSTILE), str(csv_cell(HOSTILE)), to_json(HOSTILE)):
        assert not set(escaped) & set(HOSTILE.replace(" ", "")) - set("[31m]0;title gnp.exe2J")


def test_numbers_that_are_not_finite_become_null():
    value = {"a": [math.nan, (math.inf, -math.inf), 1.5], "b": {"c": math.nan}}
    assert json.loads(to_json(value)) == {"a": [None, [None, None], 1.5], "b": {"c": None}}
