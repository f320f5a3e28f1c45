"""Rules on side effects, on returned types, and on the sizes and values a method must handle."""

import pickle
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.conformance.rule import Breaches, MethodUnderTest, Rule, change
from bench.conformance.trial import CPU, SHAPE, answered, encoded, make_trial
from bench.method import Method, gather
from bench.running.scoring import adapted

OF_TORCH = {"_parameters", "_buffers", "_modules"}
"""Attributes of a module whose content is compared separately, by name."""
PLAIN = (Tensor, bool, int, float, str, type(None))
"""Types that a state may consist of: they can be written to a file without pickle."""


@Rule
def random_state(subject: MethodUnderTest) -> Breaches:
    """Neither building nor scoring changes the global random state."""
    before = _random_states()
    answered(subject.build(), subject.trial)
    for name, state in _random_states().items():
        if state != before[name]:
            yield f"it draws from the global generator of {name}; use a seeded generator of its own"


@Rule
def memory(subject: MethodUnderTest) -> Breaches:
    """Nothing is kept between episodes: the method and later scores stay the same."""
    method = subject.build()
    first = answered(method, subject.trial.only([0]))
    before = _held(method)
    answered(method, subject.trial)
    after = _held(method)
    for name in sorted(after.keys() | before.keys()):
        if before.get(name) != after.get(name):
            yield f"{name} changes with the episodes; return from adapt what an episode teaches"
    again = answered(method, subject.trial.only([0]))
    if not torch.equal(first, again):
        most = float((first - again).abs().max())
        yield f"the same episode is scored differently by up to {most:.2g} after others"


@Rule
def inputs(subject: MethodUnderTest) -> Breaches:
    """Features, representations and states are not changed in place."""
    method, trial = subject.build(), subject.trial.with_features(torch.clone)
    given: dict[str, Any] = {"features": trial.features}
    before = _frozen_each(given)
    videos = encoded(method, trial)
    yield from _changed("encode", given, before)
    given = {"support": gather(videos, trial.support), "query": gather(videos, trial.query)}
    before = _frozen_each(given)
    with torch.no_grad():
        given["state"] = adapted(method, given["support"], trial.support, CPU, trial.names)
        yield from _changed("adapt", given, before)
        before = _frozen_each(given)
        method.score(given["state"], given["query"])
    yield from _changed("score", given, before)


@Rule
def state(subject: MethodUnderTest) -> Breaches:
    """Representations and states are tensors, or tuples, lists and dicts of them: no pickle."""
    videos = subject.videos
    parts = videos if isinstance(videos, tuple) else (videos,)
    if not all(isinstance(part, Tensor) for part in parts):
        yield f"encode returns a {type(videos).__name__}, not a tensor or a tuple of tensors"
    for path, value in _leaves(subject.state, "state"):
        if not isinstance(value, PLAIN):
            yield (
                f"{path} is a {type(value).__name__}; a state holds tensors and plain values, in"
                " tuples, lists and dicts"
            )


def _random_states() -> dict[str, object]:
    """The state of every global generator, in comparable form."""
    return {
        "torch": _frozen(torch.random.get_rng_state()),
        "numpy": _frozen(np.random.get_state()),
        "random": random.getstate(),
    }


def _held(method: Method) -> dict[str, object]:
    """Everything that a method and its modules hold, by name, in comparable form."""
    tensors = [*method.named_parameters(), *method.named_buffers()]
    held = {name: _frozen(tensor) for name, tensor in tensors}
    for path, module in method.named_modules():
        for name, value in vars(module).items():
            if name not in OF_TORCH:
                held[f"{path}.{name}".lstrip(".")] = _frozen(value)
    return held


def _frozen(value: Any) -> object:
    """Copy a value into a form that can be compared later."""
    if isinstance(value, Tensor):
        content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return value.dtype, tuple(value.shape), content.numpy().tobytes()
    if isinstance(value, Mapping):
        return _frozen_each(value)
    if isinstance(value, list | tuple):
        return [_frozen(inner) for inner in value]
    try:
        return pickle.dumps(value)
    except Exception:  # such as local functions and open files
        return repr(value)


def _frozen_each(values: Mapping[str, Any]) -> dict[str, object]:
    return {name: _frozen(value) for name, value in values.items()}


def _changed(who: str, given: Mapping[str, Any], before: Mapping[str, object]) -> Breaches:
    for name in before:
        if _frozen(given[name]) != before[name]:
            yield f"{who} changes its {name} in place; make a copy"


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    """Return the leaves of nested tuples, lists and dicts, each with its path."""
    if isinstance(value, dict):
        keys, inner = list(value), list(value.values())
    elif isinstance(value, tuple | list):
        keys, inner = list(getattr(value, "_fields", range(len(value)))), list(value)
    else:
        return [(path, value)]
    pairs = zip(keys, inner, strict=True)
    return [leaf for key, one in pairs for leaf in _leaves(one, f"{path}.{key}")]


PRECISION = 1e-3
"""Largest difference between float32 and float64, as a fraction of the range of the scores.

Ten times what summing in another order may change, since here every step of the method rounds. The
worst shipped method, before training, is at 1e-5.
"""
SIZES = ((2, 1), (20, 1), (2, 10))
"""(way, shot): the extremes that a method has to handle. Not both at their largest, which takes
methods that fit a head to the support seconds."""
SMALL = {
    "a single frame": SHAPE._replace(frames=1),
    "a single position per frame": SHAPE._replace(height=1, width=1),
    "a single frame with a single position": SHAPE._replace(frames=1, height=1, width=1),
}
"""The smallest maps, in words."""


@Rule
def scores(subject: MethodUnderTest) -> Breaches:
    """It can be built, and gives finite scores of shape (episodes, queries, way)."""
    if not subject.scores.isfinite().all():
        yield "scores of an ordinary episode are not finite"


@Rule
def sizes(subject: MethodUnderTest) -> Breaches:
    """It handles 2 or 20 classes, up to 10 videos of a class, and a single query."""
    for way, shot in SIZES:
        trial = make_trial(SHAPE, episodes=1, way=way, shot=shot, queries=1)
        if not answered(subject.method, trial).isfinite().all():
            yield f"scores are not finite for {way} classes with {shot} videos each"


@Rule
def finite(subject: MethodUnderTest) -> Breaches:
    """Scores are finite for degenerate features and for the smallest maps."""
    kinds = ("features that are all zero", "features that are all equal", "features times 10,000")
    trial = make_trial(SHAPE, episodes=len(kinds))
    zero, equal, large = trial.features.chunk(len(kinds))  # an episode of each
    features = torch.cat([torch.zeros_like(zero), torch.ones_like(equal), 1e4 * large])
    found = answered(subject.method, trial.with_features(lambda _: features))
    finite_for = dict(zip(kinds, found.isfinite().all(dim=(1, 2)).tolist(), strict=True))
    for words, shape in SMALL.items():
        finite_for[words] = answered(subject.build(shape), make_trial(shape)).isfinite().all()
    for words, all_finite in finite_for.items():
        if not all_finite:
            yield f"scores are not finite for {words}; guard divisions, roots and logarithms"


@Rule
def float64(subject: MethodUnderTest) -> Breaches:
    """Scores in float32 and float64 agree up to rounding."""
    trial = subject.trial.with_features(torch.Tensor.double)
    exact = answered(subject.build().double(), trial)
    share = change(subject.scores, exact)
    if share > PRECISION:
        yield (
            f"float32 and float64 differ by {share:.2g} of the scores' range, more than"
            f" {PRECISION:g}: a step loses digits"
        )
