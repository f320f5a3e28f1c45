"""Rules of symmetry: the order and grouping of classes, videos and episodes carry no meaning."""

from dataclasses import replace

import torch

from bench.conformance.rule import ROUNDING, Breaches, MethodUnderTest, Rule, change, unless_same
from bench.conformance.trial import CPU, scored
from bench.method import PairMethod, join
from bench.running.pairs import look_up, similarities

ALONE = [0, 3]
"""Queries that are asked alone."""
QUERY_ORDER = [3, 0, 4, 1, 2]
CLASS_ORDER = [2, 0, 3, 1]


@Rule
def class_order(subject: MethodUnderTest) -> Breaches:
    """Permuting the classes permutes the columns of the scores, and nothing else."""
    renamed = replace(subject.trial, support=subject.trial.support[:, CLASS_ORDER])
    expected = subject.scores[..., CLASS_ORDER]
    yield from unless_same("another order of classes", subject.score(renamed), expected)


@Rule
def query_order(subject: MethodUnderTest) -> Breaches:
    """Permuting the queries permutes the rows of the scores, and nothing else."""
    found = subject.score(subject.trial.asking(QUERY_ORDER))
    yield from unless_same("another order of queries", found, subject.scores[:, QUERY_ORDER])


@Rule
def one_query(subject: MethodUnderTest) -> Breaches:
    """A query has the same scores alone as among others, unless `sees` says "all queries"."""
    found = torch.cat([subject.score(subject.trial.asking([query])) for query in ALONE], dim=1)
    among = subject.scores[:, ALONE]
    if subject.entry.cls.sees != "all queries":
        yield from unless_same("scoring one query at a time", found, among)
    elif (share := change(found, among)) <= ROUNDING:
        yield (
            'it declares sees = "all queries", but scoring one query at a time changes scores by'
            f" {share:.2g} of their range, which is rounding"
        )


@Rule
def support_order(subject: MethodUnderTest) -> Breaches:
    """The order of the support videos of a class changes nothing."""
    turned = replace(subject.trial, support=subject.trial.support.flip(2))
    yield from unless_same("another order of support videos", subject.score(turned), subject.scores)


@Rule
def episodes(subject: MethodUnderTest) -> Breaches:
    """An episode has the same scores alone and among others, in any order."""
    count = len(subject.trial.support)
    backwards = list(range(count))[::-1]
    turned = subject.score(subject.trial.only(backwards))
    yield from unless_same("reversing the order of episodes", turned, subject.scores[backwards])
    parts = [slice(0, 2), slice(2, count)]
    found = torch.cat([subject.score(subject.trial.only(part)) for part in parts])
    yield from unless_same("scoring two episodes and then one", found, subject.scores)


@Rule
def videos(subject: MethodUnderTest) -> Breaches:
    """The representation of a video does not depend on the others encoded with it."""
    with torch.no_grad():
        apart = join([subject.method.encode(video[None]) for video in subject.trial.features])
    found = scored(subject.method, apart, subject.trial)
    yield from unless_same("encoding one video at a time", found, subject.scores)


@Rule
def pairs(subject: MethodUnderTest) -> Breaches:
    """A `PairMethod` compares two videos independently of the others."""
    if not isinstance(subject.method, PairMethod):
        return
    table = similarities(subject.method, subject.videos, CPU, lambda *_: None)
    found = look_up(table, subject.trial.support, subject.trial.query)
    yield from unless_same("comparing all videos at once", found, subject.scores)
