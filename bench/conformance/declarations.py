"""Rules on what a method declares: its attributes, its use of class names and of temporal order."""

import re
from typing import get_args

from torch import Tensor

from bench.conformance.rule import ROUNDING, Breaches, MethodUnderTest, Rule, change, unless_same
from bench.conformance.trial import SHAPE, Trial, answered, make_trial
from bench.method import Method, TextMethod
from bench.settings import Needs, Sees

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\+*")
"""Lower-case words joined by hyphens; a plus at the end, as in chamfer++, is part of a name."""
YEAR = re.compile(r"\b(19|20)\d\d\b")


@Rule
def declarations(subject: MethodUnderTest) -> Breaches:
    """The declarations are complete and valid: name, revision, source with a year, ..."""
    cls, name = subject.entry.cls, subject.entry.registered
    if not NAME.fullmatch(name):
        yield f"the name {name!r} is not made of lower-case words joined by hyphens"
    if type(cls.revision) is not int or cls.revision < 1:
        yield f"revision is {cls.revision!r}; it is a whole number, from 1"
    if not YEAR.search(str(cls.source)):
        yield f"source is {cls.source!r}; it names authors, venue and year"
    if type(cls.order_aware) is not bool:
        yield f"order_aware is {cls.order_aware!r}; it is True or False"
    if cls.__doc__ in (None, Method.__doc__):
        yield f"class {cls.__name__} has no docstring; its first line says what the method does"
    for field, allowed in {"needs": get_args(Needs), "sees": get_args(Sees)}.items():
        if (value := getattr(cls, field)) not in allowed:
            yield f"{field} is {value!r}; it is one of {', '.join(allowed)}"
    words = {"differs": cls.differs, "pretraining": cls.pretraining}
    words |= {f"without_gradient[{name!r}]": why for name, why in cls.without_gradient.items()}
    for field, value in words.items():
        if not isinstance(value, str) or not value.strip():
            yield f'{field} is {value!r}; it is stated in words, even if "nothing" or "none"'


EPISODES = 40
"""Enough episodes to tell names that help from names that do not."""
EXCHANGED = [1, 2, 3, 0]


@Rule
def names(subject: MethodUnderTest) -> Breaches:
    """Only a `TextMethod` reads class names; exchanging them changes its scores for the worse."""
    if not isinstance(subject.method, TextMethod):
        wrong = subject.score(subject.trial.with_names(EXCHANGED))
        yield from unless_same("exchanging the names of the classes", wrong, subject.scores, 0.0)
        return
    trial = make_trial(SHAPE, episodes=EPISODES)
    right = answered(subject.method, trial)
    wrong = answered(subject.method, trial.with_names(EXCHANGED))
    if change(wrong, right) <= ROUNDING:
        yield "exchanging the names of the classes changes nothing; derive from Method instead"
    elif not subject.method.learns and _margin(wrong, trial) >= _margin(right, trial):
        yield "exchanging the names of the classes does not lower the scores of the true classes"


def _margin(scores: Tensor, trial: Trial) -> float:
    """Mean margin between the score of the true class and the mean score of all classes."""
    right = scores.gather(-1, trial.labels[..., None])[..., 0]
    return float((right - scores.mean(dim=-1)).mean())


AWARE = 10 * ROUNDING
"""Least change of a score, as a fraction of the range, that shows that order matters."""


@Rule
def time_order(subject: MethodUnderTest) -> Breaches:
    """Reordering a query's frames changes its scores if and only if `order_aware` is declared."""
    scores = subject.on_the_default_grid
    share = max(change(other, scores.forwards) for other in scores[1:])
    words = (
        "it declares order_aware = {}, but reversing or mixing the frames of the queries changes"
        f" scores by {share:.2g} of their range"
    )
    declared = subject.entry.cls.order_aware
    if declared and share < AWARE:
        yield f"{words.format(True)}, less than {AWARE:g}"
    if not declared and share > ROUNDING:
        yield f"{words.format(False)}, more than {ROUNDING:g}"
