"""Class names as words, for methods that read them."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from episodes.errors import UserError
from episodes.split import composed

NAMES_FILE = "names.csv"
"""A table ``class,name`` beside the class folders of the user's own videos."""
PLACEHOLDERS = ("ssv2-all", "ssv2-part")
"""Data sets whose class names have placeholders, which papers put in brackets: [something]."""


def class_names(dataset: str, labels: Sequence[str], root: Path | None = None) -> dict[str, str]:
    """Return the name of each class, as words.

    Compound labels are split: "ApplyEyeMakeup" becomes "Apply Eye Makeup", "brush_hair" becomes
    "brush hair". ``names.csv`` in ``root``, the folder of the user's own videos, takes precedence.

    Raises:
        UserError: ``names.csv`` is not a table of class and name, or names an unknown class.

    >>> class_names("ucf101", ["ApplyEyeMakeup", "TaiChi"])
    {'ApplyEyeMakeup': 'Apply Eye Makeup', 'TaiChi': 'Tai Chi'}
    >>> class_names("ssv2-part", ["Pouring something into something"])
    {'Pouring something into something': 'Pouring [something] into [something]'}
    """
    own = _own_names(root / NAMES_FILE, labels) if root else {}
    return {label: own.get(label) or _in_words(dataset, label) for label in labels}


def _in_words(dataset: str, label: str) -> str:
    if dataset in PLACEHOLDERS:
        return re.sub(r"\b[Ss]omething\b", "[something]", label)
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", label)
    return " ".join(re.split(r"[\s_-]+", apart)).strip() or label


def _own_names(path: Path, labels: Sequence[str]) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[composed(cell) for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}; it is a table class,name") from error
    if rows and [cell.strip().casefold() for cell in rows[0]] == ["class", "name"]:
        rows = rows[1:]
    # The labels may be those of one split: classes of the others have folders, too.
    known = {*labels, *(composed(other.name) for other in path.parent.iterdir() if other.is_dir())}
    names: dict[str, str] = {}
    for row in rows:
        if len(row) != 2 or not row[1].strip():
            raise UserError(f"{path}: the line {','.join(row)!r} is not class,name")
        if row[0] not in known:
            raise UserError(
                f"{path} names the class {row[0]!r}, which is not there; the classes are"
                f" {', '.join(labels[:5])}{' ...' if len(labels) > 5 else ''}"
            )
        if row[0] in names:
            raise UserError(f"{path} names the class {row[0]!r} twice; remove one of the lines")
        names[row[0]] = row[1].strip()
    return names
