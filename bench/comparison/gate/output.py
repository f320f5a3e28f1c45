"""Verdicts as text, as JUnit XML and as GitHub annotations."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tabulate import tabulate

from bench.comparison.gate.verdict import Change, Tolerance, Verdict
from episodes.atomic import replacing
from episodes.errors import shown


def text(verdicts: Sequence[Verdict], tolerance: Tolerance) -> str:
    """A line for each method, other differences, and the criteria."""
    anchored = any(verdict.since_anchor is not None for verdict in verdicts)
    lines = [
        [
            verdict.method,
            _revisions(verdict),
            verdict.bank,
            f"{verdict.episodes:,}" if verdict.episodes else "",
            "" if math.isnan(verdict.answers_changed) else f"{100 * verdict.answers_changed:.1f}",
            difference(verdict.since_baseline),
            *([difference(verdict.since_anchor)] if anchored else []),
            _speed(verdict),
            ": ".join(filter(None, (verdict.outcome, verdict.reason))),
        ]
        for verdict in verdicts
    ]
    since = ["since anchor"] if anchored else []
    headers = ["method", "revision", "bank", "episodes", "changed %"]
    headers += ["points", *since, "speed", "verdict"]
    body = tabulate(lines, headers=headers, tablefmt="simple", disable_numparse=True)
    drop = f"{100 * tolerance.drop:g}"
    notes = [
        *_grouped("drift", {verdict.method: verdict.drift for verdict in verdicts}),
        *_grouped(
            "changed", {o.method: [field.partition(":")[0] for field in o.code] for o in verdicts}
        ),
        f"points: accuracy now minus before, and its {100 * tolerance.level:g}% interval over"
        " episodes, paired; over trainings too where weights differ.",
        f"ok: the interval is above −{drop}. WORSE: it is below, and the loss is significant after"
        " Holm's correction for all methods. undecided: neither.",
        "speed: of scoring, now / before; in brackets where it is not judged: another machine, or"
        " timed for less than a second.",
    ]
    if anchored:
        notes.append(
            "since anchor: the same, from the run that was accepted first, which stays until a run"
            " that is WORSE is accepted; a baseline accepted into a new folder begins without it."
        )
    return "\n".join([body, *notes]) + "\n"


def _grouped(what: str, differences: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each difference, with all methods that have it."""
    methods: dict[str, list[str]] = {}
    for method, of_method in differences.items():
        for found in of_method:
            methods.setdefault(found, []).append(method)
    return [f"{what}: {found} ({', '.join(names)})" for found, names in methods.items()]


def difference(change: Change | None) -> str:
    """The difference in points with its interval; empty where nothing was compared."""
    if change is None:
        return ""
    low, high = (100 * end for end in change.interval)
    return f"{100 * change.difference:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def line(verdict: Verdict) -> str:
    """A verdict in one line."""
    figures = ""
    if verdict.since_baseline is not None:
        figures = f"{difference(verdict.since_baseline)} points over {verdict.episodes:,} episodes"
    if verdict.since_anchor is not None:
        figures += f", {difference(verdict.since_anchor)} since the anchor"
    drift = f"drift: {'; '.join(verdict.drift)}" if verdict.drift else ""
    parts = (verdict.method, _revisions(verdict), f"bank {verdict.bank}", figures)
    return "  ".join(part for part in (*parts, verdict.outcome, verdict.reason, drift) if part)


def _revisions(verdict: Verdict) -> str:
    known = [f"r{r}" for r in (verdict.revision_before, verdict.revision) if r is not None]
    return " → ".join(dict.fromkeys(known))


def _speed(verdict: Verdict) -> str:
    if math.isnan(verdict.speed):
        return ""
    return f"{verdict.speed:.2f}" if verdict.speed_judged else f"({verdict.speed:.2f})"


def write_junit(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write verdicts as JUnit XML: a test case for each method, a suite for the gate."""
    failures = [verdict for verdict in verdicts if verdict.outcome == "WORSE"]
    errors = [verdict for verdict in verdicts if verdict.outcome == "undecided"]
    suite = ElementTree.Element(
        "testsuite",
        name="fvbench gate",
        tests=str(len(verdicts)),
        failures=str(len(failures)),
        errors=str(len(errors)),
    )
    for verdict in verdicts:
        case = ElementTree.SubElement(
            suite, "testcase", classname=shown(verdict.bank), name=shown(verdict.method)
        )
        kind = "failure" if verdict in failures else "error" if verdict in errors else "system-out"
        ElementTree.SubElement(case, kind).text = shown(line(verdict))
    ElementTree.indent(suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        ElementTree.ElementTree(suite).write(unfinished, encoding="utf-8", xml_declaration=True)


def annotations(verdicts: Sequence[Verdict]) -> str:
    """Workflow commands by which GitHub shows failures in a pull request."""
    levels = {"WORSE": "error", "undecided": "error", "new": "warning"}
    return "".join(
        f"::{levels[verdict.outcome]} title=fvbench gate%3A"
        f" {_message(verdict.method).replace(':', '%3A').replace(',', '%2C')}"
        f"::{_message(line(verdict))}\n"
        for verdict in verdicts
        if verdict.outcome in levels
    )


def _message(text: str) -> str:
    """Escape a message for a workflow command: a line break would begin another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
