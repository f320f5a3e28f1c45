"""The rule on the order of time: `order_aware` is true or it is not."""

from bench.conformance.rule import ROUNDING, Breaches, Subject, change, rule

AWARE = 10 * ROUNDING
"""Least change of a score, as a share of their range, by which order is seen to matter."""


@rule("time-order")
def time_order(subject: Subject) -> Breaches:
    """Reversing or mixing a query's frames changes scores if `order_aware` says so, else not."""
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
