"""The types of files: models into which files are read, and from which they are written.

A model refuses unknown keys and wrong types, in one line that names file and key. A field that was
missing when a file was read is not written either.
"""

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from episodes.errors import near

SEAL = "content_sha256"
"""Key under which a file of JSON holds its own hash."""
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""pydantic's names for the error of an unknown key."""


class Model(BaseModel):
    """Base of all types of files: frozen, strict, with a docstring for each field."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    def content(self) -> dict[str, Any]:
        """Return the content of a file: the fields that were given, as plain values."""
        return self.model_dump(mode="json", exclude_unset=True)

    def changed(self, **values: Any) -> Self:
        """Return a copy with other values, which are validated."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**given | values)


Found = TypeVar("Found", bound=Model)


def parsed(kind: type[Found], content: Any) -> Found:
    """Return plain values, as read from JSON or TOML, as a model.

    Raises:
        ValueError: they do not fit the model; the message names the first wrong key.
    """
    try:
        return kind.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise ValueError(_in_one_line(kind, error)) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of JSON that holds an object.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, or holds no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not an object with named values")
    return content


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of TOML.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write the mark
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _in_one_line(kind: type[Model], error: ValidationError) -> str:
    """Describe the first mistake, unknown before missing keys, and count the others."""
    errors = error.errors(include_url=False, include_context=False)
    first, *others = sorted(errors, key=lambda mistake: mistake["type"] not in UNKNOWN)
    key, more = _key(first), f" (and {len(others)} more)" if others else ""
    if first["type"] in UNKNOWN:
        known = _fields(kind, first["loc"][:-1])
        hint = near(str(first["loc"][-1]), known) or f"there are {', '.join(known)}"
        return f"there is no key {key}; {hint}{more}"
    if all(mistake["type"] == "missing" for mistake in errors):
        return f"{', '.join(map(_key, errors))} {'are' if others else 'is'} missing"
    if first["type"] == "missing":
        return f"{key} is missing{more}"
    rule = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return f"{key} is {repr(first['input'])[:80]}; {rule}{more}"


def _key(error: Any) -> str:
    return ".".join(map(str, error["loc"]))


def _fields(kind: Any, place: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a file may have at a place in a model."""
    for part in place:
        # None for an index of a list or a key of a mapping.
        inner = _annotations(kind).get(str(part))
        kind = kind if inner is None else _typed_in(inner)
    return list(_annotations(kind))


def _annotations(kind: Any) -> dict[str, Any]:
    """Return the types of the fields of a model or a dataclass."""
    if is_dataclass(kind):
        return {field.name: field.type for field in fields(kind)}
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}


def _typed_in(annotation: Any) -> Any:
    """Return the model or dataclass in an annotation such as ``Model | None``."""
    if hasattr(annotation, "model_fields") or is_dataclass(annotation):
        return annotation
    return next(filter(None, map(_typed_in, get_args(annotation))), None)


def sealed(content: Mapping[str, Any]) -> str:
    """Return JSON that also holds the hash of its other content."""
    return dump({**content, SEAL: _hash_of(content)})


def check_seal(content: Mapping[str, Any]) -> None:
    """Refuse the content of a sealed file that was changed.

    Raises:
        ValueError: something in it was changed, or it has no seal.
    """
    if content.get(SEAL) != _hash_of({key: value for key, value in content.items() if key != SEAL}):
        raise ValueError("it was changed after it was written: its own hash differs")


def _hash_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(dump(content).encode()).hexdigest()


def dump(content: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """Return JSON that every parser reads: NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_finite(content), indent=2, sort_keys=False, allow_nan=False) + "\n"


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content as it is read back from a file: tuples as lists, keys as text."""
    back: dict[str, Any] = json.loads(dump(content))
    return back


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
