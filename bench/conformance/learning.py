"""The rule on training: every parameter gets a gradient, or its class explains why not."""

import math
from dataclasses import fields, replace
from fnmatch import fnmatchcase

import torch

from bench.conformance.rule import Breaches, MethodUnderTest, Rule
from bench.conformance.trial import SHAPE, make_trial
from bench.method import ConfiguredMethod, LabelledEpisodes, Method, NamedSupport, gather

STEPS = 3
"""Training steps within which a gradient has to arrive: a layer before one that is initialised to
zero gets none in the first."""
RATE = 0.1
CLASSES = 6
"""Training classes, for methods whose settings have `classes`."""
REACHED = 1e-9
"""Smallest gradient that counts, as a fraction of the largest one of all parameters.

In float64, the gradient of a bias that a normalisation removes again is rounding, 1e-15; the
smallest real one of any shipped method is 1e-5.
"""


@Rule
def gradients(subject: MethodUnderTest) -> Breaches:
    """The loss is finite, and its gradient reaches every parameter but `without_gradient`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = for_training(subject.entry).build(SHAPE, seed=0).double().train()
        names = {name for name, one in method.named_parameters() if one.requires_grad}
        if not names:
            return
        reached: set[str] = set()
        optimiser = torch.optim.SGD(method.parameters(), lr=RATE)
        for _ in range(STEPS):
            optimiser.zero_grad()
            terms = method.loss(_episodes(method))
            for name, term in terms.items():
                if term.shape != () or not term.isfinite():
                    yield f"the loss term {name!r} is not one finite number"
            torch.stack(list(terms.values())).sum().backward()
            sizes = {
                name: 0.0 if parameter.grad is None else float(parameter.grad.abs().max())
                for name, parameter in method.named_parameters()
                if parameter.requires_grad
            }
            for name, size in sizes.items():
                if not math.isfinite(size):
                    yield f"the gradient of {name} is not finite if a video's features are all zero"
            reached |= {name for name in sizes if sizes[name] > REACHED * max(sizes.values())}
            optimiser.step()
    yield from _unexplained(subject.entry, names, names - reached)


def has_global_head(method: ConfiguredMethod | Method) -> bool:
    """Whether a method classifies the training classes itself: it has a setting ``classes``."""
    return any(field.name == "classes" for field in fields(method.settings))


def for_training(entry: ConfiguredMethod, classes: int = CLASSES) -> ConfiguredMethod:
    """Return the method with a head for the training classes, if its settings provide one."""
    if has_global_head(entry):
        return replace(entry, settings=replace(entry.settings, classes=classes))  # type: ignore[call-arg]
    return entry


def _episodes(method: Method) -> LabelledEpisodes:
    """Encode labelled episodes with gradients; one support video and one query are all zero."""
    trial = make_trial(SHAPE).with_features(torch.Tensor.double)
    trial.features[[int(trial.support[0, 0, 0]), int(trial.query[1, 0])]] = 0
    videos = method.encode(trial.features)
    way = trial.support.shape[1]
    classes = torch.stack([torch.arange(CLASSES).roll(step)[:way] for step in range(3)])
    support, query = gather(videos, trial.support), gather(videos, trial.query)
    if not method.needs_text:
        return LabelledEpisodes(support, query, trial.labels, classes)
    text = trial.text[trial.support[:, :, 0]].double()
    class_text = torch.zeros(CLASSES, text.shape[-1], dtype=text.dtype)
    class_text[classes.flatten()] = text.flatten(0, 1)
    return LabelledEpisodes(NamedSupport(support, text), query, trial.labels, classes, class_text)


def _unexplained(entry: ConfiguredMethod, names: set[str], unreached: set[str]) -> Breaches:
    patterns = entry.cls.without_gradient
    for name in sorted(unreached):
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            yield (
                f"{name} gets no gradient within {STEPS} steps; if that is intended, give the"
                " reason in without_gradient"
            )
    for pattern in patterns:
        # A variant may lack a module that its class has.
        if entry.name == entry.cls.name and not any(fnmatchcase(name, pattern) for name in names):
            yield f"without_gradient names {pattern!r}, but no parameter is called that"
