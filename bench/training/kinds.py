"""Whether a value from a file is of the kind that a dataclass declares for a field."""

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def is_of_kind(value: Any, declared: Any) -> bool:
    """Whether a value is what a type hint says; a whole number does for a float.

    >>> is_of_kind("soft", Literal["soft", "hard"]), is_of_kind("foo", Literal["soft", "hard"])
    (True, False)
    >>> is_of_kind(14, float), is_of_kind(True, float), is_of_kind(3, int | None)
    (True, False, True)
    """
    if get_origin(declared) is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(declared))
    if get_origin(declared) in (UnionType, Union):
        return any(is_of_kind(value, one) for one in get_args(declared))
    if declared is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is (get_origin(declared) or declared)


def kind_in_words(declared: Any) -> str:
    """Say what a value has to be.

    >>> kind_in_words(Literal["soft", "hard"]), kind_in_words(float), kind_in_words(int | None)
    ('one of soft, hard', 'it is a number', 'it is a int')
    """
    if get_origin(declared) is Literal:
        return f"one of {', '.join(map(str, get_args(declared)))}"
    if get_origin(declared) in (UnionType, Union):
        return " or ".join(kind_in_words(one) for one in get_args(declared) if one is not NoneType)
    if declared is float:
        return "it is a number"
    return f"it is a {(get_origin(declared) or declared).__name__}"
