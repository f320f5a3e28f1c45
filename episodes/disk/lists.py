"""Reading the lists of splits, in every format that published code uses."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from episodes.decoding.media import is_video_file
from episodes.errors import UserError
from episodes.split import SPLIT_NAMES, SplitName, composed

SUFFIXES = (".txt", ".csv", ".lst", ".list", ".tsv", ".json")
FORMATS = (
    (re.compile(r"(?P<label>[^/]+)/(?P<video>(?:.*/)?[^/]+)"), "CLASS/VIDEO"),
    (re.compile(r"(?P<video>\S+) \d+ (?P<label>\d+)"), "VIDEO FRAMES CLASS"),
)
"""Lines as MASTAF, TRX, OTAM and CMN write them (``class/video``), UCF101 itself and MMAction2
(``class/video.avi 1``), HyRSM (``class//path/video.avi``) and Xian's few-shot video classification
(``video frames class``)."""

LABELS = "a label file of Something-Something V2"
PREFIXES = ("", "something-something-v2-")
ANSWERS = tuple(f"{prefix}test-answers.csv" for prefix in PREFIXES)
NUMBERS = tuple(f"{prefix}labels.json" for prefix in PREFIXES)
"""Label files that number the classes and do not mention videos."""


@dataclass(frozen=True)
class ClassList:
    """The content of one list: class, as the list names it -> names of its videos."""

    path: Path
    classes: Mapping[str, frozenset[str]]

    @property
    def split(self) -> SplitName | None:
        """The split in the file's name."""
        found = [name for name in SPLIT_NAMES if name in self.path.name.lower()]
        return found[0] if len(found) == 1 else None


def read_lists(folder: Path, with_folders: bool = False) -> list[ClassList]:
    """Read every list in a folder, or a single list; label files beside them give classes.

    Args:
        folder: the folder of the lists, or the file of a single list.
        with_folders: whether the folders between class and video are part of a video's name.

    Raises:
        UserError: there is no list, a line is in no known format, or a video is listed twice.
    """
    if not folder.exists():
        raise UserError(f"--lists {folder}: there is no such folder")
    paths = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    paths = [path for path in paths if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    # ``classInd.txt`` and the like say what classes are called, not what videos there are.
    paths = [path for path in paths if _is_json(path) or "class" not in path.stem.lower()]
    about = [path for path in paths if _is_label_file(path)]
    if len(about) == len(paths):
        labels = f"{about[0].name}, which says what videos show, but " if about else ""
        raise UserError(
            f"--lists {folder} holds {labels}no lists; name the folder with the lists of training,"
            " validation and test videos (train.txt, val.txt, test.txt or similar)"
        )
    known = labels_by_video(about)
    return [_read_list(path, known, with_folders) for path in paths if path not in about]


def by_split(lists: Sequence[ClassList]) -> dict[SplitName, ClassList]:
    """Return lists by the split in their names.

    Raises:
        UserError: a name says no split, or two say the same.
    """
    splits: dict[SplitName, ClassList] = {}
    for listing in lists:
        if listing.split is None or listing.split in splits:
            raise UserError(
                f"{listing.path}: a list is called train.txt, val.txt or test.txt, one for each"
                " split"
            )
        splits[listing.split] = listing
    return splits


def _read_list(path: Path, labels: Mapping[str, str], with_folders: bool) -> ClassList:
    """Read one list, whose lines may be bare names of videos whose labels are known."""
    text = _text(path, "a list of videos")
    read = _from_json if _is_json(path) else partial(_from_lines, labels=labels)
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for listed_label, listed in read(path, text):
        name = listed.rpartition("/")[2]
        label = composed(labels.get(name, listed_label))
        video = composed(listed if with_folders else name)
        if video in classes[label]:
            raise UserError(f"{path} lists {label}/{video} twice; remove one of the lines")
        classes[label].add(video)
    return ClassList(path, {label: frozenset(videos) for label, videos in classes.items()})


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as {what}: {error}; get it again, or take it out of the folder"
        ) from error


def _from_lines(path: Path, text: str, labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        name = without_suffix(line.strip())
        if name in labels:
            yield labels[name], name
        elif name:
            yield _pair(line.strip(), f"{path}, line {number}")


def _pair(line: str, where: str) -> tuple[str, str]:
    """Split a line into the class and the video, with the folders between them.

    >>> _pair("test18/195025", ""), _pair("195025 38 18", "")
    (('test18', '195025'), ('18', '195025'))
    >>> _pair("Archery/v_Archery_g01_c01.avi 3", ""), _pair("yoga/-VtLx-mcPds_12_22.mp4 5", "")
    (('Archery', 'v_Archery_g01_c01'), ('yoga', '-VtLx-mcPds_12_22'))
    >>> _pair("train0//videos/brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "")
    ('train0', 'videos/brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0')
    """
    name, _, number = line.rpartition(" ")
    if "/" in name and number.isdecimal() and is_video_file(name):
        line = name  # the number of the class, which is named already
    if re.fullmatch(r"\S+/\S+ \d+ \d+", line):
        raise UserError(
            f"{where}: {line[:100]!r} is a folder of frames with the number of frames and that of"
            " the class, as MMAction2 lists raw frames; a line is CLASS/VIDEO: leave out the two"
            " numbers or, if they belong to the name of a video, write its suffix behind them"
        )
    for pattern, _ in FORMATS:
        if match := pattern.fullmatch(line):
            return match["label"], without_suffix(match["video"].lstrip("/"))
    known = " or ".join(words for _, words in FORMATS)
    raise UserError(
        f"{where}: {line[:100]!r} is in no known format; a line is {known}, or an id of"
        " Something-Something V2, whose label files lie beside the list"
    )


def without_suffix(name: str) -> str:
    """Remove the suffix of a video file from a name; other dots stay.

    >>> without_suffix("clip.v2.avi"), without_suffix("clip.v2")
    ('clip.v2', 'clip.v2')
    """
    return name[: name.rindex(".")] if is_video_file(name) else name


def _from_json(path: Path, text: str) -> Iterable[tuple[str, str]]:
    """Read a mapping from video to class index, as TA2N has it."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or any(
        isinstance(label, list | dict) for label in content.values()
    ):
        raise UserError(f"{path} is not a list of videos; in JSON it is {{VIDEO: CLASS, ...}}")
    return ((str(label), without_suffix(video)) for video, label in content.items())


def _is_label_file(path: Path) -> bool:
    """Whether a file gives the class of each video, and is not the list of a split.

    The videos of Something-Something V2 lie in one folder under numbers: neither folders nor names
    reveal the class. Its label files are ``train.json``, ``validation.json``, ``test.json``,
    ``labels.json`` and ``test-answers.csv``, with or without ``something-something-v2-`` in front.
    """
    if path.name in (*ANSWERS, *NUMBERS):
        return path.is_file()
    if not _is_json(path) or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(64).lstrip().startswith("[")
    except OSError:
        return False  # refused as a list


def labels_by_video(paths: Iterable[Path]) -> Mapping[str, str]:
    """Read label files: the class of each video by its number.

    The class is the template that workers filled in, without its brackets: "Putting [something]
    onto [something]". The videos of the test set have none.

    Raises:
        UserError: a file is not a label file of Something-Something V2.
    """
    labels: dict[str, str] = {}
    for path in paths:
        if path.name in ANSWERS:
            for line in _text(path, LABELS).splitlines():
                video, _, label = line.partition(";")
                labels[video.strip()] = label.strip()
        elif path.name not in NUMBERS:
            try:
                videos: list[dict[str, Any]] = json.loads(_text(path, LABELS))
                labels |= {
                    str(video["id"]): video["template"].replace("[", "").replace("]", "")
                    for video in videos
                    if "template" in video
                }
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                raise UserError(
                    f'{path} is not {LABELS}, a list of objects with "id" and "template": {error!r}'
                ) from error
    return labels
