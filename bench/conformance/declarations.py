"""The rule on what a method says of itself."""

import re
from typing import get_args

from bench.conformance.rule import Breaches, Subject, rule
from bench.method import Method, Needs, Sees
from episodes.decoding.sampling import RULES as SAMPLINGS

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\+*")
"""Lower-case words joined by hyphens; a plus at the end, as in chamfer++, is part of a name."""
YEAR = re.compile(r"\b(19|20)\d\d\b")


@rule("declarations")
def declarations(subject: Subject) -> Breaches:
    """What the method declares is there and makes sense: name, revision, source with a year, ..."""
    cls, name = subject.entry.cls, subject.entry.registered
    if not NAME.fullmatch(name):
        yield f"the name {name!r} is not made of lower-case words joined by hyphens"
    if type(cls.revision) is not int or cls.revision < 1:
        yield f"revision is {cls.revision!r}; it is a whole number, 1 at first"
    if not YEAR.search(str(cls.source)):
        yield f"source is {cls.source!r}; it names authors, venue and year"
    if type(cls.order_aware) is not bool:
        yield f"order_aware is {cls.order_aware!r}; it is True or False"
    if cls.__doc__ in (None, Method.__doc__):
        yield f"class {cls.__name__} has no docstring; its first line says what the method does"
    yield from _not_among("needs", cls.needs, get_args(Needs))
    yield from _not_among("sees", cls.sees, get_args(Sees))
    yield from _not_among("sampling", cls.sampling, SAMPLINGS)
    yield from _empty(cls)


def _not_among(field: str, value: object, allowed: object) -> Breaches:
    choices = [str(choice) for choice in allowed]  # type: ignore[attr-defined]
    if value not in choices:
        yield f"{field} is {value!r}; it is one of {', '.join(choices)}"


def _empty(cls: type[Method]) -> Breaches:
    words = {"differs": cls.differs, "pretraining": cls.pretraining}
    words |= {f"without_gradient[{name!r}]": why for name, why in cls.without_gradient.items()}
    for field, value in words.items():
        if not isinstance(value, str) or not value.strip():
            yield f'{field} is {value!r}; it is said in words, "nothing" or "none" if that is so'
