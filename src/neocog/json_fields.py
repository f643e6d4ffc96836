"""Strict parsing of untrusted JSON, and checks of its values against the fields of a dataclass."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, NoReturn

MAX_NUMBER = 2**63  # bound of the magnitude of numbers, as for int64


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises ValueError, with a message of one line, for invalid JSON (including NaN and infinity)
    and for values nested too deeply to be parsed.
    """
    try:
        return json.loads(text, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("its lists are nested too deep") from None


def check_finite(value: Any) -> None:
    """Raise ValueError if a JSON value contains an infinite number, which 1e999 is parsed as."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value} is not a JSON number")
        if isinstance(value, dict | list | tuple):
            stack.extend(value.values() if isinstance(value, dict) else value)


class FieldError(ValueError):
    """A value of the wrong type: the field's name, the shortened value and the expected type."""

    def __init__(self, name: str, value: Any, expected: str) -> None:
        super().__init__(f"`{name}` must be {expected}, not {short(value)}")
        self.name, self.shown, self.expected = name, short(value), expected


def read_fields(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object's values as keyword arguments of the dataclass `kind`.

    Fields may be bool, int, float, str, a tuple of one of these, or optional; lists become tuples
    and integers floats. Missing fields are left out, so that the dataclass applies its defaults.
    Raises FieldError for a value of another type or a number that is not finite or not below 2**63
    in magnitude, and KeyError for a field that the dataclass does not have.
    """
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    arguments = {}
    for name, value in values.items():
        if name not in known:
            raise KeyError(name)
        arguments[name] = read_value(name, hints[name], value)
    return arguments


def read_value(name: str, hint: Any, value: Any) -> Any:
    """Return a JSON value as the type `hint`. Raises FieldError as `read_fields` does."""
    try:
        return _read(hint, value)
    except (TypeError, OverflowError):
        raise FieldError(name, value, _type_name(hint)) from None


def short(value: Any) -> str:
    """Return a value in at most 60 characters, on one line, for an error message."""
    if isinstance(value, dict | list | tuple) and len(value) > 20:
        return f"{type(value).__name__} of {len(value):,}"
    text = repr(value) if not isinstance(value, int) or abs(value) < MAX_NUMBER else "so large"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(h for h in typing.get_args(hint) if h is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return _read_tuple(typing.get_args(hint), value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise TypeError
    if hint in (int, float) and not (math.isfinite(value) and abs(value) < MAX_NUMBER):
        raise OverflowError
    return value


def _read_tuple(hints: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise TypeError
    return tuple(_read(hint, item) for hint, item in zip(hints, value, strict=True))


def _type_name(hint: Any) -> str:
    """Return a type as an error message names it."""
    if isinstance(hint, types.UnionType):
        inner = next(h for h in typing.get_args(hint) if h is not types.NoneType)
        return f"{_type_name(inner)} or null"
    if typing.get_origin(hint) is tuple:
        hints = typing.get_args(hint)
        plural = {int: "whole numbers", float: "numbers", str: "texts"}[hints[0]]
        count = "" if hints[-1] is Ellipsis else f"{len(hints)} "
        return f"a list of {count}{plural}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
