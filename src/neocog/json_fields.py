"""Strict parsing of untrusted JSON, and checks of its values against the fields of a dataclass."""

import dataclasses
import functools
import json
import math
import operator
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Self, cast

MAX_NUMBER = 2**63  # bound of the magnitude of numbers, as for int64

Scalar = bool | int | float | str | None
JsonValue = Scalar | Sequence[Scalar] | Mapping[str, Any]


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


class MissingFieldError(FieldError):
    """A JSON object lacks a value that it must have, called `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(name, None, "there")
        self.args = (f"it has no `{name}`",)


def json_key(key: str = "", *, optional: bool = False) -> dict[str, str | bool]:
    """Return the metadata of a field of a `JsonRecord`.

    `key` is its JSON key, by default its name. An `optional` field is left out of the JSON object
    where it has its default.
    """
    return {"optional": optional} | ({"key": key} if key else {})


class JsonRecord:
    """A frozen dataclass that is written as a JSON object and read from one.

    The types of its fields are those of `read_fields`, and others with `to_json` and `from_json`;
    `json_key` gives a field another key.
    """

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        values = {}
        for field in dataclasses.fields(cast(Any, self)):
            value = getattr(self, field.name)
            if not (field.metadata.get("optional") and value == field.default):
                values[field.metadata.get("key", field.name)] = _plain(value)
        return values

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return the record that a JSON object holds; what it does not know is ignored.

        A missing value is the field's default. Raises FieldError for a value of another type,
        MissingFieldError where one is missing that has no default, and TypeError if `values` is no
        object. Numbers need not be finite: a loss may be none.
        """
        if not isinstance(values, Mapping):
            raise TypeError
        hints = _hints(cast(Any, cls))
        arguments = {}
        for field in dataclasses.fields(cast(Any, cls)):
            key = field.metadata.get("key", field.name)
            if key in values:
                hint = hints[field.name]
                if field.metadata.get("optional"):  # it is there or not, and never null
                    hint = functools.reduce(operator.or_, _members(hint))
                arguments[field.name] = read_value(key, hint, values[key], finite=False)
            elif field.default is field.default_factory is dataclasses.MISSING:
                raise MissingFieldError(key)
        return cls(**arguments)


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _plain(value: Any) -> Any:
    """Return a value of a record as a JSON value."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


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


def read_value(name: str, hint: Any, value: Any, finite: bool = True) -> Any:
    """Return a JSON value as the type `hint`. Raises FieldError as `read_fields` does.

    Numbers that are not finite are allowed if `finite` is False.
    """
    try:
        return _read(hint, value, finite)
    except (TypeError, OverflowError):
        raise FieldError(name, value, _type_name(hint)) from None


def short(value: Any, length: int = 60) -> str:
    """Return a value in at most `length` characters, on one line, for an error message.

    A value is shown as in Python, an error by its message: some quote a whole file.
    """
    if isinstance(value, dict | list | tuple) and len(value) > 20:
        return f"{type(value).__name__} of {len(value):,}"
    if isinstance(value, Exception):
        text = " ".join(str(value).split()) or type(value).__name__
    else:
        text = repr(value) if not isinstance(value, int) or abs(value) < MAX_NUMBER else "so large"
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _members(hint: Any) -> list[Any]:
    """Return the types of a union except None; the type itself if it is none."""
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else [hint]
    return [member for member in members if member is not types.NoneType]


def _read(hint: Any, value: Any, finite: bool) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None and types.NoneType in typing.get_args(hint):
            return None
        members = _members(hint)
        hint = next((member for member in members if type(value) is member), members[0])
    if typing.get_origin(hint) is tuple:
        return _read_tuple(typing.get_args(hint), value, finite)
    if typing.get_origin(hint) is Mapping and isinstance(value, Mapping):
        return value
    if hasattr(hint, "from_json"):  # another record, or a Message
        return hint.from_json(value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise TypeError
    if hint is int or (hint is float and finite):
        _check_size(value)
    return value


def _check_size(value: float) -> None:
    if not (math.isfinite(value) and abs(value) < MAX_NUMBER):
        raise OverflowError


def _read_tuple(hints: tuple[Any, ...], value: Any, finite: bool) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise TypeError
    return tuple(_read(hint, item, finite) for hint, item in zip(hints, value, strict=True))


def _type_name(hint: Any) -> str:
    """Return a type as an error message names it."""
    if isinstance(hint, types.UnionType):
        return f"{_type_name(_members(hint)[0])} or null"
    if typing.get_origin(hint) is tuple:
        hints = typing.get_args(hint)
        plural = {int: "whole numbers", float: "numbers", str: "texts"}.get(hints[0], "values")
        count = "" if hints[-1] is Ellipsis else f"{len(hints)} "
        return f"a list of {count}{plural}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(hint, "a JSON object")


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
