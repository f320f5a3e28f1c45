"""What counts as a video on disk: a video file, or a folder that holds its frames as images."""

import errno
import hashlib
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from episodes.decoding.frames import reader_identity
from episodes.errors import UserError

VIDEO_SUFFIXES = (
    *(".avi", ".mp4", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"),
    *(".3gp", ".ts", ".mts", ".m2ts", ".ogv", ".vob"),
)
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


def is_video_file(name: str) -> bool:
    """Whether a file's name is that of a video.

    >>> is_video_file("v_Archery_g01_c01.avi"), is_video_file("Clip.MP4"), is_video_file("a.txt")
    (True, True, False)
    """
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122 - a million names


def is_frame(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return os.path.splitext(name)[1].lower() in FRAME_SUFFIXES  # noqa: PTH122


def is_left_behind(name: str) -> bool:
    """Whether other programs leave files and folders of this name: thumbnails, mostly.

    >>> is_left_behind(".DS_Store"), is_left_behind("@eaDir"), is_left_behind("clip.mp4")
    (True, True, False)
    """
    return name.startswith(".") or name == "@eaDir"


def videos_below(root: Path) -> list[str]:
    """Return the path of every video at any depth below a folder, sorted.

    A folder that holds images is one video. A cover, or a picture of each video, beside video files
    is none, and no picture hides what lies in subfolders. `is_left_behind` is skipped.

    Raises:
        UserError: as `check_root`.
    """
    check_root(root)
    return sorted(_walk(str(root), set()))


def check_root(root: Path) -> None:
    """Refuse a folder that cannot be that of a data set.

    Raises:
        UserError: there is no such folder, or its path is not in UTF-8, in which files name it.
    """
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder; name the one that holds the videos")
    try:
        str(root).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{root}: this path is not in UTF-8; rename or move the folder") from error


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yield paths as text, not as objects: there may be a million."""
    status = os.stat(folder)  # noqa: PTH116
    place = (status.st_dev, status.st_ino)
    if place in seen:  # a link that leads back up
        return
    seen.add(place)
    below: list[str] = []
    files: list[str] = []
    pictures = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_left_behind(entry.name):
                continue
            if is_video_file(entry.name):
                files.append(entry.path)
            elif is_frame(entry.name):
                pictures += 1
            elif entry.is_dir():
                below.append(entry.path)
    is_video = pictures > len(files) + 1 or (pictures and not files)
    yield from [folder] if is_video else files
    for inner in below:
        yield from _walk(inner, seen)


def frames_of(folder: Path) -> list[Path]:
    """Return the images in a folder in the order of the numbers in their names.

    Raises:
        UserError: there is none, or several have each number, as where optical flow lies beside.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_frame(entry.name) and entry.name[0] != "."]
    if not names:
        raise UserError(f"{folder}: no images in this folder; extract the video's frames again")
    numbers: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        numbers[re.sub(r"\d+", "#", name)].add(" ".join(re.findall(r"\d+", name)))
    for one, other in combinations([kind for kind in numbers if len(numbers[kind]) > 1], 2):
        if numbers[one] & numbers[other]:
            raise UserError(
                f"{folder} holds {one} and {other} of the same numbers, such as optical flow beside"
                " frames; leave the frames alone there"
            )
    return [folder / name for name in sorted(names, key=_by_number)]


def _by_number(name: str) -> tuple[list[int], str]:
    """``frame_10.jpg`` comes after ``frame_9.jpg``."""
    return [int(digits) for digits in re.findall(r"\d+", name)], name


def why_not_opened(path: Path, root: Path) -> str:
    """Say why a path must not be opened as a video below a root; empty if it may be.

    Nothing is opened: a pipe would block, and a device might do anything.

    >>> why_not_opened(Path("nowhere.mp4"), Path())
    'it is not there'
    """
    try:
        mode, whole = path.stat().st_mode, path.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return "it is not there"
    except PermissionError:
        return "its folder may not be read"
    # Python 3.11 and 3.12 raise RuntimeError for a circular link.
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno != errno.ELOOP:
            return f"it cannot be accessed ({error.strerror})"
        return "it is a circular link"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "it is a pipe, a socket or a device, not a file"
    # A folder may be a link: so people spread a data set over several disks.
    inside = whole.is_relative_to(root.resolve()) or whole.is_relative_to(path.parent.resolve())
    outside = "" if inside else f"it is a link that leads out of {root}, to {whole}"
    return outside or ("" if os.access(path, os.R_OK) else "its permissions forbid you to read it")


def is_empty(path: Path) -> bool:
    """Whether a path is a file of 0 bytes, as an interrupted download leaves it."""
    return path.is_file() and path.stat().st_size == 0


def stamp(path: Path) -> list[int]:
    """Return numbers that differ once a video has changed, without reading it.

    Size and time of the last write are not enough: a file can be overwritten in place and given its
    old time back. The inode and the system's own time of change cannot be set.
    """
    if not path.is_dir():
        status = path.stat()
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    with os.scandir(path) as entries:
        # Of a link that leads nowhere, the link itself: reading it says what is wrong.
        images = [
            entry.stat(follow_symlinks=entry.is_file()) for entry in entries if is_frame(entry.name)
        ]
    newest = max((max(status.st_mtime_ns, status.st_ctime_ns) for status in images), default=0)
    return [
        len(images),
        sum(status.st_size for status in images),
        newest,
        sum(status.st_ino for status in images),
    ]


def content_sha256(path: Path) -> str:
    """Hash of a video's content: a file's bytes, or those of its frames in order.

    The hash of frames covers the version of their reader, since another one may give other pixels;
    for files, the feature store has the decoder's.
    """
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256(f"frames read by {reader_identity()}\n".encode())
    for frame in frames_of(path):
        digest.update(hashlib.sha256(frame.read_bytes()).digest())
    return digest.hexdigest()
