"""The two readers of video files: decord, and PyAV, whose libav is the reference.

Both hand out every frame that a file shows, in order. They run in a process of their own
(`episodes.decoding.process`), since either may crash on a damaged file.
"""

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

# At the end of a file, decord polls its own thread for the last frames in a busy loop, and calls
# the file damaged after this many turns: with too few, a good file fails on a busy machine.
os.environ.setdefault("DECORD_EOF_RETRY_MAX", "100000")

Pixels = NDArray[np.uint8]
"""uint8 (height, width, 3), RGB, upright."""
Picture = Callable[[], Pixels]
"""Converts a decoded frame to RGB when it is called; most frames are never asked for."""

TOLERANCE = 0.1
"""Fraction of its declared length that a video may lack: containers round, and count loosely."""
TOLERATED_FRAMES = 3
"""Frames that a video may lack, however short it is: XviD's packed bitstreams promise one to three
more than they hold."""
MOST_PIXELS = 8192 * 4320
"""Pixels in a frame. Larger sizes are errors in a header far more often than videos."""
MOST_PIXELS_OF_DECORD = 2048 * 1152
"""Pixels in a frame. decord decodes ahead: for 4K it would hold 600 MB, where PyAV holds 130."""
ROUNDING = 2
"""Largest difference, of 255, between two versions of libav that show the same picture."""
NO_SUBSTITUTES = 1e-9
"""Share of frames that decord may replace by their neighbours without an error."""
PACKED = ("mpeg4", "avi")
"""Codec and container of packed bitstreams, as libav calls them."""
EXACT = {"yuv420p", "yuvj420p", "yuva420p"}
"""Formats with one colour for two lines that decord converts to RGB as libav does."""


class UnreadableError(Exception):
    """A reader cannot read a file; the message says why, without naming the file."""


def read(
    open_video: Callable[[Path], "Video"],
    path: Path,
    choose: Callable[[int], Collection[int]],
    known: int | None,
    give: Callable[[int, Pixels], None],
    alive: Callable[[], None],
) -> int:
    """Hand over the chosen frames of a video.

    When a file is read for the first time, it is decoded to its end: only then is it certain how
    many frames it has, and that none is damaged. Later reads stop at the last chosen frame.

    Args:
        open_video: the reader.
        path: the file.
        choose: from the number of frames to the indices of the frames wanted.
        known: the number of frames, if the file has been read to its end before.
        give: gets the index and pixels of each frame wanted, and perhaps of a few others.
        alive: called for every decoded frame.

    Returns:
        the number of frames in the video.

    Raises:
        UnreadableError: the reader cannot read the file correctly.
    """
    video = open_video(path)
    if known is not None:
        _hand_over(video, set(choose(known)), give, alive)
        return known
    wanted = {index for count in video.expected if count > 0 for index in choose(count)}
    count = _hand_over(video, wanted, give, alive, to_the_end=True)
    if count == 0:
        raise UnreadableError("it holds no frame that can be shown")
    _check_whole(path, video.promise, count)
    if lacking := set(choose(count)) - wanted:
        _hand_over(open_video(path), lacking, give, alive)
    return count


def _hand_over(
    video: "Video",
    wanted: Collection[int],
    give: Callable[[int, Pixels], None],
    alive: Callable[[], None],
    to_the_end: bool = False,
) -> int:
    """Give the wanted frames; return the number of frames that were decoded."""
    last, count = max(wanted, default=-1), 0
    for index, picture in enumerate(video):
        if index in wanted:
            give(index, picture())
        del picture
        count = index + 1
        alive()
        if index == last and not to_the_end:
            break
    return count


class AvVideo:
    """A file that PyAV reads."""

    promise: "Promise"
    """What its header says about its length."""
    expected: Sequence[int]
    """Likely numbers of frames, the most likely first."""

    def __init__(self, path: Path) -> None:
        """Read the header alone.

        Raises:
            UnreadableError: it is no video, or its frames are too large.
        """
        self._file = _opened(path)
        self._stream = _video_stream(self._file)
        self.promise = _declared(self._file, self._stream)
        promised = self._stream.frames or round(self.promise.frames)
        packed = (self._stream.codec_context.name, self._file.format.name) == PACKED
        self.expected = [promised, promised - 1, promised - 2] if packed else [promised]

    def blends_lines(self) -> bool:
        """Whether lines share colours in other ways than those of common 8-bit video."""
        context = self._stream.codec_context
        form = context.format
        other = form is not None and form.name not in EXACT and form.chroma_height(2) == 1
        interlaced = getattr(context, "field_order", 0) > 1  # PyAV before 18.1 does not say
        return interlaced or other

    @staticmethod
    def identity() -> str:
        """Name and version, and that of the libav in it: others may decode to other pixels."""
        codec = ".".join(map(str, av.library_versions["libavcodec"]))
        return f"av {av.__version__}, libavcodec {codec}, all frames in order"

    def __iter__(self) -> Iterator[Picture]:
        """Yield every frame that is shown, in order, once; a damaged frame is an error.

        One thread decodes: processes share the work.
        """
        with self._file as file:
            stream = self._stream
            stream.codec_context.thread_count = 1
            size = None
            count = 0
            try:
                for frame in file.decode(stream):
                    if frame.is_corrupt:
                        raise UnreadableError(f"frame {count} is damaged")
                    size = size or (frame.width, frame.height)
                    yield partial(_pixels, frame, *size)
                    count += 1
                    del frame  # not held while the next is decoded: 4K in 10 bits takes 25 MB
            except (av.FFmpegError, ValueError) as error:
                raise UnreadableError(
                    f"it is damaged, or cut off, after {count} frames: {_reason(error)}"
                ) from error


def _pixels(frame: av.VideoFrame, width: int, height: int) -> Pixels:
    """Convert a frame to RGB as a player shows it: upright, in the size of the first frame."""
    _check_size(frame.width, frame.height)
    array = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(array, frame.rotation // 90 % 4))


class DecordVideo:
    """A file that decord reads as libav does and without complaint.

    All frames are decoded, in order: in many files (open groups of pictures, B-frames of MPEG-4,
    H.264 in AVI) decord 0.6.0 silently seeks to frames other than those asked for.
    """

    def __init__(self, path: Path) -> None:
        """Open it, and decode its first picture with libav, to compare."""
        import decord

        decord.logging.set_level(decord.logging.ERROR)
        self._errors = (
            *(decord.DECORDError, decord.DECORDLimitReachedError),
            *(RuntimeError, ValueError, LookupError, AssertionError, StopIteration),
        )
        libav = AvVideo(path)
        self.promise = libav.promise
        # The first picture does not tell where it is black, or has one colour.
        if libav.blends_lines():
            raise UnreadableError("decord mixes the colours of its lines otherwise than libav")
        first = next((picture() for picture in libav), None)
        if first is None:
            raise UnreadableError("it holds no frame that can be shown")
        if first[..., 0].size > MOST_PIXELS_OF_DECORD:
            raise UnreadableError("decord decodes ahead, which takes too much memory here")
        self._first = first
        try:
            self._reader: Any = decord.VideoReader(
                str(path), num_threads=1, fault_tol=NO_SUBSTITUTES
            )
            starts = self._reader.get_frame_timestamp(range(len(self._reader)))[:, 0]
        except self._errors as error:
            raise UnreadableError(_reason(error)) from error
        # An edit list hides frames before zero, as `ffmpeg -ss TIME -c copy` leaves them: decord
        # counts them and does not return them. Where it knows no times, it makes up huge ones.
        self.expected: Sequence[int] = [len(starts) - int(((starts > -1e6) & (starts < 0)).sum())]

    @staticmethod
    @cache
    def identity() -> str:
        """Name and version, and how it is used."""
        return f"decord {importlib.metadata.version('decord')}, all frames in order"

    def __iter__(self) -> Iterator[Picture]:
        """Decode; whatever decord's libav logs counts as an error."""
        logged = _logged()
        for index in range(self.expected[0]):
            try:
                frame = self._reader.next()
                if index == 0:
                    self._compare(frame.asnumpy())
            except self._errors as error:
                raise UnreadableError(_reason(error)) from error
            yield frame.asnumpy
        if _logged() > logged:
            raise UnreadableError("decord reports damaged frames")

    def _compare(self, picture: Pixels) -> None:
        """Refuse pictures whose padding, rotation or colours differ from libav's."""
        same = picture.shape == self._first.shape
        if not same or np.abs(picture.astype(np.int16) - self._first).max() > ROUNDING:
            raise UnreadableError("decord shows other pictures than libav")


def _logged() -> int:
    """Bytes written to the error output, where that is a file."""
    return os.fstat(2).st_size


Video = AvVideo | DecordVideo
DECODERS: dict[str, type[AvVideo] | type[DecordVideo]] = {"decord": DecordVideo, "av": AvVideo}
"""The readers by the name that users type."""


@cache
def default_decoder() -> str:
    """Return the preferred reader: decord if it is installed."""
    return "decord" if importlib.util.find_spec("decord") else "av"


def _opened(path: Path) -> InputContainer:
    """Open a file with PyAV, whatever the encoding of its tags."""
    try:
        return av.open(path, metadata_errors="ignore")
    except (av.FFmpegError, ValueError) as error:
        raise UnreadableError(
            f"it is not a video, or its index is missing: {_reason(error)}"
        ) from error


def _video_stream(file: InputContainer) -> av.VideoStream:
    """Return the stream that a player shows; refuse frames of an absurd size."""
    stream = file.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        raise UnreadableError("it has no video stream")
    _check_size(stream.codec_context.width, stream.codec_context.height)
    return stream


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnreadableError(
            f"its frames are {width} x {height}; at most {MOST_PIXELS:,} pixels are read"
        )


@dataclass(frozen=True)
class Promise:
    """What a file's header says about its length; 0 where it says nothing."""

    frames: float
    seconds: float
    streams: Sequence[int]
    """Indices of the streams; one of them lasts that long."""


def _declared(file: InputContainer, stream: av.VideoStream) -> Promise:
    """Return what the header says of the video stream or, failing that, of the longest stream.

    Only AVI is asked for its number of frames: MP4 also counts frames that an edit list hides. AVI
    is not asked for its duration, which libav guesses from the file's size.
    """
    rate, whole = float(stream.average_rate or 0), (file.duration or 0) / av.time_base
    if file.format.name == "avi" and rate:
        return Promise(stream.frames, stream.frames / rate, [stream.index])
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
        return Promise(seconds * rate, seconds, [stream.index])
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", "")):
        hours, minutes, rest = (float(part) for part in tag.groups())
        # A tag may have been copied from a longer file that this one was cut from.
        seconds = min(3600 * hours + 60 * minutes + rest, whole)
        return Promise(seconds * rate, seconds, [stream.index])
    return Promise(whole * rate, whole, range(len(file.streams)))


def _check_whole(path: Path, promise: Promise, count: int) -> None:
    """Refuse a file that ends earlier than its header says.

    If there are fewer frames than duration times frame rate, the rate may just be uneven. Then the
    end of the last packet decides; the last frame may last as long as the mean one.
    """
    if count >= promise.frames - max(TOLERATED_FRAMES, TOLERANCE * promise.frames):
        return
    if _end(path, promise.streams) * (1 + 1 / count) < (1 - TOLERANCE) * promise.seconds:
        raise UnreadableError(f"cut short: {count} of {promise.frames:.0f} frames")


def _end(path: Path, streams: Sequence[int]) -> float:
    """When the last packet of these streams ends, in seconds; a reading error ends the file."""
    end = 0.0
    with _opened(path) as file, suppress(av.FFmpegError):
        for packet in file.demux([file.streams[index] for index in streams]):
            if packet.pts is not None:
                before_zero = min(packet.stream.start_time or 0, 0)
                ticks = packet.pts - before_zero + (packet.duration or 0)
                end = max(end, float(ticks * packet.time_base))
    return end


def examined(path: Path, alive: Callable[[], None]) -> tuple[str, str]:
    """Decode a file strictly, to its end.

    Returns:
        what libav calls its container; and a sentence that says where a decoder that conceals
        nothing stops, empty if it does not.

    Raises:
        UnreadableError: it cannot be opened.
    """
    with _opened(path) as file:
        stream = _video_stream(file)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"err_detect": "explode"}
        count, complaint = 0, ""
        try:
            for _ in file.decode(stream):
                count += 1
                alive()
        except (av.FFmpegError, ValueError):
            complaint = (
                f"a strict decoder stops after {count} frames: what follows may be concealed"
            )
        return file.format.name, complaint


def _reason(error: BaseException) -> str:
    """The first line of an error's text, without decord's timestamps and source locations."""
    text = getattr(error, "strerror", None) or str(error)
    plain = re.sub(r"\[\d\d:\d\d:\d\d\] \S+?:\d+: ", "", text).strip()
    return plain.splitlines()[0][:200] if plain else "no reason given"
