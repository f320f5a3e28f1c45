"""The figures of runs, derived from their rows: what tables show and ``summary.json`` holds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.run_directory import Run, dump
from bench.statistics import Estimate, episode_interval, paired_difference
from episodes.atomic import write_text
from episodes.errors import UserError

LEVEL = 0.95


@dataclass(frozen=True)
class Row:
    """A method's figures on one bank. Accuracies and differences are fractions."""

    bank: str
    method: str
    revision: int
    trained: bool | None
    """None where there is nothing to train."""
    sees: str
    episodes: int
    queries: int
    """Query videos scored, over all episodes."""
    accuracy: float
    interval: tuple[float, float]
    """95%, over episodes."""
    difference: float | None
    """To the reference, paired over episodes; None for the reference itself."""
    difference_interval: tuple[float, float] | None
    episodes_per_s: float
    embed_clips_per_s: float
    peak_memory_bytes: int
    device: str


@dataclass(frozen=True)
class Comparison:
    """All methods on one bank, best accuracy first, and the method they are compared with."""

    bank: str
    bank_sha256: str
    reference: str
    rows: Sequence[Row]

    def of(self, method: str) -> Row | None:
        """Return a method's row."""
        return next((row for row in self.rows if row.method == method), None)

    def content(self) -> dict[str, Any]:
        """Return everything as plain values, as ``summary.json`` holds it."""
        return {
            "bank": self.bank,
            "bank_sha256": self.bank_sha256,
            "interval_over": "episodes",
            "level": LEVEL,
            "reference": self.reference,
            "rows": [asdict(row) for row in self.rows],
        }


def compare(runs: Sequence[Run], reference: str | None = None) -> list[Comparison]:
    """Compare runs, those on each bank among themselves.

    Args:
        runs: on one or several banks; each method once on a bank.
        reference: method the others are compared with; protonet or the first by name if None.

    Raises:
        UserError: runs of one bank differ in episodes or dtype, a method occurs twice, or the
            reference is not among them.
    """
    banks: dict[str, list[Run]] = {}
    for run in runs:
        banks.setdefault(run.identity["bank"], []).append(run)
    return [_compare_one(found, reference) for found in banks.values()]


def _compare_one(runs: Sequence[Run], reference: str | None) -> Comparison:
    check_comparable(runs)
    name = _choose_reference(runs, reference)
    base = next(run for run in runs if run.identity["method"] == name)
    rows = [_row(run, None if run is base else base) for run in runs]
    rows.sort(key=lambda row: (-row.accuracy, row.method))
    return Comparison(base.identity["bank"], base.identity["bank_sha256"], name, rows)


def _choose_reference(runs: Sequence[Run], wanted: str | None) -> str:
    names = sorted(run.identity["method"] for run in runs)
    if wanted is not None and wanted not in names:
        raise UserError(
            f"--reference {wanted!r} is not among the runs; there are: {', '.join(names)}"
        )
    return wanted or ("protonet" if "protonet" in names else names[0])


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuse to compare runs of different episodes or dtypes, and say which field differs.

    Raises:
        UserError: naming the field, both values and both methods; or a method that occurs twice.
    """
    first = runs[0]
    names = [run.identity["method"] for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"two runs of {', '.join(twice)} on bank {first.identity['bank']}; a table has one row"
            " for each method: name the folders of one run each"
        )
    for run in runs[1:]:
        for field in ("bank_sha256", "dtype"):
            one, other = first.identity[field], run.identity[field]
            if one != other:
                raise UserError(
                    f"{first.identity['method']} and {run.identity['method']} cannot be compared:"
                    f" {field} is {one} and {other}; run both on one bank with as many episodes"
                )


def _row(run: Run, base: Run | None) -> Row:
    accuracy = episode_interval(run.episode_accuracy(), LEVEL)
    difference: Estimate | None = None
    if base is not None:
        difference = paired_difference(run.episode_accuracy(), base.episode_accuracy(), LEVEL)
    return Row(
        bank=run.identity["bank"],
        method=run.identity["method"],
        revision=run.identity["revision"],
        trained=run.declared["trained"],
        sees=run.declared["sees"],
        episodes=run.identity["episodes"],
        queries=len(run.rows),
        accuracy=accuracy.mean,
        interval=accuracy.interval,
        difference=None if difference is None else difference.mean,
        difference_interval=None if difference is None else difference.interval,
        episodes_per_s=run.cost.score_episodes_per_s,
        embed_clips_per_s=run.cost.embed_clips_per_s,
        peak_memory_bytes=run.cost.peak_memory_bytes,
        device=run.circumstances["device"],
    )


def write_summary(folder: Path, comparison: Comparison) -> None:
    """Write ``summary.json``: derived figures, which may be deleted and made again."""
    write_text(folder / "summary.json", dump(comparison.content()))
