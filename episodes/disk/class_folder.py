"""The videos in the folder of a class: files, folders of frames, and recordings that hold both.

Nothing that would be a video in another layout is skipped silently.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from episodes.decoding.media import is_frame, is_left_behind, is_video_file, videos_below
from episodes.errors import UserError
from episodes.split import composed


def visible(folder: Path) -> list[Path]:
    """Return the sorted entries of a folder, except those that other programs leave behind.

    Raises:
        UserError: a name is not in UTF-8, holds a tab or a line break, or is there in two forms.
    """
    paths = sorted(path for path in folder.iterdir() if not is_left_behind(path.name))
    first: dict[str, str] = {}
    for name in (path.name for path in paths):
        if name.isascii() and name.isprintable():
            continue
        if any("\udc80" <= letter <= "\udcff" for letter in name):
            rule = "is not in UTF-8, and banks are hashed by names; `convmv` renames whole folders"
        elif "\t" in name or name.splitlines() != [name]:
            rule = "holds a tab or a line break, which no list of videos can; rename it"
        elif (other := first.setdefault(composed(name), name)) != name:
            rule = f"and {other!a} are two forms of one name; rename one of them"
        else:
            continue
        raise UserError(f"{folder}: the name {name!a} {rule}")
    return paths


def videos_of_class(folder: Path) -> Iterator[Path]:
    """Yield the videos of a class, including those in folders of recordings.

    Raises:
        UserError: the folder of a recording is empty, a video lies deeper than that, or a folder
            holds both frames and video files.
    """
    paths = visible(folder)
    _refuse_mixture(folder, paths)
    for path in paths:
        if _is_video(path):
            yield path
        elif path.is_dir():
            yield from _videos_of_recording(path)


def _videos_of_recording(folder: Path) -> Iterator[Path]:
    videos: list[Path] = []
    for path in visible(folder):
        if _is_video(path):
            videos.append(path)
        elif path.is_dir():
            _refuse_below(path)
    if not videos:
        raise UserError(
            f"{folder}: no video in this class folder; put videos or the frames of one there, or"
            " remove it"
        )
    yield from videos


def _is_video(path: Path) -> bool:
    """Whether a path is a video file, or a folder that holds frames and no video files."""
    if not path.is_dir():
        return is_video_file(path.name)
    paths = visible(path)
    _refuse_mixture(path, paths)
    if not any(is_frame(inner.name) for inner in paths):
        return False
    if any(is_video_file(inner.name) for inner in paths):
        return False
    for inner in paths:
        if not is_frame(inner.name) and inner.is_dir() and videos_below(inner):
            _refuse_below(inner)
    return True


def _refuse_below(folder: Path) -> None:
    """Refuse a folder that lies deeper than videos may."""
    found = videos_below(folder)
    what = f"the video {found[0]} is too deep" if found else "no video in this folder"
    raise UserError(
        f"{folder}: {what}; videos must be at CLASS/VIDEO or CLASS/RECORDING/VIDEO, VIDEO being a"
        " file or a folder of frames: move it, remove it, or name the folder that holds the classes"
    )


def _refuse_mixture(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse video files among frames; a cover, or a picture of each video, is no frame."""
    files = [path.name for path in paths if is_video_file(path.name)]
    pictures = sum(is_frame(path.name) for path in paths)
    if files and pictures > len(files) + 1:
        raise UserError(
            f"{folder} holds {pictures} pictures and {len(files)} video files ({files[0]}): it is"
            " either a video's folder of frames or a folder of videos; remove one or the other"
        )
