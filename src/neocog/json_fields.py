"""JSON that came from outside: parsed strictly, and its values checked against a dataclass."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, NoReturn

MOST = 2**63  # numbers lie below it in magnitude, as int64's do


def parse(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises ValueError with a line of text for what is no JSON, NaN and infinity among it, and for
    lists nested too deep to be read.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("its lists are nested too deep") from None


def check_finite(value: Any) -> None:
    """Raise ValueError where a JSON value holds a number that JSON cannot write, such as 1e999."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value} is no JSON number")
        if isinstance(value, dict | list | tuple):
            waiting.extend(value.values() if isinstance(value, dict) else value)


class FieldError(ValueError):
    """A value that a field cannot have: the field's name, the value in short, and what it takes."""

    def __init__(self, name: str, value: Any, expected: str) -> None:
        super().__init__(f"`{name}` must be {expected}, not {short(value)}")
        self.name, self.shown, self.expected = name, short(value), expected


def read_fields(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a dataclass out of a JSON object; lists become tuples.

    Fields are bool, int, float, str, a tuple of one of these, or one of these or None. Fields that
    are not there are left to the dataclass. Raises FieldError for a value of another type (a whole
    number is taken for a float) or a number that is not finite or not below 2**63 in magnitude;
    KeyError with its name for a field that the dataclass does not have.
    """
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    made = {}
    for name, value in values.items():
        if name not in known:
            raise KeyError(name)
        made[name] = read_value(name, hints[name], value)
    return made


def read_value(name: str, hint: Any, value: Any) -> Any:
    """A JSON value as a field's type, `hint`. Raises FieldError as `read_fields` does."""
    try:
        return _read(hint, value)
    except (TypeError, OverflowError):
        raise FieldError(name, value, _in_words(hint)) from None


def short(value: Any) -> str:
    """A value in at most 60 characters, on one line."""
    if isinstance(value, dict | list | tuple) and len(value) > 20:
        return f"{type(value).__name__} of {len(value):,}"
    text = repr(value) if not isinstance(value, int) or abs(value) < MOST else "so large"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(one for one in typing.get_args(hint) if one is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return _read_tuple(typing.get_args(hint), value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise TypeError
    if hint in (int, float) and not (math.isfinite(value) and abs(value) < MOST):
        raise OverflowError
    return value


def _read_tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise TypeError
    return tuple(_read(kind, one) for kind, one in zip(kinds, value, strict=True))


def _in_words(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        inner = next(one for one in typing.get_args(hint) if one is not types.NoneType)
        return f"{_in_words(inner)} or null"
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        plural = {int: "whole numbers", float: "numbers", str: "texts"}[kinds[0]]
        count = "" if kinds[-1] is Ellipsis else f"{len(kinds)} "
        return f"a list of {count}{plural}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
