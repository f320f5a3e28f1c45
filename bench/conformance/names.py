"""The rule on the names of classes: who is given them, and that they are put to use."""

from torch import Tensor

from bench.conformance.rule import ROUNDING, Breaches, Subject, change, rule, unless_same
from bench.conformance.trial import SHAPE, Trial, answered, make_trial
from bench.method import TextMethod

EPISODES = 40
"""As many as tell names that help from names that do not."""
EXCHANGED = [1, 2, 3, 0]


@rule("names")
def names(subject: Subject) -> Breaches:
    """Names reach a `TextMethod` alone; exchanged ones change its scores, and for the worse."""
    trial = make_trial(SHAPE, episodes=EPISODES) if subject.entry.cls.needs_text else subject.trial
    right = answered(subject.method, trial)
    wrong = answered(subject.method, trial.with_names(EXCHANGED))
    if not isinstance(subject.method, TextMethod):
        yield from unless_same("exchanging the names of the classes", wrong, right, 0.0)
    elif change(wrong, right) <= ROUNDING:
        yield "exchanging the names of the classes changes nothing; derive from Method instead"
    elif not subject.method.learns and _margin(wrong, trial) >= _margin(right, trial):
        yield "with the names of other classes, queries are not further from their own class"


def _margin(scores: Tensor, trial: Trial) -> float:
    """How far the score of the right class is above the mean of all, on average."""
    right = scores.gather(-1, trial.labels[..., None])[..., 0]
    return float((right - scores.mean(dim=-1)).mean())
