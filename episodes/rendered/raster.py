"""Pixels from a staging, in integer arithmetic so that every machine draws the same ones.

Positions, angles and opacities, which are floats up to here, are rounded once to fixed point:
nothing below depends on a floating-point library.
"""

import numpy as np
from numpy.typing import NDArray

from episodes.draws import Draws
from episodes.rendered.grammar import TAU, Series, Track
from episodes.rendered.scene import Body, Colour, Staging

SIDE = 96
"""Width and height of a video. decord 0.6.0 pads some other widths, 48 and 72 among them."""
GRAIN = 2
"""Side of a noise grain and of a chroma sample in pixels."""
MARGIN = 12
"""Pixels of texture around the frame, into which the camera may pan."""
UNIT = 16
"""Fixed-point steps in a pixel."""
TRIG = 1 << 14
"""Fixed-point value of a sine of 1."""

Pixels = NDArray[np.int32]


def draw(staging: Staging) -> NDArray[np.uint8]:
    """Draw all frames of a video.

    Returns:
        uint8 (frames, 144, 96): each frame as planar 4:2:0, 96 rows of luma above 48 rows that
        hold the two chroma planes, the layout that encoders take.
    """
    canvas = _background(staging)
    for body, track in staging.objects:
        _paint(canvas, body, track, staging.camera_x, staging.camera_y)
    if staging.occluder is not None:
        _occlude(canvas, *staging.occluder)
    return _planes(_film(canvas[0], staging), canvas[1:])


def _fixed(values: Series, unit: int) -> NDArray[np.int64]:
    return np.rint(np.asarray(values) * unit).astype(np.int64)


def _background(staging: Staging) -> Pixels:
    """The textured background as the camera sees it: int32 (3, frames, height, width)."""
    setting = staging.setting
    size = SIDE + 2 * MARGIN
    draws = Draws("rendered texture", setting.texture_key)
    texture = _blocks(draws, size, 12, setting.coarse_contrast)
    texture += _blocks(draws, size, 4, setting.fine_contrast)
    shift_x, shift_y = _fixed(staging.camera_x, SIDE), _fixed(staging.camera_y, SIDE)
    canvas = np.empty((3, len(shift_x), SIDE, SIDE), dtype=np.int32)
    canvas[:] = np.reshape(setting.background, (3, 1, 1, 1))
    for frame, (x, y) in enumerate(zip(MARGIN - shift_x, MARGIN - shift_y, strict=True)):
        canvas[0, frame] += texture[y : y + SIDE, x : x + SIDE]
    return canvas


def _blocks(draws: Draws, size: int, block: int, contrast: int) -> Pixels:
    """Square blocks of random brightness within +-contrast."""
    count = size // block
    noise = draws.bytes(count * count).reshape(count, count).astype(np.int32)
    levels = ((noise - 128) * contrast) >> 7
    return levels.repeat(block, axis=0).repeat(block, axis=1)


def _paint(canvas: Pixels, body: Body, track: Track, camera_x: Series, camera_y: Series) -> None:
    """Blend a body into every frame of the canvas, in place."""
    reach = int(np.hypot(body.length, body.width) * float(track.scale.max()) * SIDE) + 2
    x = _fixed(track.x + camera_x, SIDE * UNIT)
    y = _fixed(track.y + camera_y, SIDE * UNIT)
    left, top = x // UNIT - reach, y // UNIT - reach
    steps = np.arange(2 * reach + 1) * UNIT + UNIT // 2
    dx = (left * UNIT - x)[:, None, None] + steps[None, None, :]
    dy = (top * UNIT - y)[:, None, None] + steps[None, :, None]
    opacity = _fixed(track.opacity, 256).astype(np.int32)[:, None, None]
    alpha = _inside(body, track, dx, dy) * opacity
    colour = np.array(body.colour, dtype=np.int32)[:, None, None]
    for frame, (row, column) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
        rows, columns = slice(max(row, 0), SIDE), slice(max(column, 0), SIDE)
        seen = alpha[frame, rows.start - row :, columns.start - column :]
        window = canvas[:, frame, rows, columns][:, : seen.shape[0], : seen.shape[1]]
        share = seen[: window.shape[1], : window.shape[2]]
        window += ((colour - window) * share) >> 8


def _inside(
    body: Body, track: Track, dx: NDArray[np.int64], dy: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the centre of a pixel lies in the body; dx, dy in 1/16 pixel."""
    cosine = _fixed(np.cos(track.turn * TAU), TRIG)[:, None, None]
    sine = _fixed(np.sin(track.turn * TAU), TRIG)[:, None, None]
    along = (dx * cosine + dy * sine) // TRIG
    across = (dy * cosine - dx * sine) // TRIG
    a = _fixed(body.length * track.scale, SIDE * UNIT)[:, None, None]
    b = _fixed(body.width * track.scale, SIDE * UNIT)[:, None, None]
    inside: NDArray[np.bool_]
    if body.shape in {"ellipse", "half"}:
        inside = (along * b) ** 2 + (across * a) ** 2 <= (a * b) ** 2
    else:
        inside = (abs(along) <= a) & (abs(across) <= b)
    if body.shape == "half":
        inside &= 4 * along >= -a
    elif body.shape == "triangle":
        inside &= 2 * a * abs(across) <= b * (a - along)
    elif body.shape == "cross":
        inside &= (3 * abs(across) <= b) | (3 * abs(along) <= a)
    return inside


def _occlude(canvas: Pixels, upright: bool, place: float, width: float, colour: Colour) -> None:
    """Put an opaque bar in front of everything, in place."""
    first, last = round((place - width / 2) * SIDE), round((place + width / 2) * SIDE)
    bar = np.s_[max(first, 0) : max(last, 0)]
    values = np.reshape(colour, (3, 1, 1, 1))
    if upright:
        canvas[:, :, :, bar] = values
    else:
        canvas[:, :, bar] = values


def _film(luma: Pixels, staging: Staging) -> Pixels:
    """Add flicker and grain. Grains are two pixels wide, so that lossless files stay small."""
    gain = _fixed(staging.gain, 256).astype(np.int32)[:, None, None]
    lit = 16 + (((luma - 16) * gain) >> 8)
    frames, grains = len(luma), SIDE // GRAIN
    source = Draws("rendered noise", staging.noise_key).bytes(frames * grains * grains * 4)
    # The sum of four bytes is close to normal: mean 510, standard deviation 147.8.
    first, second, third, fourth = source.astype(np.int32).reshape(-1, 4).T
    total = (first + second + third + fourth - 510).reshape(frames, grains, grains)
    noise = (total * round(staging.noise * 65536 / 147.8)) >> 16
    return np.asarray(lit + noise.repeat(GRAIN, axis=1).repeat(GRAIN, axis=2), dtype=np.int32)


def _planes(luma: Pixels, chroma: Pixels) -> NDArray[np.uint8]:
    """Planar 4:2:0 from luma (frames, 96, 96) and chroma (2, frames, 96, 96)."""
    frames, half = len(luma), SIDE // 2
    rows = chroma[:, :, ::2] + chroma[:, :, 1::2]
    mean = (rows[..., ::2] + rows[..., 1::2]) >> 2
    planes = np.clip(mean, 16, 240).transpose(1, 0, 2, 3).reshape(frames, half, SIDE)
    return np.concatenate([np.clip(luma, 16, 235), planes], axis=1).astype(np.uint8)
