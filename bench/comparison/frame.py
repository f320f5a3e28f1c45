"""The frame of a comparison: every figure of every method, and how it is shown.

CSV, JSON and `bench.api` hold all fields of `Row`; tables, LaTeX, ``compare`` and the report have
`COLUMNS`. A new figure of a method's runs is one more field of `Row`, and one more column.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from html import escape
from typing import Any, Literal

from bench.runs.by_method import MethodRuns
from bench.runs.directory import Run
from bench.runs.schema import Failure, HowTrained, Speed
from bench.statistics import KINDS, LEVEL, Estimate, Kind, Prediction, Variation
from episodes.banks.bank import Bank
from episodes.errors import UserError

Interval = tuple[float, float]
Verdict = Literal["better", "worse", "undecided", "1 seed", "same answers", "control", "names", ""]
"""What a difference amounts to, after correction for the size of its family. "1 seed": a method
that was trained once is not judged against another trained one. "": nothing may be said, or
nothing was asked."""
NOTHING = ""
PEAK = "peak\nMB"
"""Title of the column that goes first where there is little room."""
TRANSDUCTIVE = "*"
"""Marks methods that see all queries of an episode at once."""
NAMES = " (names)"
"""Marks methods that are told what the classes of an episode are called."""
ORDER_AWARE = "→"
"""Marks methods to which the order of a query's features in time can make a difference."""
RUN_OF_LETTERS = 3
"""So many letters in a row are written as a range."""


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A paired difference between two methods, a fraction; None where there is none."""

    difference: float | None = None
    difference_interval: Interval | None = None
    """95%, over episodes."""
    difference_intervals: Mapping[Kind, Interval] | None = None
    """95%, by what varies in it."""
    difference_predictions: Mapping[Prediction, Interval] | None = None
    """95%, for the difference that is found next time."""
    decided_over: Kind | None = None
    """The widest kind that both support; all that follows is over it."""
    p_value: float | None = None
    """Of no difference: Student's t."""
    p_value_sign_flip: float | None = None
    """The same by permutation: turning the signs of what each class contributes; without what
    trainings add."""
    p_value_corrected: float | None = None
    """``p_value``, corrected for the number of comparisons in the family: step-down max-T."""
    probability_better: float | None = None
    """That it is the better one where all that ``decided_over`` names is drawn anew."""
    smallest: float | None = None
    """The smallest difference that would have been told apart, where it was not."""
    verdict: Verdict = ""
    dominated_by: str | None = None
    """The class, or pair, that carries more than half of the variance, if one does."""


@dataclass(frozen=True, kw_only=True)
class Declared(Versus):
    """A comparison that was declared before the study was run."""

    method: str
    """Title of the first method; the second is taken off from it."""
    against: str


def of_runs(value: Callable[[MethodRuns], Any]) -> dict[str, Any]:
    """How a field of `Row` comes from a method's runs, where nothing has to be compared for it."""
    return {"of": value}


def _deviation(one: MethodRuns) -> float | None:
    return None if (seeds := one.trainings) is None or len(seeds.means) < 2 else seeds.deviation


def _range(one: MethodRuns) -> Interval | None:
    means = () if one.trainings is None else one.trainings.means
    return None if len(means) < 2 else (min(means), max(means))


def _device(run: Run) -> str:
    """The same words for one thread, whenever the run was made."""
    return run.circumstances.device.replace(", 1 threads", ", 1 thread")


@dataclass(frozen=True, kw_only=True)
class Row(Versus):
    """A method's figures on one bank. Accuracies and differences are fractions.

    The difference is to the reference; the reference itself has none.
    """

    bank: str = field(metadata=of_runs(lambda one: one.first.identity.bank))
    method: str = field(metadata=of_runs(lambda one: one.method))
    revision: int = field(metadata=of_runs(lambda one: one.first.identity.revision))
    trained: bool | None = field(metadata=of_runs(lambda one: one.first.declared.trained))
    """None where there is nothing to train."""
    training: HowTrained | None = field(metadata=of_runs(lambda one: one.training))
    """Recipe, backbone and episodes of its training."""
    seeds: tuple[int, ...] = field(metadata=of_runs(lambda one: one.seeds))
    """Of its trainings: accuracy is the mean over them."""
    seed_deviation: float | None = field(metadata=of_runs(_deviation))
    """Standard deviation of accuracy over seeds; None below two."""
    seed_range: Interval | None = field(metadata=of_runs(_range))
    """Least and greatest accuracy of a seed."""
    trained_words: str = field(metadata=of_runs(lambda one: one.trained))
    """Whether and how it was trained, as tables have it."""
    title: str
    """The method's name, with its training or backbone where the method has several rows."""
    backbone: str | None = field(metadata=of_runs(lambda one: one.backbone))
    frames: str = field(metadata=of_runs(lambda one: one.frames))
    """Which frames it was shown, and how their size was changed; empty if a run does not say."""
    sees: str = field(metadata=of_runs(lambda one: one.first.declared.sees))
    order_aware: bool | None = field(metadata=of_runs(lambda one: one.first.declared.order_aware))
    """Whether the order of a query's features in time can change its score; None if unsaid."""
    reads_names: bool = field(metadata=of_runs(lambda one: one.reads_names))
    """Whether it is given what the classes are called."""
    is_control: bool = field(metadata=of_runs(lambda one: one.is_control))
    same_as: str | None
    """Title of an earlier row whose answers are the same, query by query."""
    episodes: int = field(metadata=of_runs(lambda one: one.first.identity.episodes))
    queries: int = field(metadata=of_runs(lambda one: len(one.first.rows)))
    """Query videos scored, over all episodes."""
    accuracy: float
    interval: Interval
    """95%, over episodes: the convention of the field."""
    intervals: Mapping[Kind, Interval]
    """95%, by what varies in it; only what these runs can tell."""
    predictions: Mapping[Prediction, Interval]
    """95%, for the accuracy that is found next time."""
    group: tuple[str, ...]
    """Letters; methods that share one cannot be told apart. None, where that is not known."""
    episodes_per_s: Speed = field(metadata=of_runs(lambda one: one.first.cost.score_episodes_per_s))
    encode_clips_per_s: Speed = field(
        default=math.nan,  # as older files have it, which lack it
        metadata=of_runs(lambda one: one.first.cost.encode_clips_per_s),
    )
    """The method's own part of a video."""
    embed_clips_per_s: Speed = field(metadata=of_runs(lambda one: one.first.cost.embed_clips_per_s))
    """The backbone; decoding not counted."""
    peak_memory_bytes: int = field(metadata=of_runs(lambda one: one.first.cost.peak_memory_bytes))
    device: str = field(metadata=of_runs(lambda one: _device(one.first)))

    @property
    def widest(self) -> Kind:
        """The widest kind of interval that this row has."""
        return next(kind for kind in reversed(KINDS) if kind in self.intervals)

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same row on another bank."""
        return self.method, self.trained_words, self.backbone, self.frames, self.training

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self) | {"training": self.training and self.training.content()}

    @property
    def name(self) -> str:
        """The title, less what a table has in the columns ``trained`` and ``backbone``."""
        title = self.title.replace(f" ({self.trained_words})", "", 1)
        return title.replace(f" ({self.backbone})", "", 1)


@dataclass(frozen=True)
class Comparison:
    """All methods on one bank, best accuracy first, and the one they are compared with."""

    bank: str
    bank_sha256: str
    reference: str
    """Title of the row that the others are compared with."""
    rows: Sequence[Row]
    declared: Sequence[Declared]
    """The comparisons of a declared family; none if none was declared."""
    comparisons: int
    """How many differences p-values are corrected for."""
    pairs: int
    """How many pairs of methods letters are corrected for; 0 where there are none."""
    base: Kind | None
    """The widest kind of variation, trainings aside; None where only episodes can be told."""
    units: str
    """How many classes and recordings the intervals rest on, and what cannot be told and why."""
    methods: Sequence[MethodRuns] = field(repr=False, compare=False)
    """In the order of ``rows``."""
    variation: Variation = field(repr=False, compare=False)
    """Of the methods' accuracies, in the order of ``rows``."""
    opened: Bank | None = field(repr=False, compare=False)
    """The bank, where it could be rebuilt."""
    failures: Sequence[Failure] = ()
    """Methods that were to be compared, and gave no rows."""

    def of(self, title: str) -> Row | None:
        """Return the row with this title."""
        return next((row for row in self.rows if row.title == title), None)

    def difference(self, one: int, other: int, kind: Kind) -> Estimate | None:
        """Paired difference of two rows' accuracies, first minus second; None if it is unknown."""
        return self.variation.estimate(kind, one, other)

    def _repr_html_(self) -> str:
        """The comparison as a notebook shows it: what decides, and nothing of speed."""
        lines = [{"method": row.title} | cells(self, row) for row in self.rows]
        head = "".join(f"<th>{escape(title)}</th>" for title in lines[0])
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line.values())}</tr>"
            for line in lines
        )
        words = f"{self.bank}, {self.rows[0].episodes:,} episodes"
        return (
            f"<table><caption>{escape(words)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )

    def content(self) -> dict[str, Any]:
        """Return everything as plain values, as ``summary.json`` holds it."""
        return {
            "bank": self.bank,
            "bank_sha256": self.bank_sha256,
            "interval_over": "episodes",
            "level": LEVEL,
            "reference": self.reference,
            "comparisons": self.comparisons,
            "pairs": self.pairs,
            "units": self.units,
            "declared": [asdict(one) for one in self.declared],
            "rows": [row.content() for row in self.rows],
            "failed": [{"method": one.method, "reason": one.reason} for one in self.failures],
        }


def rate(per_s: float) -> str:
    """A speed; nothing where it is not known: rows made elsewhere, features out of the store."""
    return NOTHING if math.isnan(per_s) else f"{per_s:,.0f}"


def marked(row: Row) -> str:
    """The method's name, with what a reader must know of it as marks: `about_marks` says what."""
    transductive = TRANSDUCTIVE if row.sees == "all queries" else ""
    names = NAMES if row.reads_names else ""
    return row.name + transductive + names + (f" {ORDER_AWARE}" if row.order_aware else "")


def heading(row: Row, comparisons: Sequence[Comparison]) -> dict[str, str]:
    """What a row begins with, title -> cell: the method, and what tells it from other rows."""
    rows = [other for one in comparisons for other in one.rows]
    line = {"method": marked(row)}
    if any(other.trained_words != "–" for other in rows):
        line["trained"] = row.trained_words
    if len({other.backbone for other in rows}) > 1:
        line["backbone"] = row.backbone or NOTHING
    return line


def half(interval: Interval) -> str:
    """Half an interval in points."""
    return f"{100 * (interval[1] - interval[0]) / 2:.1f}"


def _over_episodes(row: Row) -> str:
    """Half the interval of an accuracy over episodes; its one end, where all or none is right."""
    low, high = (100 * end for end in row.interval)
    if row.accuracy in {0.0, 1.0} and low < high:
        return f"≥ {low:.2f}" if row.accuracy else f"≤ {high:.2f}"
    return half(row.interval)


def accuracy_cell(row: Row) -> str:
    """Accuracy in per cent and its widest interval."""
    return f"{100 * row.accuracy:.1f} ({ends(row.intervals[row.widest])})"


def ends(interval: Interval | None) -> str:
    """The ends of an interval in per cent; nothing where it is unknown."""
    return NOTHING if interval is None else f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f}"


def seeds_cell(row: Row) -> str:
    """Standard deviation over training seeds, and the range, in per cent."""
    if row.seed_deviation is None or row.seed_range is None:
        return "1 seed" if row.seeds else NOTHING
    low, high = (100 * end for end in row.seed_range)
    return f"{100 * row.seed_deviation:.2f} ({low:.1f} to {high:.1f})"


def difference_cell(row: Row) -> str:
    """Difference to the reference in points."""
    return "reference" if row.difference is None else signed(row.difference)


def decisive_interval(versus: Versus) -> str:
    """The interval that decides on a difference, in points."""
    if versus.decided_over is None:
        return NOTHING
    return points((versus.difference_intervals or {})[versus.decided_over])


def _difference_over_episodes(row: Row) -> str:
    return NOTHING if row.difference_interval is None else half(row.difference_interval)


def verdict_cell(versus: Versus) -> str:
    """What the difference amounts to; beside "undecided" the smallest that would have been told."""
    if versus.smallest is None:
        return versus.verdict
    return f"{versus.verdict} < {100 * versus.smallest:.1f}"


def points(interval: Interval | None) -> str:
    """The ends of a difference's interval in points; nothing where it is unknown."""
    return NOTHING if interval is None else f"{signed(interval[0])} to {signed(interval[1])}"


def signed(fraction: float) -> str:
    """A difference in points with its sign."""
    return f"{'−' if fraction < 0 else '+'}{100 * abs(fraction):.1f}"


def probability(value: float | None) -> str:
    """A probability with three decimals, or that it is below or above all that have them."""
    if value is None:
        return NOTHING
    if value < 0.001:
        return "<0.001"
    return ">0.999" if 0.999 < value < 1 else f"{value:.3f}"


def _shortened(letters: Sequence[str]) -> str:
    """Letters with long runs of the alphabet written as a range: "abcdg" -> "a-dg"."""
    runs: list[str] = []
    for letter in letters:
        if runs and ord(letter) == ord(runs[-1][-1]) + 1:
            runs[-1] += letter
        else:
            runs.append(letter)
    return "".join(f"{run[0]}-{run[-1]}" if len(run) >= RUN_OF_LETTERS else run for run in runs)


def has_letters(one: Comparison) -> bool:
    """Whether there are groups, and few enough to be named by one letter each."""
    return one.pairs > 0 and all(len(letter) == 1 for row in one.rows for letter in row.group)


@dataclass(frozen=True)
class Column:
    """How a figure is shown in tables, LaTeX, ``compare`` and the report."""

    name: str
    """By which ``--columns`` chooses it."""
    title: str
    """With the unit; ``{reference}`` stands for the row that others are compared with."""
    cell: Callable[[Row], str]
    is_shown: Callable[[Comparison], bool] = lambda _: True
    """Whether a comparison has it."""
    where: Literal["everywhere", "compare", "last", "one bank", "costs"] = "everywhere"
    """"compare": in ``compare`` and the report alone; "last": once in a table, after all banks;
    "one bank": there, if there is no other; "costs": in the report's costs alone, where those two
    are as well."""


def _is_decided(one: Comparison) -> bool:
    return one.base is not None and len(one.rows) > 1


COLUMNS = (
    Column("accuracy", "accuracy %", lambda row: f"{100 * row.accuracy:.1f}"),
    Column(
        "interval",
        "interval",
        lambda row: ends(row.intervals.get(row.widest)),
        lambda one: one.base is not None,
    ),
    Column("episodes", "± over\nepisodes", _over_episodes),
    Column(
        "seeds",
        "sd over seeds\n(range)",
        seeds_cell,
        lambda one: any(row.seed_deviation is not None for row in one.rows),
    ),
    Column("difference", "vs {reference}", difference_cell, lambda one: len(one.rows) > 1),
    Column("difference-interval", "its\ninterval", decisive_interval, _is_decided),
    Column(
        "difference-episodes",
        "its ± over\nepisodes",
        _difference_over_episodes,
        lambda one: len(one.rows) > 1,
    ),
    Column("p", "p", lambda row: probability(row.p_value_corrected), _is_decided, "compare"),
    Column("verdict", "verdict", verdict_cell, _is_decided),
    Column("group", "group", lambda row: _shortened(row.group), has_letters, "compare"),
    Column("speed", "scoring\nepisodes/s", lambda row: rate(row.episodes_per_s), where="last"),
    Column("peak", PEAK, lambda row: f"{row.peak_memory_bytes / 1e6:,.0f}", where="one bank"),
    Column(
        "embedding",
        "embedding\nclips/s",
        lambda row: rate(row.embed_clips_per_s),
        lambda one: any(not math.isnan(row.embed_clips_per_s) for row in one.rows),
        "costs",
    ),
    Column(
        "encoding", "encoding\nclips/s", lambda row: rate(row.encode_clips_per_s), where="costs"
    ),
    Column("device", "device", lambda row: row.device, where="costs"),
)
"""What a row shows, first things first: what varies most stands nearest."""


def columns(names: Sequence[str]) -> list[Column]:
    """Return the columns that somebody chose.

    Raises:
        UserError: there is no such column.
    """
    known = {column.name: column for column in COLUMNS}
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"--columns {unknown[0]!r} is not one of {', '.join(known)}")
    return [known[name] for name in names]


def cells(one: Comparison, row: Row | None, *where: str) -> dict[str, str]:
    """Cells of a row on one bank, title -> cell.

    Args:
        one: the bank's comparison.
        row: nothing is shown where the bank lacks it.
        where: which columns, by `Column.where`; those of every table if none is named.
    """
    return {
        column.title.format(reference=one.reference): NOTHING if row is None else column.cell(row)
        for column in COLUMNS
        if column.where in (where or ("everywhere",)) and column.is_shown(one)
    }


def flat(row: Row | Declared) -> dict[str, object]:
    """Every figure of a row under a name of its own, intervals under two."""
    content = asdict(row)
    versus = {one.name: content.pop(one.name) for one in fields(Versus)}
    if training := content.get("training"):
        content["training"] = training.recipe or None
    return flattened(content | versus)


def flattened(content: Mapping[str, Any]) -> dict[str, object]:
    """Return figures by the names of their fields with the ends of each interval apart."""
    found: dict[str, object] = {}
    for key, value in content.items():
        if key.endswith(("intervals", "predictions")):
            link = "over" if key.endswith("intervals") else "of"
            intervals = {f"{key[:-1]} {link} {what}": one for what, one in (value or {}).items()}
        elif key.endswith(("interval", "_range")):
            intervals = {key: value or (None, None)}
        else:
            intervals = {}
            found[key] = " ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, (low, high) in intervals.items():
            found |= {f"{name}_low": low, f"{name}_high": high}
    return found
