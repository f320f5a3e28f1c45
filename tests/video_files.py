"""Video files with the properties of those that people have, made with PyAV."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from episodes.decoding.clips import Clip, decode_each
from episodes.decoding.sampling import Sampling
from tests.conftest import make_video

VOP = b"\x00\x00\x01\xb6"
DIVX_PACKED = b"\x00\x00\x01\xb2DivX503b1393p"
"""What tells a decoder that packets may hold two frames."""
PLACEHOLDER = b"\x7f"


def packed_bitstream(path: Path, frames: int = 30, size: tuple[int, int] = (96, 96)) -> Path:
    """As XviD writes AVI: a P and the B after it in one packet, then a placeholder.

    One stands after the key frame too, so the header promises a frame more than comes out.
    """
    options = {"bf": "1", "g": "12", "sc_threshold": "1000000000"}
    plain = make_video(path.with_stem("plain"), frames, size, "mpeg4", 25, options=options)
    with av.open(plain) as old, av.open(path, "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        encoded = [bytes(packet) for packet in old.demux(video=0) if packet.size]
        start = encoded[0].index(VOP)
        packets = [encoded[0][:start] + DIVX_PACKED + encoded[0][start:], PLACEHOLDER]
        for data in encoded[1:]:
            if _kind(data) == "B" and _kind(packets[-1]) == "P":
                packets[-1:] = [packets[-1] + data, PLACEHOLDER]
            else:
                packets.append(data)
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = _kind(data) == "I"
            new.mux(packet)
    plain.unlink()
    return path


def _kind(data: bytes) -> str:
    """Which kind of frame an MPEG-4 packet begins with."""
    return "IPBS"[data[data.index(VOP) + 4] >> 6] if VOP in data else ""


def painted(
    path: Path,
    codec: str,
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (160, 112),
    rotation: int = 0,
    frames: int = 24,
    options: dict[str, str] | None = None,
    black: int = 0,
) -> Path:
    """Colours that wander to the right: upside down, mirrored or turned it is another picture.

    The first ``black`` pictures are black.
    """

    def picture(size: tuple[int, int], index: int, _: int) -> np.ndarray:
        width, height = size
        drawn = np.zeros((height, width, 3), np.uint8)
        if index >= black:
            drawn[: height // 2] = (200, 40, 90)
            drawn[:, : width // 4] = (20, 180, 60)
        return np.ascontiguousarray(np.roll(drawn, index, axis=1))

    settings = {"pixel_format": pixel_format, "rotation": rotation, "picture": picture}
    return make_video(path, frames, size, codec, 25, options=options, **settings)


def decoded(path: Path, frames: int, sampling: Sampling, decoder: str | None = None) -> Clip:
    """The sampled frames in full size."""
    return np.stack(decode_each(path, frames, sampling, list, decoder)[0])


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    """Change a file's bytes in place."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def with_durations(count: int) -> Callable[[bytearray], None]:
    """MP4: say that this many frames have the first duration."""
    return lambda data: struct.pack_into(">I", data, data.index(b"stts") + 12, count)


def with_length(count: int) -> Callable[[bytearray], None]:
    """AVI: say that there are this many frames, in both of the headers."""

    def change(data: bytearray) -> None:
        struct.pack_into("<I", data, data.index(b"avih") + 24, count)
        struct.pack_into("<I", data, data.index(b"strh") + 40, count)

    return change


def with_sizes_of(width: int, height: int) -> Callable[[bytearray], None]:
    """Matroska: say how large the frames are."""

    def change(data: bytearray) -> None:
        place = data.index(b"\xe0", data.index(b"\x16\x54\xae\x6b"))
        place = data.index(b"\xb0", place)
        assert data[place + 1] == 0x82
        data[place + 2 : place + 4] = struct.pack(">H", width)
        place = data.index(b"\xba", place + 4)
        data[place + 2 : place + 4] = struct.pack(">H", height)

    return change
