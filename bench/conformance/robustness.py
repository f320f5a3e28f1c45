"""Rules on unusual numbers: sizes of episodes and of maps, degenerate features, precisions."""

from collections.abc import Iterator

import torch

from bench.conformance.rule import Breaches, Subject, change, rule
from bench.conformance.trial import SHAPE, Trial, answered, make_trial
from bench.method import FeatureShape

PRECISION = 1e-3
"""Largest share of the scores' range by which float32 may differ from float64.

Ten times what another order of the same sums may change: here every step of the method rounds. The
worst of the shipped methods, before training, is at 1e-5.
"""
SIZES = ((2, 1), (20, 1), (2, 10), (20, 10))
"""(way, shot): the corners of what a method has to take."""


@rule("scores")
def scores(subject: Subject) -> Breaches:
    """It can be built, and gives finite scores of shape (episodes, queries, way)."""
    if not subject.scores.isfinite().all():
        yield "scores of an ordinary episode are not finite"


@rule("sizes")
def sizes(subject: Subject) -> Breaches:
    """It takes from 2 to 20 classes with 1 to 10 videos each, and a single query."""
    for way, shot in SIZES:
        trial = make_trial(SHAPE, episodes=1, way=way, shot=shot, queries=1)
        if not answered(subject.method, trial).isfinite().all():
            yield f"scores are not finite for {way} classes with {shot} videos each"


@rule("finite")
def finite(subject: Subject) -> Breaches:
    """Scores are finite numbers for degenerate features and for the smallest maps."""
    for words, shape, trial in _degenerate():
        method = subject.method if shape == SHAPE else subject.build(shape)
        if not answered(method, trial).isfinite().all():
            yield f"scores are not finite for {words}; guard divisions, roots and logarithms"


@rule("float64")
def float64(subject: Subject) -> Breaches:
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
