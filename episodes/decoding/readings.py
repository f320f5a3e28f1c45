"""What was found by reading a video to its end, cached by the hash of its content."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from episodes.decoding.memory import entries_from, journal, write_entry
from episodes.decoding.readers import DECODERS
from episodes.split import VideoFile

IMAGES = "pillow"
"""The reader of folders of frames; the hash of their content covers its version."""
_KNOWN: dict[Path, dict[str, "Reading"]] = {}
"""Readings by journal and content."""
_READ_TO: dict[Path, int] = {}
"""Up to which offset each journal was read: other processes add to it."""


@dataclass(frozen=True)
class Reading:
    """What is known about a video that was read to its end."""

    reader: str
    """The one that reads it correctly: a name in `readers.DECODERS`, or `IMAGES`."""
    frames: int
    """The number of frames it shows."""
    resized: bool = False
    """Whether some of its frames were resized to the size of the first."""


class Readings:
    """The readings of all videos under one preferred reader; several processes may add to them."""

    def __init__(self, decoder: str) -> None:
        """Name the preferred reader; nothing is read yet."""
        self._decoder = decoder
        identities = "\n".join(DECODERS[name].identity() for name in dict.fromkeys((decoder, "av")))
        self._path = journal(f"readings 2\n{identities}")

    def get(self, sha256: str) -> Reading | None:
        """Return the reading of a video; None if it was never read."""
        known = _KNOWN.setdefault(self._path, {})
        if sha256 not in known:
            fresh, _READ_TO[self._path] = entries_from(self._path, _READ_TO.get(self._path, 0))
            for entry in fresh:
                with suppress(LookupError, TypeError):  # a damaged entry: the video is read again
                    content, reading = entry.pop("sha256"), Reading(**entry)
                    kinds = [type(reading.frames), type(reading.resized)]
                    if reading.reader in (*DECODERS, IMAGES) and kinds == [int, bool]:
                        known[content] = reading
        return known.get(sha256)

    def add(self, sha256: str, reading: Reading) -> None:
        """Remember a reading."""
        write_entry(self._path, {"sha256": sha256, **asdict(reading)})
        _KNOWN.setdefault(self._path, {})[sha256] = reading  # also if somebody empties the cache

    def others(self, files: Iterable[VideoFile]) -> dict[str, int]:
        """Return the number of videos that other readers read, by the identity of the reader."""
        readers = Counter(map(self._reader, files))
        del readers[self._decoder]
        return {DECODERS[name].identity(): count for name, count in readers.items()}

    def remarks(self, files: Sequence[VideoFile]) -> Iterator[str]:
        """Describe what is unusual about how videos were read."""
        for identity, count in self.others(files).items():
            yield (
                f"{count} of {len(files)} videos are read by {identity.split(',')[0]}:"
                f" {self._decoder} misreads them, or they are larger than it reads in little memory"
            )
        resized = [file for file in files if (known := self.get(file.sha256)) and known.resized]
        if resized:
            yield (
                f"frames of {len(resized)} of {len(files)} folders of frames differ in size, and"
                f" were resized to that of the first one, as in {resized[0].path}"
            )

    def key(self, file: VideoFile) -> str:
        """Return the key of a video's features: the hash of its content, and what reads it.

        The preferred reader is not named: it is part of the identity of the whole store.
        """
        reader = self._reader(file)
        other = "" if reader == self._decoder else f" {DECODERS[reader].identity()}"
        return file.sha256 + other

    def _reader(self, file: VideoFile) -> str:
        known = self.get(file.sha256)
        return self._decoder if known is None or known.reader == IMAGES else known.reader
