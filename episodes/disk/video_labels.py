"""The class of each video, from the label files that Something-Something V2 comes with.

Its videos are in one folder and named by a number: neither folders nor names reveal the class.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from episodes.errors import UserError

PREFIXES = ("", "something-something-v2-")
ANSWERS = tuple(f"{prefix}test-answers.csv" for prefix in PREFIXES)
NUMBERS = tuple(f"{prefix}labels.json" for prefix in PREFIXES)
"""They number the classes and say nothing about videos."""


def is_label_file(path: Path) -> bool:
    """Whether a file is one of the label files, and not a list of a split.

    These are ``something-something-v2-train.json``, ``-validation.json`` and ``-test.json``, also
    without the first words, ``labels.json``, which numbers classes, and ``test-answers.csv``. What
    cannot be read is none: whoever takes it for a list says why.
    """
    if not path.is_file():
        return False
    return path.name in (*ANSWERS, *NUMBERS) or (
        path.suffix == ".json" and _first_character(path) == "["
    )


def _first_character(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(64).lstrip()[:1]
    except OSError:
        return ""


def labels_by_video(paths: Iterable[Path]) -> Mapping[str, str]:
    """Read label files: the class of each video by its number.

    Raises:
        UserError: a file is not a label file of Something-Something V2.
    """
    return {video: label for path in paths for video, label in _read(path)}


def _read(path: Path) -> Iterator[tuple[str, str]]:
    if path.name in ANSWERS:
        for line in _text(path).splitlines():
            video, _, label = line.partition(";")
            yield video.strip(), label.strip()
    elif path.name not in NUMBERS:
        yield from _from_json(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as a label file of Something-Something V2: {error}; get it"
            " again, or remove it if the lists give the classes"
        ) from error


def _from_json(path: Path) -> Iterator[tuple[str, str]]:
    """Videos with their classes; those of the test set have none."""
    try:
        content: list[dict[str, Any]] = json.loads(_text(path))
        for one in content:
            if "template" in one:
                yield str(one["id"]), class_name(one["template"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a label file of Something-Something V2 ({error!r}): a list of objects"
            ' with "id" and "template"'
        ) from error


def class_name(template: str) -> str:
    """Name of a class from the sentence that workers filled in.

    >>> class_name("Putting [something] onto [something]")
    'Putting something onto something'
    """
    return template.replace("[", "").replace("]", "")
