"""Verdicts for people, for JUnit and for GitHub."""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from tabulate import tabulate

from bench.gate.verdict import FAILURES, NOT_MEASURED, Tolerance, Verdict
from episodes.atomic import replacing


def text(verdicts: Sequence[Verdict], tolerance: Tolerance) -> str:
    """One line for each method, and what they were judged by."""
    lines = [
        [
            one.method,
            _revisions(one),
            one.bank,
            f"{one.episodes:,}" if one.episodes else "",
            difference(one),
            _speed(one),
            f"{one.outcome} {one.reason}".strip(),
        ]
        for one in verdicts
    ]
    headers = ["method", "revision", "bank", "episodes", "points", "speed", "verdict"]
    body = tabulate(lines, headers=headers, tablefmt="simple", disable_numparse=True)
    return (
        f"{body}\npoints: accuracy now minus before, and its {tolerance.level:.0%} interval over"
        f" episodes, paired.\nWORSE: more than {100 * tolerance.drop:g} points lost, and the"
        " interval leaves zero out.\nspeed: of scoring, now / before; in brackets where it is not"
        " judged: another machine, or timed for less than a second.\n"
    )


def difference(one: Verdict) -> str:
    """The difference in points with its interval; empty where nothing was compared."""
    if math.isnan(one.difference):
        return ""
    low, high = (100 * end for end in one.interval)
    return f"{100 * one.difference:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def line(one: Verdict) -> str:
    """A verdict in one line."""
    compared = not math.isnan(one.difference)
    figures = f"{difference(one)} points over {one.episodes:,} episodes" if compared else ""
    parts = (one.method, _revisions(one), f"bank {one.bank}", figures, one.outcome, one.reason)
    return "  ".join(part for part in parts if part)


def _revisions(one: Verdict) -> str:
    known = [f"r{r}" for r in (one.revision_before, one.revision) if r is not None]
    return " → ".join(dict.fromkeys(known))


def _speed(one: Verdict) -> str:
    if math.isnan(one.speed):
        return ""
    return f"{one.speed:.2f}" if one.speed_judged else f"({one.speed:.2f})"


def write_junit(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write verdicts as JUnit XML: a test case for each method, a suite for the gate."""
    failures = [one for one in verdicts if one.outcome in FAILURES]
    errors = [one for one in verdicts if one.outcome in NOT_MEASURED]
    suite = ElementTree.Element(
        "testsuite",
        name="fvbench gate",
        tests=str(len(verdicts)),
        failures=str(len(failures)),
        errors=str(len(errors)),
    )
    for one in verdicts:
        case = ElementTree.SubElement(suite, "testcase", classname=one.bank, name=one.method)
        kind = "failure" if one in failures else "error" if one in errors else "system-out"
        ElementTree.SubElement(case, kind).text = line(one)
    ElementTree.indent(suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        ElementTree.ElementTree(suite).write(unfinished, encoding="utf-8", xml_declaration=True)


def annotations(verdicts: Sequence[Verdict]) -> str:
    """Workflow commands by which GitHub shows what failed beside a pull request."""
    levels = dict.fromkeys(FAILURES | NOT_MEASURED, "error") | {"new": "warning"}
    return "".join(
        f"::{levels[one.outcome]} title=fvbench gate: {one.method}::{line(one)}\n"
        for one in verdicts
        if one.outcome in levels
    )
