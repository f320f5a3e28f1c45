"""The figures of runs, derived from their rows: what tables show and ``summary.json`` holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.contenders import Contender, contenders, titles
from bench.run_directory import Run, dump
from bench.statistics import (
    KINDS,
    LEVEL,
    Design,
    Estimate,
    Kind,
    Variation,
    design_of,
    holm,
    letters,
    measure,
    pseudo_values,
    sign_flip_p_value,
)
from episodes.atomic import write_text
from episodes.bank import Bank, open_bank
from episodes.errors import UserError

Interval = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """A contender's figures on one bank. Accuracies and differences are fractions."""

    bank: str
    method: str
    revision: int
    trained: bool | None
    """None where there is nothing to train."""
    training: Mapping[str, Any] | None
    """Recipe, backbone and episodes of its training."""
    seeds: tuple[int, ...]
    """Of its trainings: accuracy is the mean over them."""
    trained_words: str
    """Both in words, as tables have it."""
    title: str
    """The method's name, with its training or backbone where the method has several rows."""
    backbone: str | None
    frames: str
    """Which frames it was shown, and how their size was changed; empty if a run does not say."""
    sees: str
    order_aware: bool | None
    """Whether the order of a query's features in time can change its score; None if unsaid."""
    episodes: int
    queries: int
    """Query videos scored, over all episodes."""
    accuracy: float
    interval: Interval
    """95%, over episodes: the convention of the field."""
    intervals: Mapping[Kind, Interval]
    """95%, by what varies in it; only what these runs can tell."""
    difference: float | None
    """To the reference, paired over episodes; None for the reference itself."""
    difference_interval: Interval | None
    """95%, over episodes."""
    difference_intervals: Mapping[Kind, Interval] | None
    p_value: float | None
    """Of no difference to the reference: Student's t over what varies in ``tested_over``."""
    p_value_sign_flip: float | None
    """The same by permutation: turning the signs of what each class, or episode, contributes."""
    p_value_holm: float | None
    """``p_value``, corrected for the number of methods that are compared with the reference."""
    probability_better: float | None
    """That it beats the reference where all that ``tested_over`` names is drawn anew."""
    group: tuple[str, ...]
    """Letters; contenders that share one cannot be told apart."""
    episodes_per_s: float
    embed_clips_per_s: float
    peak_memory_bytes: int
    device: str

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same row on another bank."""
        training = tuple(sorted((self.training or {}).items()))
        return self.method, self.trained_words, self.backbone, self.frames, training

    @property
    def name(self) -> str:
        """The title, less what a table has in the columns ``trained`` and ``backbone``."""
        title = self.title.replace(f" ({self.trained_words})", "", 1)
        return title.replace(f" ({self.backbone})", "", 1)


@dataclass(frozen=True)
class Comparison:
    """All contenders on one bank, best accuracy first, and the one they are compared with."""

    bank: str
    bank_sha256: str
    reference: str
    """Title of the row that the others are compared with."""
    rows: Sequence[Row]
    tested_over: Kind
    """What varies in p-values, probabilities and groups."""
    units: str
    """How many classes and recordings the intervals rest on, or why they cannot be told."""
    contenders: Sequence[Contender] = field(repr=False, compare=False)
    """In the order of ``rows``."""
    variation: Variation = field(repr=False, compare=False)
    """Of the contenders' accuracies, in the order of ``rows``."""
    opened: Bank | None = field(repr=False, compare=False)
    """The bank, where it could be rebuilt."""

    def of(self, title: str) -> Row | None:
        """Return the row with this title."""
        return next((row for row in self.rows if row.title == title), None)

    def difference(self, one: int, other: int, kind: Kind) -> Estimate | None:
        """Paired difference of two rows' accuracies, first minus second; None if it is unknown."""
        return self.variation.estimate(kind, one, other)

    def content(self) -> dict[str, Any]:
        """Return everything as plain values, as ``summary.json`` holds it."""
        return {
            "bank": self.bank,
            "bank_sha256": self.bank_sha256,
            "interval_over": "episodes",
            "level": LEVEL,
            "reference": self.reference,
            "tested_over": self.tested_over,
            "units": self.units,
            "rows": [asdict(row) for row in self.rows],
        }


def compare(
    runs: Sequence[Run], reference: str | None = None, banks: Sequence[Bank] = ()
) -> list[Comparison]:
    """Compare runs, those on each bank among themselves.

    Args:
        runs: on one or several banks; each method once on a bank, or once for each training seed.
        reference: method the others are compared with, its untrained form if there are several;
            protonet or the first by name if None.
        banks: banks that cannot be rebuilt by their names.

    Raises:
        UserError: runs of one bank differ in episodes or dtype, a method occurs twice, or the
            reference is not among them.
    """
    by_bank: dict[str, list[Run]] = {}
    for run in runs:
        by_bank.setdefault(run.identity["bank"], []).append(run)
    return [compare_on_one_bank(found, reference, banks) for found in by_bank.values()]


def compare_on_one_bank(
    runs: Sequence[Run], reference: str | None = None, banks: Sequence[Bank] = ()
) -> Comparison:
    """Compare runs on one bank; arguments and errors as for `compare`."""
    found = contenders(runs)
    values = np.stack([one.episode_accuracy() for one in found], axis=1)
    order = np.argsort(-values.mean(axis=0), kind="stable")
    found, values = [found[index] for index in order], values[:, order]
    names = titles(found)
    chosen = _choose_reference(found, names, reference)
    bank, problem = rebuilt(found[0].first, banks)
    design = None if bank is None else design_of(bank.split, bank.episodes)
    variation = measure(values, design, [one.trainings for one in found])
    tested_over: Kind = "videos and classes"
    if tested_over not in variation.covariances:
        tested_over = "episodes"
    figures = _Figures(found, names, values, variation, design, chosen, tested_over)
    return Comparison(
        bank=runs[0].identity["bank"],
        bank_sha256=runs[0].identity["bank_sha256"],
        reference=names[chosen],
        rows=figures.rows(),
        tested_over=tested_over,
        units=problem if design is None else _describe(design, bank),
        contenders=found,
        variation=variation,
        opened=bank,
    )


def _choose_reference(found: Sequence[Contender], names: Sequence[str], wanted: str | None) -> int:
    """Which row is the reference: of several of a method the one that was not trained."""
    methods = sorted({one.method for one in found})
    if wanted is not None and wanted not in {*methods, *names}:
        raise UserError(
            f"--reference {wanted!r} is not among the runs; there are: {', '.join(sorted(names))}"
        )
    name = wanted or ("protonet" if "protonet" in methods else methods[0])
    fitting = [i for i, one in enumerate(found) if name in {one.method, names[i]}]
    return min(
        fitting,
        key=lambda i: (names[i] != name, bool(found[i].first.declared["trained"]), names[i]),
    )


def rebuilt(run: Run, banks: Sequence[Bank] = ()) -> tuple[Bank | None, str]:
    """Rebuild the bank of a run, or say why its episodes cannot be known.

    Args:
        run: whose identity names the bank.
        banks: where to look first.
    """
    title, sha256 = run.identity["bank"], run.identity["bank_sha256"]
    name = title.partition(" (")[0]  # less how many of its episodes are there
    numbers = run.rows["episode"].unique()
    try:
        bank = next((one for one in banks if one.sha256 == sha256), None)
        bank = bank or open_bank(name, int(numbers.max()) + 1, without_list=True).only(numbers)
    except UserError as error:
        return None, f"videos and classes unknown: {error}"
    if bank.sha256 != sha256:
        return None, f"videos and classes unknown: bank {name} has other episodes here"
    return bank, ""


def _describe(design: Design, bank: Bank | None) -> str:
    if bank is None:
        return ""
    units = (
        f"{len(design.classes)} {design.classes.kind}, {len(design.videos)} {design.videos.kind}"
    )
    in_all = f"{len(bank.split.classes)} classes, {len(bank.split.videos)} videos"
    return units if units == in_all else f"{units} ({in_all})"


@dataclass(frozen=True)
class _Figures:
    """What rows are made of."""

    found: Sequence[Contender]
    titles: Sequence[str]
    values: np.ndarray
    """(episodes, contenders) accuracies."""
    variation: Variation
    design: Design | None
    reference: int
    tested_over: Kind

    def rows(self) -> list[Row]:
        others = [index for index in range(len(self.found)) if index != self.reference]
        p_values = self._p_values([(index, self.reference) for index in others])
        corrected = dict(zip(others, holm(p_values), strict=True))
        groups = self._groups()
        return [
            self._row(index, corrected.get(index), groups[index])
            for index in range(len(self.found))
        ]

    def _p_values(self, pairs: Sequence[tuple[int, int]]) -> list[float]:
        """P-values of Student's t, of pairs of contenders."""
        estimates = [self.variation.estimate(self.tested_over, a, b) for a, b in pairs]
        return [math.nan if one is None else one.p_value for one in estimates]

    def _sign_flip_p_value(self, index: int) -> float:
        difference = self.values[:, index] - self.values[:, self.reference]
        if self.design is None or self.tested_over == "episodes":
            return sign_flip_p_value(difference)
        return sign_flip_p_value(pseudo_values(difference, self.design.classes))

    def _groups(self) -> list[tuple[str, ...]]:
        """Letters after Holm's correction over all pairs.

        From Student's t: turning signs cannot give p-values as small as the correction asks for,
        since a dozen units have 4,096 patterns.
        """
        pairs = [(a, b) for a in range(len(self.found)) for b in range(a)]
        p_values = holm(self._p_values(pairs))
        different = np.zeros((len(self.found), len(self.found)), dtype=bool)
        for (a, b), p_value in zip(pairs, p_values, strict=True):
            different[a, b] = different[b, a] = p_value < 1 - LEVEL
        return letters(different)

    def _row(self, index: int, corrected: float | None, group: tuple[str, ...]) -> Row:
        one = self.found[index]
        first = one.first
        accuracies = self._estimates(index, None)
        differences = None if index == self.reference else self._estimates(index, self.reference)
        tested = None if differences is None else differences[self.tested_over]
        ends = None if differences is None else {k: e.interval() for k, e in differences.items()}
        return Row(
            bank=first.identity["bank"],
            method=one.method,
            revision=first.identity["revision"],
            trained=first.declared["trained"],
            training=one.training,
            seeds=one.seeds,
            trained_words=one.trained,
            title=self.titles[index],
            backbone=one.backbone,
            frames=one.frames,
            sees=first.declared["sees"],
            order_aware=first.declared.get("order_aware"),
            episodes=first.identity["episodes"],
            queries=len(first.rows),
            accuracy=accuracies["episodes"].mean,
            interval=accuracies["episodes"].interval(),
            intervals=_of_fraction(accuracies),
            difference=None if tested is None else tested.mean,
            difference_interval=None if ends is None else ends["episodes"],
            difference_intervals=ends,
            p_value=None if tested is None else tested.p_value,
            p_value_sign_flip=None if tested is None else self._sign_flip_p_value(index),
            p_value_holm=corrected,
            probability_better=None if tested is None else tested.probability_positive,
            group=group,
            episodes_per_s=first.cost.score_episodes_per_s,
            embed_clips_per_s=first.cost.embed_clips_per_s,
            peak_memory_bytes=first.cost.peak_memory_bytes,
            device=first.circumstances["device"],
        )

    def _estimates(self, index: int, minus: int | None) -> dict[Kind, Estimate]:
        found = {kind: self.variation.estimate(kind, index, minus) for kind in KINDS}
        return {kind: one for kind, one in found.items() if one is not None}


def _of_fraction(estimates: Mapping[Kind, Estimate]) -> dict[Kind, Interval]:
    """Intervals of accuracies: symmetric over episodes, as the convention has it."""
    return {
        kind: one.interval() if kind == "episodes" else one.interval_of_fraction()
        for kind, one in estimates.items()
    }


def write_summary(folder: Path, comparison: Comparison) -> None:
    """Write ``summary.json``: derived figures, which may be deleted and made again."""
    write_text(folder / "summary.json", dump(comparison.content()))
