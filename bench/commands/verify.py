"""``fvbench verify``."""

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.config import refuse
from bench.commands.options import (
    BankOfRun,
    Cache,
    Device,
    Json,
    OwnVideos,
    Plugin,
    print_result,
)

if TYPE_CHECKING:
    from bench.site.rerun import Rerun
    from bench.site.submission import Submission


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
        from bench.machine.device import choose_device
        from bench.machine.progress import Reporter
        from bench.plugins.registry import all_methods
        from bench.site.rerun import rerun as evaluate_again

        seed = secrets.randbelow(2**32) if seed is None else seed
        methods, where = all_methods(), choose_device(device)
        again = evaluate_again(
            submission, rerun, seed, methods, where, Reporter(), weights, backbone
        )
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


def _lines(submission: "Submission", again: "Rerun | None", seed: int | None) -> list[str]:
    from bench.comparison.frame import accuracy_cell, half

    row, identity = submission.comparison.rows[0], submission.run.identity
    lines = [
        f"bank       {row.bank}, drawn anew: {row.episodes:,} episodes, sha256"
        f" {submission.comparison.bank_sha256:.12}…, equal",
        f"rows       {row.queries:,}, one for each query, labels those of the bank; sha256"
        f" {submission.rows_sha256:.12}…, equal",
        f"figures    {row.method}: {accuracy_cell(row)}% over {row.widest}, ±"
        f" {half(row.interval)} over episodes; equal to those stated",
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
