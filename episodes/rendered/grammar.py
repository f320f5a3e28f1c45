"""The motion grammar: the classes, and how each of them moves two actors.

There are 100 classes in 50 partner pairs. A pair differs only in temporal order: a verb and the
same verb played backwards ("reversal"), or "first a, then b" and "first b, then a" ("swap").

Lengths are in units of the frame's side, angles in turns, y points down.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from episodes.draws import Draws

Series = NDArray[np.float64]
Kind = Literal["reversal", "swap"]
Item = TypeVar("Item")
TAU = 2.0 * np.pi


@dataclass(frozen=True)
class Track:
    """Where one actor is in each frame; every field is (frames,)."""

    x: Series
    y: Series
    turn: Series
    scale: Series
    opacity: Series

    @classmethod
    def of(
        cls,
        phase: Series,
        x: Series | float = 0.0,
        y: Series | float = 0.0,
        turn: Series | float = 0.0,
        scale: Series | float = 1.0,
        opacity: Series | float = 1.0,
    ) -> "Track":
        """Return an actor in as many frames as ``phase`` has, which rests unless told otherwise."""
        zero = np.zeros_like(phase)
        return cls(zero + x, zero + y, zero + turn, zero + scale, zero + opacity)


Scene = tuple[Track, Track | None]
Verb = Callable[[Series, float, float], Scene]
"""(phase in [0, 1], amplitude, contact distance) -> tracks of the two actors around (0, 0).

A verb of one actor returns None for the other, who then only stands somewhere: every video shows
two actors, so that their number reveals nothing."""


@dataclass(frozen=True)
class MotionClass:
    """One class of the rendered dataset."""

    name: str
    partner: str
    kind: Kind
    verb: Verb
    heading: float


def _move(phase: Series, amplitude: float, contact: float) -> Scene:
    return Track.of(phase, x=(2 * phase - 1) * amplitude), None


def _arc(phase: Series, amplitude: float, contact: float) -> Scene:
    angle = np.pi * (1 + phase)
    return Track.of(phase, np.cos(angle) * amplitude, (np.sin(angle) + 0.5) * amplitude), None


def _push(phase: Series, amplitude: float, contact: float) -> Scene:
    pushed = np.maximum(phase - 0.5, 0.0) * 2 * amplitude
    actor = np.where(phase < 0.5, (2 * phase - 1) * amplitude, pushed) - contact
    return Track.of(phase, x=actor), Track.of(phase, x=pushed)


def _reach(phase: Series, amplitude: float, contact: float) -> Scene:
    start = -2 * amplitude - contact
    actor = Track.of(phase, x=start + phase * (-contact - start) + amplitude)
    return actor, Track.of(phase, x=amplitude)


def _orbit(phase: Series, amplitude: float, contact: float) -> Scene:
    radius, angle = max(amplitude, contact), TAU * phase
    return Track.of(phase, np.cos(angle) * radius, np.sin(angle) * radius), Track.of(phase)


def _spin(phase: Series, amplitude: float, contact: float) -> Scene:
    return Track.of(phase, turn=phase), None


def _swap(phase: Series, amplitude: float, contact: float) -> Scene:
    x, y = np.cos(np.pi * phase) * amplitude, np.sin(np.pi * phase) * amplitude
    return Track.of(phase, x, y), Track.of(phase, -x, -y)


def _spiral(phase: Series, amplitude: float, contact: float) -> Scene:
    angle, radius = 1.25 * TAU * phase, amplitude * (1.15 - phase)
    return Track.of(phase, np.cos(angle) * radius, np.sin(angle) * radius), None


def _grow(phase: Series, amplitude: float, contact: float) -> Scene:
    return Track.of(phase, scale=0.45 + 1.4 * phase), None


def _appear(phase: Series, amplitude: float, contact: float) -> Scene:
    return Track.of(phase, opacity=phase), None


def _backwards(verb: Verb) -> Verb:
    return lambda phase, amplitude, contact: verb(1 - phase, amplitude, contact)


def _flip(track: Track) -> Track:
    return replace(track, y=-track.y, turn=-track.turn)


def _mirrored(verb: Verb) -> Verb:
    def mirrored(phase: Series, amplitude: float, contact: float) -> Scene:
        actor, other = verb(phase, amplitude, contact)
        return _flip(actor), other and _flip(other)

    return mirrored


def _reversal_pairs() -> list[tuple[MotionClass, MotionClass]]:
    """The 23 single verbs with their time reversals."""
    pairs = [
        _pair(f"move-{there}", f"move-{back}", _move, heading)
        for there, back, heading in (
            ("right", "left", 0.0),
            ("down", "up", 0.25),
            ("down-right", "up-left", 0.125),
            ("up-right", "down-left", -0.125),
        )
    ]
    sides = (("right", 0.0), ("down", 0.25), ("left", 0.5), ("up", 0.75))
    for side, heading in sides:
        pairs.append(_pair(f"arc-{side}-clockwise", f"arc-{side}-counter", _arc, heading))
        pairs.append(_pair(f"push-{side}", f"drop-{side}", _push, heading))
        pairs.append(_pair(f"reach-{side}", f"leave-{side}", _reach, heading))
    for name, verb in (("orbit", _orbit), ("spin", _spin), ("swap", _swap)):
        pairs.append(_pair(f"{name}-clockwise", f"{name}-counter", verb))
    pairs.append(_pair("spiral-in-clockwise", "spiral-out-counter", _spiral))
    pairs.append(_pair("spiral-in-counter", "spiral-out-clockwise", _mirrored(_spiral)))
    pairs.append(_pair("grow", "shrink", _grow))
    pairs.append(_pair("appear", "vanish", _appear))
    return pairs


def _pair(
    there: str, back: str, verb: Verb, heading: float = 0.0, swapped: Verb | None = None
) -> tuple[MotionClass, MotionClass]:
    """Make two partners, of which the second is the reversal of the first if it is not given."""
    kind: Kind = "swap" if swapped else "reversal"
    return (
        MotionClass(there, back, kind, verb, heading),
        MotionClass(back, there, kind, swapped or _backwards(verb), heading),
    )


def _shift(dx: float, dy: float) -> Verb:
    def shift(phase: Series, amplitude: float, contact: float) -> Scene:
        reach = 1.5 * amplitude
        return Track.of(phase, dx * reach * phase, dy * reach * phase), None

    return shift


def _shake(phase: Series, amplitude: float, contact: float) -> Scene:
    return Track.of(phase, x=np.sin(3 * TAU * phase) * 0.06), None


def _blink(phase: Series, amplitude: float, contact: float) -> Scene:
    return Track.of(phase, opacity=0.5 + 0.5 * np.cos(2 * TAU * phase)), None


def _turn(sense: int) -> Verb:
    return lambda phase, amplitude, contact: (Track.of(phase, turn=0.5 * sense * phase), None)


def _resize(factor: float) -> Verb:
    return lambda phase, amplitude, contact: (Track.of(phase, scale=factor**phase), None)


PRIMITIVES: dict[str, Verb] = {
    "right": _shift(1, 0),
    "left": _shift(-1, 0),
    "up": _shift(0, -1),
    "down": _shift(0, 1),
    "turn": _turn(1),
    "unturn": _turn(-1),
    "grow": _resize(1.9),
    "shrink": _resize(1 / 1.9),
    "shake": _shake,
    "blink": _blink,
}
"""The verbs that sequences are made of."""

OPPOSITE = {("right", "left"), ("up", "down"), ("turn", "unturn"), ("grow", "shrink")} | {
    ("shake", "blink")
}
"""Pairs of primitives that make no sequence: one undoes the other, or both end as they began."""

SEQUENCE_PAIRS = 27


def _sequence(first: Verb, second: Verb) -> Verb:
    """Do ``first`` in the first half, then ``second`` from where the first one ended."""

    def sequence(phase: Series, amplitude: float, contact: float) -> Scene:
        end = np.ones(1)
        one, last_one = (first(at, amplitude, contact)[0] for at in (np.minimum(2 * phase, 1), end))
        two, last_two = (
            second(at, amplitude, contact)[0] for at in (np.maximum(2 * phase - 1, 0), end)
        )
        actor = Track(
            one.x + two.x - 0.5 * (last_one.x[0] + last_two.x[0]),
            one.y + two.y - 0.5 * (last_one.y[0] + last_two.y[0]),
            one.turn + two.turn,
            one.scale * two.scale,
            one.opacity * two.opacity,
        )
        return actor, None

    return sequence


def _swap_pairs() -> list[tuple[MotionClass, MotionClass]]:
    """The 27 pairs "a then b" and "b then a", drawn from the 40 admissible ones."""
    admissible = [pair for pair in combinations(PRIMITIVES, 2) if pair not in OPPOSITE]
    return [
        _pair(
            f"{a}-then-{b}",
            f"{b}-then-{a}",
            _sequence(PRIMITIVES[a], PRIMITIVES[b]),
            swapped=_sequence(PRIMITIVES[b], PRIMITIVES[a]),
        )
        for a, b in _shuffled(admissible, "sequences")[:SEQUENCE_PAIRS]
    ]


def _shuffled(items: list[Item], label: str) -> list[Item]:
    """Return the items in an order drawn from the stream of a label."""
    draws = Draws("rendered grammar", label)
    left = list(items)
    return [left.pop(draws.integer(len(left))) for _ in items]


PAIRS_HELD_OUT = {"test": 6, "val": 3}
"""Split -> number of pairs of each kind that it holds; the others are for training."""


@cache
def classes() -> dict[str, dict[str, MotionClass]]:
    """Return split -> class name -> class: 64 train, 12 val and 24 test classes.

    A pair is never split; val and test hold as many swap pairs as reversal pairs.
    """
    splits: dict[str, dict[str, MotionClass]] = {"train": {}, "val": {}, "test": {}}
    for pairs, label in ((_reversal_pairs(), "reversal split"), (_swap_pairs(), "swap split")):
        shuffled = _shuffled(pairs, label)
        for split, count in (*PAIRS_HELD_OUT.items(), ("train", len(shuffled))):
            taken, shuffled = shuffled[:count], shuffled[count:]
            splits[split].update({motion.name: motion for pair in taken for motion in pair})
    return splits
