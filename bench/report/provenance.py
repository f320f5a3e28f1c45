"""Where the figures come from: the identity of every run, and how to make them again."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.comparison.frame import Comparison
from bench.report.grid import Cell, Grid
from bench.runs.by_method import MethodRuns
from bench.runs.schema import Circumstances, FeatureIdentity, Input

SHORT = 12
"""Number of digits of a hash in tables; the details have all of them."""


@dataclass(frozen=True)
class Provenance:
    """The identities of runs, and how to make them again."""

    shared: Mapping[str, str]
    """What all runs have in common: name -> value."""
    runs: Grid
    methods: Grid
    """What each method declares."""
    details: Sequence[tuple[str, str]]
    """Title of a run, and everything known of it as JSON."""
    commands: str
    """Commands that reproduce the figures."""
    doubt: str
    """Why they may not reproduce them; empty if there is no reason."""


def provenance(comparisons: Sequence[Comparison]) -> Provenance:
    """Collect what is known of the runs behind comparisons."""
    methods = [one for comparison in comparisons for one in comparison.methods]
    facts = [_facts(one) for one in methods]
    shared = {
        name: value
        for name, value in facts[0].items()
        if all(other[name] == value for other in facts)
    }
    differing = [name for name in facts[0] if name not in shared]
    lines = [[one[name] for name in differing] for one in facts]
    around = [run.circumstances for one in methods for run in one.runs]
    commits = list(dict.fromkeys(one.commit for one in around if one.commit))
    verified = [
        f"fvbench bank verify {one.opened.recipe.name}"
        for one in comparisons
        if one.opened is not None and one.methods[0].first.declared.recipe is None
    ]
    commands = [
        *(f"git checkout {commit}" for commit in commits[:1]),
        "python3 -m pip install -e .",
        *verified,
        *dict.fromkeys(one.command for one in around if one.command),
    ]
    return Provenance(
        shared={name: value for name, value in shared.items() if value},
        runs=Grid("runs", "What differs between the runs", differing, lines),
        methods=_methods(methods),
        details=[
            (f"{one.first.identity.bank}: {one.method}, {one.trained}", _everything(one))
            for one in methods
        ],
        commands="\n".join(commands),
        doubt=_doubt(around, commits),
    )


def _facts(one: MethodRuns) -> dict[str, str]:
    """What identifies the runs of a method, under the same names for every method."""
    identity, around = one.first.identity, one.first.circumstances
    training = one.training.content() if one.training else {}
    features = identity.features or FeatureIdentity(backbone="")
    facts = {
        "bank": identity.bank,
        "method": one.method,
        "bank sha256": _hash(identity.bank_sha256),
        "episodes": f"{identity.episodes:,}",
        "protocol": identity.protocol,
        "way, shot": ", ".join(str(n or "") for n in (identity.way, identity.shot)),
        "revision": identity.revision,
        "trained": one.trained,
        "training": ", ".join(f"{name} {value}" for name, value in training.items()),
        "weights sha256": _hash(identity.weights_sha256),
        "seed": identity.seed,
        "code sha256": _hash(identity.source_sha256),
        "videos sha256": _hash(identity.videos_sha256),
        "backbone": features.backbone,
        "backbone weights sha256": _hash(features.weights_sha256),
        "pretraining of the backbone": one.first.declared.backbone_pretraining,
        "frames": features.sampling,
        "pictures": _pictures(features.input),
        "decoder": features.decoder,
        "dtype": identity.dtype,
        "device": around.device,
        "machine": around.machine,
        "fewshot-video-bench": around.version,
        "commit": _hash(around.commit) + (" and changes" if around.dirty else ""),
        "Python": around.python,
        "packages": ", ".join(f"{name} {version}" for name, version in around.packages.items()),
    }
    return {name: "" if value is None else str(value) for name, value in facts.items()}


def _methods(methods: Sequence[MethodRuns]) -> Grid:
    """A line for each source, with the methods that follow it."""
    followers: dict[tuple[str, str], set[str]] = {}
    for one in methods:
        declared = one.first.declared
        followers.setdefault((declared.source, declared.differs), set()).add(one.method)
    return Grid(
        "methods",
        "What the methods say about themselves",
        ("methods", "source", "how they differ from it"),
        [
            (", ".join(sorted(names)), Cell(source, is_source=True), differs)
            for (source, differs), names in sorted(followers.items(), key=lambda item: min(item[1]))
        ],
    )


def _pictures(spec: Input | None) -> str:
    """How frames are resized and cropped for the backbone."""
    if spec is None:
        return ""
    how = f"short side to {spec.resized or spec.size}"
    if isinstance(spec.resized, tuple):
        how = f"stretched to {spec.resized[0]} x {spec.resized[1]}"
    return f"{how}, centre of {spec.size} x {spec.size}"


def _hash(value: str | None) -> str:
    return (value or "")[:SHORT]


def _everything(one: MethodRuns) -> str:
    """All that is known of the runs of a method, as JSON."""
    runs = [
        {
            "identity": run.identity.content(),
            "declared": run.declared.content(),
            "circumstances": run.circumstances.content(),
        }
        for run in one.runs
    ]
    return json.dumps(runs[0] if len(runs) == 1 else runs, indent=1, ensure_ascii=False)


def _doubt(around: Sequence[Circumstances], commits: Sequence[str]) -> str:
    if any(one.dirty for one in around):
        return (
            "Some runs were made with uncommitted changes: their code has no commit, and is known"
            " by its hash alone."
        )
    if len(commits) > 1:
        return f"The runs were made at {len(commits)} commits; the first is named."
    if not commits:
        return "The runs were not made in a clone: their commit is not known."
    if any("--weights" in one.command for one in around):
        return "The weights that --weights names are those whose sha256 is given above."
    return ""


PLACE = re.compile(
    r"'(?:/|[A-Za-z]:\\)[^']*'"  # in quotes, as a shell wants one with a space
    r"|(?:\bfile://|(?<![\w./:…-]))(?:/[^\s/'\"<>,;]+){2,}"
    r"|\b[A-Za-z]:(?:\\[^\s\\'\"<>,;]+){2,}"
)
"""Absolute paths."""


def without_places(text: str) -> str:
    """Replace absolute paths by their last part.

    >>> without_places("fvbench run --data /home/ada/clips --out results/local/run")
    'fvbench run --data …/clips --out results/local/run'
    >>> print(without_places("fvbench run --data '/home/ada/my clips' --out results/local/run"))
    fvbench run --data '…/my clips' --out results/local/run
    """

    def last(match: re.Match[str]) -> str:
        quote = "'" if match[0].startswith("'") else ""
        path = match[0].strip(quote).replace("\\", "/").rstrip("/")
        return f"{quote}…/{path.rpartition('/')[2]}{quote}"

    return PLACE.sub(last, text)
