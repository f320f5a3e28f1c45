"""The exception for mistakes of users, and how messages are worded and printed."""

import difflib
import re
import sys
from collections.abc import Iterable

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that control a terminal or reorder a line, and lone surrogates."""

LISTED = ("method", "bank", "dataset", "backbone")
"""Kinds of names that `fvbench list` shows."""
LONGEST = 300
"""Longest text that is quoted from an exception of other code, in characters."""


class UserError(Exception):
    """Something the user can fix: the message gives the value, the rule and the way out.

    The command line prints only the message and exits with status 2; tracebacks are reserved
    for defects of the program itself.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for an unknown name, with similar names, or where to find them all.

    >>> print(unknown("bank", "defalt", ["default", "other"]))
    no bank is called 'defalt'; did you mean default?
    >>> print(unknown("bank", "x", ["default", "other"]))
    no bank is called 'x'; `fvbench list banks` shows them all; --plugin FILE brings others
    >>> print(unknown("decoder", "x", ["av", "decord"]))
    no decoder is called 'x'; there are av, decord
    """
    names = list(known)
    everything = f"there are {', '.join(names)}"
    if kind in LISTED:
        everything = f"`fvbench list {kind}s` shows them all; --plugin FILE brings others"
    return UserError(f"no {kind} is called {name!r}; {near(name, names) or everything}")


def near(name: str, known: Iterable[str]) -> str:
    """Suggest the known names that are similar to this one; empty if there are none.

    >>> near("temprature", ["temperature", "padding"])
    'did you mean temperature?'
    """
    similar = difflib.get_close_matches(name, list(known), n=3)
    return f"did you mean {' or '.join(similar)}?" if similar else ""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or the plural.

    >>> counted(1, "video"), counted(2_000, "such class")
    ('1 video', '2,000 such classes')
    """
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def shown(text: str) -> str:
    r"""Return text that is safe to print: control characters are escaped.

    >>> shown("evil\x1b[2J.mp4")
    'evil\\x1b[2J.mp4'
    """
    return INVISIBLE.sub(lambda match: ascii(match[0])[1:-1], text)


def warn(line: str) -> None:
    """Warn on stderr about a run that continues."""
    print(f"warning: {shown(line)}", file=sys.stderr, flush=True)  # noqa: T201


def note(line: str) -> None:
    """Print on stderr what a user may want to know and need not fix."""
    print(f"note: {shown(line)}", file=sys.stderr, flush=True)  # noqa: T201


def in_words(error: BaseException) -> str:
    """Describe an exception in one line.

    >>> in_words(KeyError("no")), in_words(SystemExit())
    ("KeyError: 'no'", 'SystemExit')
    """
    try:
        text = " ".join(str(error).split())[:LONGEST]
    except Exception:  # its own __str__ fails
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
