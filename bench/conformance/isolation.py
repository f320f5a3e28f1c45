"""Rules on what a method leaves alone, what it returns, and the sizes and numbers it must bear."""

import pickle
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.conformance.rule import Breaches, MethodUnderTest, change, rule
from bench.conformance.trial import CPU, SHAPE, Trial, answered, encoded, make_trial
from bench.method import FeatureShape, Method, gather
from bench.running.scoring import adapted

OF_TORCH = {"_parameters", "_buffers", "_modules"}
"""Attributes of a module whose content is looked at by name."""
PLAIN = (Tensor, bool, int, float, str, type(None))
"""What a state may be made of: all of it can be written to a file without pickle."""


@rule("random-state")
def random_state(subject: MethodUnderTest) -> Breaches:
    """The global random state is left as it was, by building as by scoring."""
    before = _random_states()
    answered(subject.build(), subject.trial)
    for name, state in _random_states().items():
        if state != before[name]:
            yield f"it draws from the global generator of {name}; make one of its own, seeded"


@rule("memory")
def memory(subject: MethodUnderTest) -> Breaches:
    """Nothing is kept between episodes: neither on the method nor in the scores of the next."""
    method = subject.build()
    first = answered(method, subject.trial.only([0]))
    before = _held(method)
    answered(method, subject.trial)
    after = _held(method)
    for name in sorted(after.keys() | before.keys()):
        if before.get(name) != after.get(name):
            yield f"{name} is not what it was before other episodes; adapt returns what they teach"
    again = answered(method, subject.trial.only([0]))
    if not torch.equal(first, again):
        most = float((first - again).abs().max())
        yield f"the same episode is scored differently by up to {most:.2g} after others"


@rule("inputs")
def inputs(subject: MethodUnderTest) -> Breaches:
    """Features, representations and states are not changed in place."""
    method, trial = subject.build(), subject.trial.with_features(torch.clone)
    features = {"features": trial.features}
    before = _frozen_each(features)
    videos = encoded(method, trial)
    yield from _changed("encode", features, before)
    given = {"support": gather(videos, trial.support), "query": gather(videos, trial.query)}
    before = _frozen_each(given)
    with torch.no_grad():
        state = adapted(method, given["support"], trial.support, CPU, trial.names)
        yield from _changed("adapt", given, before)
        both = given | {"state": state}
        before = _frozen_each(both)
        method.score(state, given["query"])
    yield from _changed("score", both, before)


@rule("state")
def state(subject: MethodUnderTest) -> Breaches:
    """Representations and states are tensors, or tuples, lists and dicts of them: no pickle."""
    found = subject.videos
    parts = found if isinstance(found, tuple) else (found,)
    if not all(isinstance(part, Tensor) for part in parts):
        yield f"encode returns {_kind(found)}; a tensor or a tuple of tensors, each videos first"
    for path, value in _leaves(subject.state, "state"):
        if not isinstance(value, PLAIN):
            yield (
                f"{path} is {_kind(value)}; a state holds tensors and plain values, in tuples,"
                " lists and dicts"
            )


def _random_states() -> dict[str, object]:
    """State of every global generator, in a form that compares."""
    return {
        "torch": _frozen(torch.random.get_rng_state()),
        "numpy": _frozen(np.random.get_state()),
        "random": random.getstate(),
    }


def _held(method: Method) -> dict[str, object]:
    """Everything that a method and its modules hold, by name, in a form that compares."""
    tensors = [*method.named_parameters(), *method.named_buffers()]
    held = {name: _frozen(tensor) for name, tensor in tensors}
    for path, module in method.named_modules():
        for name, value in vars(module).items():
            if name not in OF_TORCH:
                held[f"{path}.{name}".lstrip(".")] = _frozen(value)
    return held


def _frozen(value: Any) -> object:
    """Copy a value into a form that can be compared with that of another time."""
    if isinstance(value, Tensor):
        content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return value.dtype, tuple(value.shape), content.numpy().tobytes()
    if isinstance(value, Mapping):
        return _frozen_each(value)
    if isinstance(value, list | tuple):
        return [_frozen(inner) for inner in value]
    try:
        return pickle.dumps(value)
    except Exception:  # what cannot be pickled: functions made on the spot, open files
        return repr(value)


def _frozen_each(values: Mapping[str, Any]) -> dict[str, object]:
    return {name: _frozen(value) for name, value in values.items()}


def _changed(who: str, given: Mapping[str, Any], before: Mapping[str, object]) -> Breaches:
    for name, value in given.items():
        if _frozen(value) != before[name]:
            yield f"{who} changes its {name} in place; make a copy"


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    """All that is in tuples, lists and dicts, with the way to it."""
    if isinstance(value, dict):
        keys, inner = list(value), list(value.values())
    elif isinstance(value, tuple | list):
        keys, inner = list(getattr(value, "_fields", range(len(value)))), list(value)
    else:
        return [(path, value)]
    pairs = zip(keys, inner, strict=True)
    return [leaf for key, one in pairs for leaf in _leaves(one, f"{path}.{key}")]


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


PRECISION = 1e-3
"""Largest share of the scores' range by which float32 may differ from float64.

Ten times what another order of the same sums may change: here every step of the method rounds. The
worst of the shipped methods, before training, is at 1e-5.
"""
SIZES = ((2, 1), (20, 1), (2, 10), (20, 10))
"""(way, shot): the corners of what a method has to take."""


@rule("scores")
def scores(subject: MethodUnderTest) -> Breaches:
    """It can be built, and gives finite scores of shape (episodes, queries, way)."""
    if not subject.scores.isfinite().all():
        yield "scores of an ordinary episode are not finite"


@rule("sizes")
def sizes(subject: MethodUnderTest) -> Breaches:
    """It takes from 2 to 20 classes with 1 to 10 videos each, and a single query."""
    for way, shot in SIZES:
        trial = make_trial(SHAPE, episodes=1, way=way, shot=shot, queries=1)
        if not answered(subject.method, trial).isfinite().all():
            yield f"scores are not finite for {way} classes with {shot} videos each"


@rule("finite")
def finite(subject: MethodUnderTest) -> Breaches:
    """Scores are finite numbers for degenerate features and for the smallest maps."""
    for words, shape, trial in _degenerate():
        method = subject.method if shape == SHAPE else subject.build(shape)
        if not answered(method, trial).isfinite().all():
            yield f"scores are not finite for {words}; guard divisions, roots and logarithms"


@rule("float64")
def float64(subject: MethodUnderTest) -> Breaches:
    """Scores in float32 are those in float64, but for rounding."""
    trial = subject.trial.with_features(torch.Tensor.double)
    exact = answered(subject.build().double(), trial)
    share = change(subject.scores, exact)
    if share > PRECISION:
        yield (
            f"float32 and float64 differ by {share:.2g} of the scores' range, more than"
            f" {PRECISION:g}: a step loses digits"
        )


def _degenerate() -> Iterator[tuple[str, FeatureShape, Trial]]:
    """Words, shape of the maps and trial of each unusual case."""
    usual = make_trial(SHAPE)
    yield "features that are all zero", SHAPE, usual.with_features(torch.zeros_like)
    yield "features that are all equal", SHAPE, usual.with_features(torch.ones_like)
    yield "features times 10,000", SHAPE, usual.with_features(lambda features: 1e4 * features)
    small = {
        "a single frame": SHAPE._replace(frames=1),
        "a single position a frame": SHAPE._replace(height=1, width=1),
        "a single frame with a single position": SHAPE._replace(frames=1, height=1, width=1),
    }
    for words, shape in small.items():
        yield words, shape, make_trial(shape)
