"""The content of a rendered video: everything that is drawn at random, before any pixel.

Appearance belongs to the group (scene, actors), details of the motion to the video. Only the verb
depends on the class, so that appearance cannot give the class away.
"""

from dataclasses import dataclass

import numpy as np

from episodes.draws import Draws
from episodes.rendered.grammar import TAU, MotionClass, Series, Track

Colour = tuple[int, int, int]
"""Luma 16..235 and two chroma values 16..240 (BT.601, limited range)."""

SHAPES = ("ellipse", "rectangle", "triangle", "cross", "half")
VERSION = "1"
"""Part of every stream's key and of the cache's path: raise it whenever a pixel may change."""


@dataclass(frozen=True)
class Body:
    """How an object looks: shape, half length and half width (frame sides), colour."""

    shape: str
    length: float
    width: float
    colour: Colour


@dataclass(frozen=True)
class Setting:
    """What the videos of one group share."""

    background: Colour
    coarse_contrast: int
    fine_contrast: int
    texture_key: str
    actors: tuple[Body, Body]
    clutter: tuple[tuple[Body, float, float, float], ...]
    """Bodies at rest, each with x, y (frame sides) and turn."""


@dataclass(frozen=True)
class Staging:
    """What one video shows: bodies with their tracks in painting order, camera and film."""

    setting: Setting
    objects: tuple[tuple[Body, Track], ...]
    camera_x: Series
    camera_y: Series
    occluder: tuple[bool, float, float, Colour] | None
    """Whether it is upright, position and width in frame sides, colour."""
    gain: Series
    """The lamp's brightness in each frame, 1 on average."""
    noise: float
    noise_key: str


def setting(split: str, motion: MotionClass, group: int) -> Setting:
    """Draw the scene and the actors that a group shares."""
    key = ("rendered setting", VERSION, split, motion.name, str(group))
    draws = Draws(*key)
    background = _colour(draws)
    return Setting(
        background=background,
        coarse_contrast=draws.integer(28),
        fine_contrast=draws.integer(14),
        texture_key=" ".join(key),
        actors=(_body(draws, background, 1.0), _body(draws, background, 1.0)),
        clutter=tuple(
            (
                _body(draws, background, 0.8),
                draws.uniform(0.05, 0.95),
                draws.uniform(0.05, 0.95),
                draws.uniform(0.0, 1.0),
            )
            for _ in range(draws.integer(3))
        ),
    )


def stage(split: str, motion: MotionClass, group: int, clip: int, frames: int) -> Staging:
    """Draw one video of a class: clip number ``clip`` of group ``group``, ``frames`` long."""
    place = setting(split, motion, group)
    draws = Draws("rendered clip", VERSION, split, motion.name, str(group), str(clip))
    time = (np.arange(frames) + 0.5) / frames
    camera_x, camera_y = _camera(draws, time)
    actors = _actors(draws, motion, place, time)
    distractors = [_distractor(draws, place, time) for _ in range(draws.integer(2))]
    still = [(body, Track.of(time, x, y, turn)) for body, x, y, turn in place.clutter]
    return Staging(
        setting=place,
        objects=(*still, *distractors, *actors),
        camera_x=camera_x,
        camera_y=camera_y,
        occluder=_occluder(draws) if draws.chance(0.3) else None,
        gain=np.array([1.0 + draws.uniform(-0.05, 0.05) for _ in range(frames)]),
        noise=draws.uniform(0.008, 0.03) * 255,
        noise_key=f"{place.texture_key} {clip}",
    )


def _colour(draws: Draws) -> Colour:
    """A colour drawn evenly from the RGB cube, as luma and chroma."""
    red, green, blue = (draws.uniform(0.05, 0.95) for _ in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (
        round(16 + 219 * luma),
        round(128 + 224 * (blue - luma) / 1.772),
        round(128 + 224 * (red - luma) / 1.402),
    )


def _contrasting(draws: Draws, background: Colour) -> Colour:
    """A colour whose brightness differs from the background's by at least a fifth of the range."""
    while True:
        colour = _colour(draws)
        if abs(colour[0] - background[0]) >= 45:
            return colour


def _body(draws: Draws, background: Colour, size: float) -> Body:
    """An elongated body, so that turning shows."""
    radius = draws.uniform(0.058, 0.10) * size
    aspect = draws.uniform(1.5, 2.2)
    return Body(
        SHAPES[draws.integer(len(SHAPES))],
        radius * aspect**0.5,
        radius / aspect**0.5,
        _contrasting(draws, background),
    )


def _camera(draws: Draws, time: Series) -> tuple[Series, Series]:
    """A slow pan in any direction, and a shake."""
    angle, speed = draws.uniform(0.0, TAU), draws.uniform(0.0, 0.16)
    shake = [np.array([draws.uniform(-0.0125, 0.0125) for _ in time]) for _ in range(2)]
    return (
        (time - 0.5) * speed * np.cos(angle) + shake[0],
        (time - 0.5) * speed * np.sin(angle) + shake[1],
    )


def _phase(draws: Draws, time: Series) -> Series:
    """Progress of the event at each time: it lasts part of the clip, at an uneven pace."""
    length = draws.uniform(0.55, 1.0)
    start = draws.uniform(0.0, 1.0 - length)
    even = np.clip((time - start) / length, 0.0, 1.0)
    return np.asarray(even ** draws.uniform(0.80, 1.25))


def _actors(
    draws: Draws, motion: MotionClass, place: Setting, time: Series
) -> list[tuple[Body, Track]]:
    """The two actors of the class's verb, turned, scaled and placed at random."""
    amplitude = draws.uniform(0.17, 0.30)
    contact = place.actors[0].length + place.actors[1].length
    actor, other = motion.verb(_phase(draws, time), amplitude, contact)
    # The second actor of a one-actor verb stands somewhere near and does nothing.
    angle, distance = draws.uniform(0.0, TAU), contact + draws.uniform(0.0, amplitude)
    bystander = Track.of(time, np.cos(angle) * distance, np.sin(angle) * distance)
    tracks = (actor, bystander if other is None else other)
    heading = (motion.heading + draws.uniform(-14, 14) / 360) * TAU
    centre_x, centre_y = draws.uniform(0.38, 0.62), draws.uniform(0.38, 0.62)
    return [
        (body, _placed(track, heading, centre_x, centre_y, draws.uniform(0.0, 1.0)))
        for body, track in zip(place.actors, tracks, strict=True)
    ]


def _placed(track: Track, heading: float, x: float, y: float, turn: float) -> Track:
    """Rotate a track about the origin by ``heading`` and move it to (x, y)."""
    cosine, sine = np.cos(heading), np.sin(heading)
    return Track(
        x + track.x * cosine - track.y * sine,
        y + track.x * sine + track.y * cosine,
        track.turn + turn,
        track.scale,
        track.opacity,
    )


def _distractor(draws: Draws, place: Setting, time: Series) -> tuple[Body, Track]:
    """A smaller body that drifts straight on and turns on its own."""
    body = _body(draws, place.background, 0.6)
    heading, speed = draws.uniform(0.0, TAU), draws.uniform(0.1, 0.5)
    x = draws.uniform(0.1, 0.9) + (time - 0.5) * speed * np.cos(heading)
    y = draws.uniform(0.1, 0.9) + (time - 0.5) * speed * np.sin(heading)
    turn = draws.uniform(0.0, 1.0) + draws.uniform(-0.5, 0.5) * time
    return body, Track.of(time, x, y, turn)


def _occluder(draws: Draws) -> tuple[bool, float, float, Colour]:
    upright = draws.chance(0.5)
    return upright, draws.uniform(0.1, 0.9), draws.uniform(0.05, 0.12), _colour(draws)
