"""The rule on training: every parameter learns, or it is said why not."""

from dataclasses import fields, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from bench.conformance.rule import Breaches, MethodUnderTest, rule
from bench.conformance.trial import SHAPE, Trial, make_trial
from bench.method import ConfiguredMethod, LabelledEpisodes, Method, NamedSupport, gather

STEPS = 3
"""Steps of training within which a gradient has to arrive: a layer behind one that starts at zero
gets none before the second."""
RATE = 0.1
CLASSES = 6
"""Training classes, for methods whose settings have `classes`."""
REACHED = 1e-9
"""Least gradient of a parameter that counts, as a share of the largest of all parameters.

In float64, the gradient of a bias that a normalisation takes off again is rounding, 1e-15; the
least that any shipped method has of its own is 1e-5.
"""


@rule("gradients")
def gradients(subject: MethodUnderTest) -> Breaches:
    """The loss is finite and reaches every trainable parameter that `without_gradient` leaves."""
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
            found = _gradients(method)
            for name, gradient in found.items():
                if not gradient.isfinite().all():
                    words = "is not finite where a video's features are all zero"
                    yield f"the gradient of {name} {words}"
            sizes = {name: float(gradient.abs().max()) for name, gradient in found.items()}
            reached |= {name for name in sizes if sizes[name] > REACHED * max(sizes.values())}
            optimiser.step()
    yield from _unexplained(subject.entry, names, names - reached)


def for_training(entry: ConfiguredMethod, classes: int = CLASSES) -> ConfiguredMethod:
    """Return the method with a head for the training classes, if its settings provide one."""
    if any(field.name == "classes" for field in fields(entry.settings)):
        return replace(entry, settings=replace(entry.settings, classes=classes))  # type: ignore[call-arg]
    return entry


def _episodes(method: Method) -> LabelledEpisodes:
    """Labelled episodes, encoded with gradients; one support video and one query are all zero."""
    trial: Trial = make_trial(SHAPE).with_features(torch.Tensor.double)
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


def _gradients(method: Method) -> dict[str, Tensor]:
    """Gradients of trainable parameters, zeros where none arrived."""
    return {
        name: torch.zeros_like(one) if one.grad is None else one.grad
        for name, one in method.named_parameters()
        if one.requires_grad
    }


def _unexplained(entry: ConfiguredMethod, names: set[str], left: set[str]) -> Breaches:
    patterns = entry.cls.without_gradient
    for name in sorted(left):
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            yield (
                f"{name} gets no gradient within {STEPS} steps; if that is meant, give the reason"
                " in without_gradient"
            )
    for pattern in patterns:
        # A variant may lack a module that its class has.
        if entry.name == entry.cls.name and not any(fnmatchcase(one, pattern) for one in names):
            yield f"without_gradient names {pattern!r}, and no parameter is called so"
