"""``fvbench verify``."""

import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.config import refuse
from bench.commands.options import BankOfRun, Cache, Device, Json, OwnVideos, Plugin, print_result
from episodes.errors import UserError, unknown

if TYPE_CHECKING:
    from bench.method import ConfiguredMethod
    from bench.runs.run import Run
    from bench.site.submission import Submission
    from bench.weights.assignment import MethodWithWeights

MAY_DIFFER = 0.01
"""Fraction of the queries: near ties may be broken differently on another machine."""
CODE = ("revision", "settings", "form", "source_sha256", "features", "harness")
"""Parts of a run's identity that may have changed since without changing a number."""
TASK = ("sees", "needs_text")
"""What a method is given, as its run declares it; tables mark easier tasks, so it must be true."""


@dataclass(frozen=True)
class Rerun:
    """The result of evaluating episodes again."""

    episodes: int
    queries: int
    differing: int
    """Number of queries that are answered differently."""
    changed: Sequence[str]
    """Parts of the run's identity that have changed since."""
    untrue: Sequence[str] = ()
    """What the run declares of its task, and the method does not."""

    @property
    def holds(self) -> bool:
        """Whether task and answers are those of the submission, except for near ties."""
        return not self.untrue and self.differing <= MAY_DIFFER * self.queries


def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File that `fvbench submit` wrote.")],
    rerun: Annotated[
        int, typer.Option(metavar="N", help="Re-evaluate this many of its episodes.", min=0)
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed for choosing those episodes; default: a random one, which is printed.", min=0
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Its trained weights, a file or a folder; default: the shipped ones."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Its backbone, if that needs NAME=WHERE.")
    ] = None,
    bank: BankOfRun = None,
    data: OwnVideos = None,
    device: Device = "auto",
    plugin: Plugin = None,
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Check a run that somebody else packed.

    Takes what `fvbench submit` wrote. Draws the bank anew and compares its hash, checks that the
    rows answer each of its queries once and have its labels, recomputes every figure from the rows
    and compares it with the one stated, and checks the hashes of header and rows. That shows that
    the figures follow from the rows, not that the method gave the rows: with --rerun, that many
    episodes, chosen at random, are evaluated here and compared query by query. The file contains no
    code: give a method that is not built in by --plugin, and trained weights by --weights.

    exit status
      0  it is what it claims to be
      1  it is not; the message says how it differs
      2  cannot tell: its bank, method, weights or videos are not here

    Example: fvbench verify results/local/otam.zip --rerun 100
    """
    from bench.commands.arguments import opener
    from bench.site.submission import RefusedError, unpack

    if not rerun:
        of_rerun = ("seed", "weights", "backbone", "device")
        refuse(context, of_rerun, "for --rerun N, without which nothing is evaluated")
    try:
        submission = unpack(file, opener(bank, data))
    except RefusedError as error:
        print_result({"holds": False, "reason": str(error)} if json else f"refused: {error}")
        raise typer.Exit(1) from error
    again = None
    if rerun:
        seed = secrets.randbelow(2**32) if seed is None else seed
        again = _evaluated_again(submission, rerun, seed, device, weights, backbone)
    holds = again is None or again.holds
    if json:
        content = {
            "rows_sha256": submission.rows_sha256,
            "figures": submission.comparison.content(),
            "rerun": None if again is None else asdict(again) | {"seed": seed},
            "holds": holds,
        }
        print_result(content)
    else:
        print_result("\n".join(_lines(submission, again, seed)))
    if not holds:
        raise typer.Exit(1)


def _evaluated_again(
    submission: "Submission",
    count: int,
    seed: int,
    device: str,
    weights: str | None,
    backbone: str | None,
) -> Rerun:
    """Evaluate random episodes of a checked submission and compare the answers query by query.

    Raises:
        UserError: method, weights, backbone or videos are missing, or the method fails.
    """
    import numpy as np

    from bench.features.backbones import backbones, load_backbone, with_preprocessing_of
    from bench.features.text import text_source
    from bench.machine.device import choose_device
    from bench.machine.progress import Reporter
    from bench.method import find
    from bench.plugins.registry import all_methods
    from bench.running.execute import execute
    from bench.running.plan import Plan
    from bench.runs.directory import read_run
    from bench.runs.schema import FeatureIdentity

    methods, where = all_methods(), choose_device(device)
    run, bank = submission.run, submission.bank
    drawn = np.random.default_rng(seed).permutation(len(bank.episodes))[:count]
    some = bank.only(np.sort(drawn))
    features = run.identity.features or FeatureIdentity(backbone="")
    if backbone is None and features.backbone not in backbones():
        raise unknown("backbone", features.backbone, backbones())
    loaded = with_preprocessing_of(features, load_backbone(backbone or features.backbone, where))
    method = find(run.identity.method, methods)
    prompt = run.identity.text.prompt if run.identity.text else None
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            banks=[some],
            methods=[_as_submitted(run, method, weights, loaded.weights_sha256)],
            backbone=loaded,
            device=where,
            batch_size=64,
            seed=run.identity.seed or 0,
            out=Path(folder),
            text=text_source(loaded, None, prompt),
        )
        done = execute(plan, Reporter())
        if done.failures:
            raise UserError(f"{method.name} failed here: {done.failures[0].reason}")
        again = read_run(done.folders[0])
    before = run.rows[run.rows["episode"].isin(some.numbers)]
    differing = before["prediction"].to_numpy() != again.rows["prediction"].to_numpy()
    changed = [key for key in CODE if getattr(again.identity, key) != getattr(run.identity, key)]
    untrue = [key for key in TASK if getattr(again.declared, key) != getattr(run.declared, key)]
    return Rerun(len(some.episodes), len(differing), int(differing.sum()), changed, untrue)


def _as_submitted(
    run: "Run", method: "ConfiguredMethod", weights: str | None, backbone_sha256: str
) -> "MethodWithWeights":
    """The method with the run's weights, whose settings must be those of the run."""
    from bench.weights.assignment import SHIPPED, UNTRAINED, with_weights
    from episodes.schema import plain

    wanted = run.identity.weights_sha256
    source = UNTRAINED if wanted is None else weights or str(SHIPPED)
    for chosen in with_weights([method], source, backbone_sha256):
        if chosen.sha256 == wanted:
            break
    else:
        raise UserError(
            f"the weights of this run (sha256 {wanted:.12}…) are not in"
            f" {weights or 'those that come with the program'}; name their file or folder with"
            " --weights"
        )
    here, then = plain(asdict(chosen.method.settings)), run.identity.settings
    if here != then:
        raise UserError(f"{method.name} has settings {here} here, and had {then} in this run")
    return chosen


def _lines(submission: "Submission", again: Rerun | None, seed: int | None) -> list[str]:
    from bench.comparison.frame import accuracy_cell, over_episodes

    row, identity = submission.comparison.rows[0], submission.run.identity
    lines = [
        f"bank       {row.bank}, drawn anew: {row.episodes:,} episodes, sha256"
        f" {submission.comparison.bank_sha256:.12}…, equal",
        f"rows       {row.queries:,}, one for each query, labels those of the bank; sha256"
        f" {submission.rows_sha256:.12}…, equal",
        f"figures    {row.method}: {accuracy_cell(row)}% over {row.widest}, ±"
        f" over episodes {over_episodes(row)}; equal to those stated",
        f"method     revision {identity.revision}, code sha256"
        f" {identity.source_sha256!s:.12}…, trained: {row.trained_words}",
    ]
    if again is None:
        return [*lines, "not rerun: --rerun N evaluates N of its episodes here"]
    lines.append(
        f"rerun      {'holds' if again.holds else 'DIFFERS'}: of {again.queries:,} queries of"
        f" {again.episodes:,} episodes (--seed {seed}), {again.differing:,} answered differently"
    )
    if again.untrue:
        lines.append(f"           declared otherwise than by the method: {', '.join(again.untrue)}")
    if again.changed:
        lines.append(f"           not as in the run: {', '.join(again.changed)}")
    return lines
