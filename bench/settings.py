"""What a method is called and may declare, and its settings as users write them.

Settings, ``otam[temperature=0.05]``, are checked against the method's class. Runs are read without
torch, which takes a second to import: nothing here needs it.

In order of precedence, a setting comes from brackets behind the method's name, from a training
recipe or the card of trained weights, from a variant of the method, or from its class.
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from episodes.errors import UserError, near

Needs = Literal["maps", "frames", "vector"]
Sees = Literal["one query", "all queries"]
Form = Literal["plain", "fast"]
NAME = r"[a-z0-9][a-z0-9+-]*"
"""Pattern of a method's name, which is also the name of a folder."""
NAME_WITH_SETTINGS = NAME + r"(\[[\w=.,+ -]+\])?"
"""Pattern of the method's name in a run, which includes settings in brackets."""
WITH_SETTINGS = re.compile(r"(?P<name>[^\[\]]+?)\s*(?:\[(?P<settings>[^\[\]]*)\])?")
BETWEEN = re.compile(r",(?![^\[]*\])")
"""A comma outside brackets."""


def names_in(words: str) -> list[str]:
    """Split a list of methods at the commas outside brackets.

    >>> names_in("otam[temperature=0.05,directions=one], mastaf")
    ['otam[temperature=0.05,directions=one]', 'mastaf']
    """
    return [name.strip() for name in BETWEEN.split(words) if name.strip()]


def parted(words: str) -> tuple[str, dict[str, str]]:
    """Split a method's name from its settings, both as text.

    >>> parted("otam[temperature=0.05, directions=one]")
    ('otam', {'temperature': '0.05', 'directions': 'one'})

    Raises:
        UserError: a bracket or an equals sign is missing, or a setting is given twice.
    """
    match = WITH_SETTINGS.fullmatch(words.strip())
    settings: dict[str, str] = {}
    for part in (match["settings"] or "").split(",") if match else []:
        key, equals, value = (one.strip() for one in part.partition("="))
        if part.strip() and not (key and equals and value):
            match = None
            break
        if part.strip():
            if key in settings:
                raise UserError(f"{words!r} gives {key} twice; give it once")
            settings[key] = value
    if match is None:
        raise UserError(f"{words!r} is not a method with settings: write NAME[SETTING=VALUE,...]")
    return match["name"], settings


def read_settings(method: str, settings: Any, written: Mapping[str, str]) -> dict[str, Any]:
    """Convert settings from text to the types that a method declares.

    Raises:
        UserError: the method has no such setting, or the setting takes no such value.
    """
    declared = get_type_hints(type(settings))
    return {
        key: checked(
            f"{method}[{key}={text}]", method, settings, key, _read(text, declared.get(key, str))
        )
        for key, text in written.items()
    }


def checked(where: str, method: str, settings: Any, key: str, value: Any) -> Any:
    """Return the value of a setting in its declared type; 14 becomes the float 14.0.

    Raises:
        UserError: the method has no such setting, or the setting takes no such value.
    """
    declared = get_type_hints(type(settings))
    names = [field.name for field in fields(settings)]
    if key not in names:
        hint = near(key, names) or f"it has {', '.join(names) or 'none'}"
        raise UserError(f"{where}: {method} has no setting {key}; {hint}")
    finite = not isinstance(value, float) or math.isfinite(value)
    if not (is_of_kind(value, declared[key]) and finite):
        raise UserError(
            f"{where}: setting {key} of {method} is {value!r}; {kind_in_words(declared[key])}, as"
            f" {getattr(settings, key)!r}"
        )
    defaults: dict[str, Any] = {field.name: field.default for field in fields(settings)}
    if declared[key] is int and value < (least := min(1, defaults[key])):
        raise UserError(f"{where}: setting {key} of {method} is {value}; it is at least {least}")
    return float(value) if declared[key] is float else value


def canonical(name: str, settings: Any, given: Mapping[str, Any]) -> str:
    """Write a method with the settings that differ from its own, in one canonical form."""
    differing = [
        f"{field.name}={_written(given[field.name])}"
        for field in fields(settings)
        if field.name in given and given[field.name] != getattr(settings, field.name)
    ]
    return f"{name}[{','.join(differing)}]" if differing else name


def _written(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read(text: str, declared: Any) -> Any:
    """Convert text to a value of the declared type; return it unchanged if that fails."""
    if get_origin(declared) is tuple:
        return tuple(_read(part, get_args(declared)[0]) for part in text.split("+"))
    kinds = _kinds(declared)
    if NoneType in kinds and text.lower() == "none":
        return None
    if bool in kinds and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        if kind in kinds:
            with suppress(ValueError):
                return kind(text)
    return text


def _kinds(declared: Any) -> tuple[Any, ...]:
    """The types of a type hint, which are several in a union."""
    return get_args(declared) if get_origin(declared) in (UnionType, Union) else (declared,)


def is_of_kind(value: Any, declared: Any) -> bool:
    """Whether a value has the type of a type hint; whole numbers count as floats too.

    >>> is_of_kind("soft", Literal["soft", "hard"]), is_of_kind("foo", Literal["soft", "hard"])
    (True, False)
    >>> is_of_kind(14, float), is_of_kind(True, float), is_of_kind(3, int | None)
    (True, False, True)
    """
    if get_origin(declared) is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(declared))
    if len(kinds := _kinds(declared)) > 1:
        return any(is_of_kind(value, kind) for kind in kinds)
    if declared is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    scalars = get_origin(declared) is tuple and get_args(declared)[0] in (int, float, str)
    if scalars and isinstance(value, tuple):
        return all(is_of_kind(one, get_args(declared)[0]) for one in value)
    return type(value) is (get_origin(declared) or declared)


def kind_in_words(declared: Any) -> str:
    """Say what a value has to be.

    >>> kind_in_words(Literal["soft", "hard"]), kind_in_words(float), kind_in_words(int | None)
    ('it is one of soft, hard', 'it is a number', 'it is of type int')
    """
    if get_origin(declared) is Literal:
        return f"it is one of {', '.join(map(str, get_args(declared)))}"
    if len(kinds := _kinds(declared)) > 1:
        return " or ".join(kind_in_words(kind) for kind in kinds if kind is not NoneType)
    if declared is float:
        return "it is a number"
    return f"it is of type {(get_origin(declared) or declared).__name__}"
