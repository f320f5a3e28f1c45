"""The rule on faster forms: they give the results of the method."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from bench.conformance.learning import for_training
from bench.conformance.rule import Breaches, MethodUnderTest, Rule
from bench.conformance.trial import CPU, SHAPE, VECTORS, Trial, make_trial
from bench.method import ConfiguredMethod, FeatureShape, LabelledEpisodes, gather
from bench.running.loop import encode
from bench.running.scoring import score

TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-4}
"""Largest difference, as a fraction of the largest number in a tensor."""
WIDE = FeatureShape(channels=20, frames=3, height=6, width=6)
"""The 6 x 6 grid of the default backbone, which a faster form may treat as a special case."""
TRIALS = (
    *((torch.float64, SHAPE, shot) for shot in (1, 5)),
    (torch.float64, VECTORS, 5),
    (torch.float64, WIDE, 1),
    (torch.float64, SHAPE._replace(frames=1), 5),
    *((torch.float32, SHAPE, shot) for shot in (1, 5)),
)
"""Precision, shape of the maps, shots: all shapes in double precision, single for lost digits."""


class FormResults(NamedTuple):
    """The results of one form on a trial."""

    scores: Tensor
    """(episodes, queries, way), without gradients, as a run computes them."""
    losses: dict[str, Tensor]
    gradients: dict[str, Tensor]
    """Gradients of the total loss for the features and for every parameter that should have one."""


@Rule
def fast_form(subject: MethodUnderTest) -> Breaches:
    """The faster form of a method gives the same scores, losses and gradients."""
    entry = for_training(subject.entry)
    if entry.fast is None:
        return
    for kind, shape, shot in TRIALS:
        trial = make_trial(shape, episodes=2, way=3, shot=shot, queries=4).with_features(
            partial(torch.Tensor.to, dtype=kind)
        )
        fast, plain = (outcome(one, shape, trial) for one in (entry, entry.plain))
        where = f"in {str(kind).removeprefix('torch.')}, {shot} shots of {tuple(shape)}"
        for what, size in _differences(fast, plain):
            if not size <= TOLERANCES[kind]:
                yield f"{what} {where} differ by {size:.2g}, more than {TOLERANCES[kind]:g}"


def outcome(entry: ConfiguredMethod, shape: FeatureShape, trial: Trial) -> FormResults:
    """Score a trial, and compute losses and gradients on it, with one form of a method."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = entry.build(shape, seed=0).to(trial.features.dtype)
        with torch.no_grad():
            # Move parameters away from special initial values, such as zero.
            for _, parameter in sorted(method.named_parameters()):
                parameter.add_(torch.randn(parameter.shape, dtype=parameter.dtype), alpha=0.05)
            found = encode(method, trial.features, CPU)
            scores = score(method, found, trial.support, trial.query)
        torch.manual_seed(0)
        features = trial.features.clone().requires_grad_()
        videos = method.train().encode(features)
        classes = torch.arange(trial.support.shape[1]).expand(len(trial.support), -1)
        losses = method.loss(
            LabelledEpisodes(
                gather(videos, trial.support), gather(videos, trial.query), trial.labels, classes
            )
        )
        total = torch.stack(list(losses.values())).sum()
        # A parameter declared to get no gradient may get rounding, different in each form.
        none = entry.cls.without_gradient
        wanted = {"features": features} | {
            name: parameter
            for name, parameter in method.named_parameters()
            if not any(fnmatchcase(name, pattern) for pattern in none)
        }
        values = {name: loss.detach() for name, loss in losses.items()}
        if not total.requires_grad:
            return FormResults(scores, values, {})
        gradients = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
    zeros = (torch.zeros_like(one) for one in wanted.values())
    reached = (zero if one is None else one for one, zero in zip(gradients, zeros, strict=True))
    return FormResults(scores, values, dict(zip(wanted, reached, strict=True)))


def _differences(fast: FormResults, plain: FormResults) -> Iterator[tuple[str, float]]:
    """Largest difference of each tensor, as a fraction of the plain form's largest number."""
    yield "scores", _share(fast.scores, plain.scores, float(plain.scores.abs().max()))
    if (fast.losses.keys(), fast.gradients.keys()) != (plain.losses.keys(), plain.gradients.keys()):
        yield "the terms of the loss, or the parameters,", float("inf")
        return
    for name, loss in plain.losses.items():
        yield f"losses {name!r}", _share(fast.losses[name], loss, float(loss.abs()))
    sizes = {name: float(one.abs().max()) for name, one in plain.gradients.items()}
    largest = max(sizes.values(), default=0.0)
    for name, gradient in plain.gradients.items():
        # A gradient that cancels to rounding is compared with the size of the others.
        size = max(sizes[name], 1e-3 * largest)
        yield f"gradients of {name}", _share(fast.gradients[name], gradient, size)


def _share(found: Tensor, expected: Tensor, size: float) -> float:
    if found.shape != expected.shape:
        return float("inf")
    difference = float((found - expected).abs().max())
    return difference / size if difference else 0.0
