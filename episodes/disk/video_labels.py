"""The class of each video, from the label files that Something-Something V2 comes with.

Its videos lie in one folder under numbers: neither folders nor names reveal the class.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from episodes.errors import UserError

PREFIXES = ("", "something-something-v2-")
ANSWERS = tuple(f"{prefix}test-answers.csv" for prefix in PREFIXES)
NUMBERS = tuple(f"{prefix}labels.json" for prefix in PREFIXES)
"""Files that number the classes and do not mention videos."""


def is_label_file(path: Path) -> bool:
    """Whether a file is a label file, and not the list of a split.

    Label files are ``train.json``, ``validation.json``, ``test.json``, ``labels.json`` and
    ``test-answers.csv``, with or without ``something-something-v2-`` in front. A file that cannot
    be read is none: it is refused as a list.
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
    labels: dict[str, str] = {}
    for path in paths:
        if path.name in ANSWERS:
            for line in _text(path).splitlines():
                video, _, label = line.partition(";")
                labels[video.strip()] = label.strip()
        elif path.name not in NUMBERS:
            labels |= _from_json(path)
    return labels


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as a label file of Something-Something V2: {error}; get it"
            " again, or remove it if the lists give the classes"
        ) from error


def _from_json(path: Path) -> dict[str, str]:
    """Read the class of each video; the videos of the test set have none.

    The class is the template that workers filled in, without its brackets: "Putting [something]
    onto [something]".
    """
    try:
        content: list[dict[str, Any]] = json.loads(_text(path))
        return {
            str(video["id"]): video["template"].replace("[", "").replace("]", "")
            for video in content
            if "template" in video
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a label file of Something-Something V2 ({error!r}): a list of objects"
            ' with "id" and "template"'
        ) from error
