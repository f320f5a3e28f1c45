"""What reading a video to its end found out, cached by the hash of its content."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from episodes.decoding.memory import notebook, notes_from, write_note
from episodes.decoding.readers import DECODERS
from episodes.split import VideoFile

IMAGES = "pillow"
"""What reads folders of frames; their content's hash covers its version."""


@dataclass(frozen=True)
class Reading:
    """What is known of a video that was read to its end."""

    reader: str
    """Which one reads it right: a name of `episodes.decoding.readers.DECODERS`, or `IMAGES`."""
    frames: int
    """How many it shows."""
    resized: bool = False
    """Whether some of its frames were brought to the size of the first."""


class Readings:
    """Readings of all videos, where one reader is asked first.

    Several processes may add to them at once.

    Args:
        decoder: the reader that is asked first.
    """

    def __init__(self, decoder: str) -> None:
        """Open the notebook; it is read when something is looked for."""
        self._decoder = decoder
        identities = "\n".join(DECODERS[name].identity() for name in dict.fromkeys((decoder, "av")))
        self._path = notebook(f"readings 2\n{identities}")

    def get(self, sha256: str) -> Reading | None:
        """Return what is known about a video; None if it was never read."""
        known = _KNOWN.setdefault(self._path, {})
        if sha256 not in known:
            fresh, _READ_TO[self._path] = notes_from(self._path, _READ_TO.get(self._path, 0))
            for note in fresh:
                with suppress(LookupError, TypeError):  # as of a note that is damaged: read again
                    reading = Reading(note["reader"], note["frames"], note["resized"])
                    kinds = [type(one) for one in (reading.frames, reading.resized)]
                    if reading.reader in (*DECODERS, IMAGES) and kinds == [int, bool]:
                        known[note["sha256"]] = reading
        return known.get(sha256)

    def add(self, sha256: str, reading: Reading) -> None:
        """Remember a reading."""
        write_note(self._path, {"sha256": sha256, **asdict(reading)})

    def others(self, files: Iterable[VideoFile]) -> dict[str, int]:
        """Return how many videos other readers than the preferred one read, by their identity."""
        readers = Counter(map(self._reader, files))
        del readers[self._decoder]
        return {DECODERS[name].identity(): count for name, count in readers.items()}

    def remarks(self, files: Sequence[VideoFile]) -> Iterator[str]:
        """Say what is special about how videos were read."""
        for identity, count in self.others(files).items():
            yield (
                f"{count} of {len(files)} videos are read by {identity.split(',')[0]}:"
                f" {self._decoder} misreads them, or they are larger than it reads in little memory"
            )
        resized = [file for file in files if (known := self.get(file.sha256)) and known.resized]
        if resized:
            yield (
                f"frames of {len(resized)} of {len(files)} folders of frames differ in size, and"
                f" were brought to that of the first one, as in {resized[0].path}"
            )

    def key(self, file: VideoFile) -> str:
        """Return what a video's features are stored under: its content, and what reads it.

        The store itself is of the reader that is asked first, which is not named again.
        """
        reader = self._reader(file)
        other = "" if reader == self._decoder else f" {DECODERS[reader].identity()}"
        return file.sha256 + other

    def _reader(self, file: VideoFile) -> str:
        known = self.get(file.sha256)
        return self._decoder if known is None or known.reader == IMAGES else known.reader


_KNOWN: dict[Path, dict[str, Reading]] = {}
"""What was read of each notebook."""
_READ_TO: dict[Path, int] = {}
"""And how far: other processes add to it."""
