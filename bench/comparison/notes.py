"""The notes below tables: what the figures are, and what they leave out."""

from collections.abc import Sequence

from bench.comparison.frame import NAMES, ORDER_AWARE, TRANSDUCTIVE, Comparison, has_letters
from bench.comparison.row import Row, Versus
from bench.statistics import CEILING, LEVEL, UNSEEN
from episodes.errors import counted


def caption(comparisons: Sequence[Comparison]) -> str:
    """All notes of a table, a line each."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    devices = " / ".join(dict.fromkeys(row.device for row in rows))
    counts = ", ".join(
        f"{comparison.bank}: {comparison.rows[0].episodes:,} episodes" for comparison in comparisons
    )
    notes = [
        *about_intervals(comparisons),
        *(note for comparison in comparisons for note in about_verdicts(comparison)),
        *(f"{comparison.bank}: {comparison.units}." for comparison in comparisons),
        f"{counts}. Device: {devices}. Speed and memory (the process's, or the GPU's) are those of"
        f" scoring {comparisons[0].bank}.",
    ]
    circumstances = [
        each.first.circumstances for comparison in comparisons for each in comparison.methods
    ]
    if len({each.computer for each in circumstances if each.computer}) > 1:
        notes.append("Speeds are of several computers, and cannot be compared between them.")
    notes += [note for comparison in comparisons for note in about_runs(comparison)]
    recipes: dict[str, set[str | None]] = {}
    for comparison in comparisons:
        for row, each in zip(comparison.rows, comparison.methods, strict=True):
            found = each.first.declared.training_recipe_sha256
            recipes.setdefault(row.title, set()).add(found)
    if several := [title for title, found in recipes.items() if len(found - {None}) > 1]:
        notes.append(f"{', '.join(several)}: trained by different recipes on different banks.")
    return "\n".join(dict.fromkeys([*notes, *about_marks(rows), *_about_training(rows)]))


def about_intervals(comparisons: Sequence[Comparison]) -> list[str]:
    """Say what varies in the intervals of each column."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    notes = []
    if kinds := list(dict.fromkeys(row.widest for row in rows if row.widest != "episodes")):
        over: str = min(kinds, key=len)
        if len({"classes" in kind for kind in kinds}) > 1:
            over = "videos, and classes where these can vary,"
        mixed = len({"trainings" in kind for kind in kinds}) > 1
        several = " (over trainings where there are several seeds)" if mixed else ""
        notes.append(
            f"interval: {LEVEL:.0%}, for the mean over all {over} that might have been"
            f" drawn{several}; another data set would vary more than that. Differences are paired,"
            " in points."
        )
    notes.append(
        f"± over episodes: half the {LEVEL:.0%} interval over other draws of the same videos, the"
        " convention of the field; not over other videos, classes or trainings."
    )
    if any(row.accuracy > CEILING and "classes" in row.widest for row in rows):
        notes.append(
            f"Above {CEILING:.0%} a rare hard class may not have been drawn: the lower end of an"
            f" interval over classes assumes one more class, with an accuracy of {UNSEEN:.0%}."
        )
    return notes


def about_runs(comparison: Comparison) -> list[str]:
    """Say which methods gave no rows, and where rows differ in frames, prompts or code."""
    notes = [
        f"{each.method} failed on {comparison.bank}: {each.reason}" for each in comparison.failures
    ]
    frames: dict[str, list[str]] = {}
    for row in comparison.rows:
        if row.frames and not row.is_control:  # which sees a single frame
            frames.setdefault(row.frames, []).append(row.title)
    usual = max(frames, key=lambda which: len(frames[which]), default="")
    if others := [f"{w} ({', '.join(names)})" for w, names in frames.items() if w != usual]:
        notes.append(
            f"{comparison.bank}: not all saw the same frames: {'; '.join(others)}, the others"
            f" {usual}. Differences between them are not of the methods alone."
        )
    read: dict[str, list[str]] = {}
    for row, each in zip(comparison.rows, comparison.methods, strict=True):
        if text := each.first.identity.text:
            words = f"{text.source} {text.key:.8}, {text.prompt!r}"
            read.setdefault(words, []).append(row.title)
        if len({run.identity.source_sha256 for run in each.runs} - {None}) > 1:
            notes.append(
                f"{row.title}: its code changed between the runs of its training seeds; run all"
                " seeds anew if that can change an answer."
            )
    if len(read) > 1:
        each_text = "; ".join(f"{words} ({', '.join(names)})" for words, names in read.items())
        notes.append(f"{comparison.bank}: not all read the same text features: {each_text}.")
    return notes


def what_varies(comparisons: Sequence[Comparison]) -> str:
    """Say over what the widest intervals of all rows are."""
    kinds = {row.widest for comparison in comparisons for row in comparison.rows}
    if kinds == {"episodes"}:
        return "other episodes of the same videos"
    words = "the widest of videos, classes and trainings that the runs support"
    return f"{words}, or over episodes where they support none" if "episodes" in kinds else words


def about_verdicts(comparison: Comparison) -> list[str]:
    """Say how many comparisons verdicts are corrected for, and why some are missing."""
    if comparison.base is None or len(comparison.rows) == 1:
        return []
    every: list[Versus] = [*comparison.rows, *comparison.declared]
    family = "declared" if comparison.declared else "controls and duplicates left out"
    notes = []
    if comparison.comparisons:
        notes.append(
            f"{comparison.bank}: verdict: corrected for"
            f" {counted(comparison.comparisons, 'comparison')} ({family}), step-down"
            f" max-T, {1 - LEVEL:.0%}, each over the widest of videos, classes and trainings that"
            " both methods support. undecided < x: not significant; a difference of x points"
            " would have been."
        )
    if any(versus.verdict == "undecided" and _excludes_0(versus) for versus in every):
        notes.append(
            "Each interval is for a single difference, while p and verdict are corrected: it may"
            " leave out 0 although the verdict is undecided."
        )
    if any(versus.verdict == "1 seed" for versus in every):
        notes.append(
            "1 seed: how much trainings vary cannot be told from a single one: no verdict"
            " between it and another trained method, and no letter."
        )
    if dominated := {v.dominated_by: v for v in every if v.dominated_by and v.verdict}:
        names = "; ".join(str(name) for name in dominated)
        notes.append(
            f"One class carries most of the variance of some differences ({names}): their intervals"
            " cover less than they say."
        )
    return notes


def _excludes_0(versus: Versus) -> bool:
    """Whether the decisive interval, which is uncorrected, excludes 0."""
    interval = (versus.difference_intervals or {}).get(versus.decided_over or "episodes")
    return interval is not None and not interval[0] <= 0 <= interval[1]


def about_groups(comparison: Comparison) -> list[str]:
    """Say what the column of groups means, or why there is none."""
    if not comparison.pairs:
        return []
    if not has_letters(comparison):
        return ["Groups that cannot be told apart are too many for letters; --json has them."]
    return [
        "group: methods that share a letter cannot be told apart, after correction for"
        f" {counted(comparison.pairs, 'pair')}."
    ]


def about_marks(rows: Sequence[Row]) -> list[str]:
    """Explain the marks beside the names, those that occur."""
    notes = []
    if any(row.sees == "all queries" for row in rows):
        notes.append(f"{TRANSDUCTIVE} sees all queries of an episode at once (transductive).")
    if any(row.reads_names for row in rows):
        notes.append(
            f"{NAMES.strip()}: is given the class names of an episode; judged against others that"
            " are, unless a declared family asks for more."
        )
    if any(row.order_aware for row in rows):
        notes.append(
            f"{ORDER_AWARE} order-aware: another order of a query's frames can change its score."
        )
    return notes


def _about_training(rows: Sequence[Row]) -> list[str]:
    """Explain the words of the column about training, those that occur."""
    notes = []
    if any(row.trained is False for row in rows):
        notes.append(
            "untrained: the method has weights to learn, which still have their initial values,"
            " mostly random."
        )
    if any(row.training is not None for row in rows):
        notes.append(
            "frozen, tuned: the method was trained on a frozen backbone, or together with it."
            " Accuracy and interval are for the mean over training seeds."
        )
    return notes
