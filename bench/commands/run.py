"""``fvbench run``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.config import Config, SaveConfig, refuse_options_of_videos, save_options
from bench.commands.options import (
    Backbone,
    Cache,
    Data,
    Decoder,
    Device,
    Episodes,
    Features,
    Json,
    Plain,
    Plugin,
    Prompt,
    Reference,
    Resize,
    Sampling,
    Text,
    print_comparisons,
    print_result,
)
from episodes.errors import UserError

if TYPE_CHECKING:
    from bench.machine.progress import Reporter
    from bench.running.execute import Executed
    from bench.running.plan import Plan

SOON = 10.0
"""A run forecast to take fewer seconds starts without saying how long it will take."""


def run(
    context: typer.Context,
    config: Config = None,
    save_config: SaveConfig = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Names, separated by commas, with settings in brackets: 'otam[temperature=0.05]';"
            " `all` for all methods, some of which take hours on large maps. Default: those of the"
            " default table and of plugins."
        ),
    ] = None,
    bank: Annotated[
        str | None,
        typer.Option(
            help="Names or recipe files of banks, separated by commas; default: `default`."
        ),
    ] = None,
    data: Data = None,
    episodes: Episodes = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Drop every episode that contains a missing or damaged video, instead of"
            " refusing the bank; the table says how many are left.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the run directories; results/local/run if left out, with the bank and"
            " the number of episodes behind it where they are given."
        ),
    ] = None,
    backbone: Backbone = "motion",
    sampling: Sampling = None,
    resize: Resize = None,
    decoder: Decoder = None,
    features: Features = None,
    text: Text = None,
    prompt: Prompt = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Trained weights: the folder that `fvbench train` wrote; for a single method, a"
            " .safetensors file or a checkpoint of its authors (.pt, .pth); or none, for untrained"
            " methods. Default: the shipped weights, if they fit."
        ),
    ] = None,
    reference: Reference = None,
    seed: Annotated[
        int,
        typer.Option(help="Seed of random weights and guesses of methods.", min=0, max=2**63 - 1),
    ] = 0,
    batch_size: Annotated[
        int, typer.Option(help="Episodes scored at once; changes speed, not results.", min=1)
    ] = 64,
    device: Device = "auto",
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time that a method may take on a bank; one that takes longer counts as failed.",
            min=0.001,
            max=1e9,
        ),
    ] = None,
    plugin: Plugin = None,
    plain: Plain = False,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going", help="Skip plugin files that cannot be imported, and name them."
        ),
    ] = False,
    cache: Cache = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Evaluate nothing; measure for a few seconds, and print what a run would do:"
            " videos to decode and embed, disk, memory, and time by stage and method.",
        ),
    ] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write OUT/report.html too.")
    ] = True,
    json: Json = False,
) -> None:
    """Evaluate methods on a bank and print the comparison.

    Renders or finds the videos, embeds each of them once, scores every episode with every method,
    and writes one run directory for each method: OUT/METHOD/, or OUT/BANK/METHOD/ for several
    banks. What is finished is reused: after an interruption, give the same command again.

    Options can be put into a TOML file, --config; those on the command line take precedence, and
    all others have their defaults. Settings of a method in brackets take precedence over those of
    its trained weights, and these over those of its class.

    exit status
      0  done
      1  a method failed; the table says why, and has the others
      2  nothing measured: bad input, a bank that does not verify, missing data

    Example: fvbench run --methods protonet,otam --episodes 500 --out results/local/try
    """
    save_options(context, save_config)
    out = out or _own_folder(bank, data, episodes)
    from bench.commands.arguments import chosen_banks, shortened
    from bench.features.backbones import backbone_or_features
    from bench.features.text import check_read, text_source
    from bench.machine import distributed
    from bench.machine.device import choose_device
    from bench.machine.progress import Reporter
    from bench.method import Method, find
    from bench.plugins.registry import ALL, DEFAULT_TABLE, all_methods, choose
    from bench.running.execute import execute
    from bench.running.plan import Plan, without_missing
    from bench.weights.assignment import with_weights

    if not dry_run:  # it writes nothing there
        context.with_resource(distributed.joined(out))
    where = choose_device(device)
    if features is not None:
        refuse_options_of_videos(context)
    loaded, given = backbone_or_features(backbone, features, where, sampling, resize, decoder)
    source = text_source(loaded, text, prompt)
    chosen = choose(methods, all_methods(), plain, DEFAULT_TABLE)
    if methods in (None, ALL):
        chosen = [
            method
            for method in chosen
            if (source is not None or not method.cls.needs_text)
            and (given is None or method.cls.sampling == Method.sampling)
        ]
    check_read(chosen, text, prompt)
    if reference is not None:
        names = [method.name for method in chosen]
        if find(reference, all_methods()).name not in names:
            raise UserError(f"--reference {reference} does not run; these do: {', '.join(names)}")
    episodes = shortened(episodes)
    banks = chosen_banks(bank, data, episodes)
    if allow_missing:
        banks = [without_missing(opened, Reporter()) for opened in banks]
    plan = Plan(
        banks=banks,
        methods=with_weights(chosen, weights, loaded.weights_sha256),
        backbone=loaded,
        device=where,
        batch_size=batch_size,
        seed=seed,
        out=out,
        time_limit=time_limit,
        text=source,
        given=given,
    )
    reporter = _announced(plan, dry_run, json)
    if reporter is None:
        return
    executed = execute(plan, reporter)
    if distributed.is_first():
        _show(plan, executed, reference, json, report)
    if executed.failures:
        raise typer.Exit(1)


def _announced(plan: "Plan", dry_run: bool, json: bool) -> "Reporter | None":
    """Say what the backbone has seen, and how long a long run will take.

    Returns:
        what reports the progress of the run; None if the forecast is all that was asked for.
    """
    from bench.commands.forecast import FEW, of_run
    from bench.machine import distributed
    from bench.machine.progress import Reporter
    from bench.running.plan import contamination_of

    notes = (contamination_of(plan.backbone, bank) for bank in plan.banks)
    for note in filter(None, notes if distributed.is_first() else ()):
        typer.echo(f"note: {note}", err=True)
    few = max(len(bank.episodes) for bank in plan.banks) < FEW
    if not dry_run and (few or distributed.size() > 1):
        return Reporter()
    forecast = of_run(plan)
    if dry_run:
        print_result(forecast.content() if json else forecast.table())
        return None
    if forecast.seconds < SOON:
        return Reporter()
    reporter = Reporter(forecast.expected)
    reporter.say(forecast.in_words())
    return reporter


def _show(
    plan: "Plan", executed: "Executed", reference: str | None, json: bool, report: bool
) -> None:
    """Write what follows from the runs: the summary of each bank, the table, the report."""
    from bench.comparison.summary import compare, write_summary
    from bench.runs.directory import read_run

    folders, failures = executed
    runs = [read_run(folder) for folder in folders]
    if reference in {failure.method for failure in failures}:
        reference = None
    comparisons = compare(runs, reference, plan.banks, failures=failures)
    for comparison in comparisons:
        (bank,) = (bank for bank in plan.banks if bank.title == comparison.bank)
        write_summary(plan.bank_folder(bank), comparison)
    print_comparisons(comparisons, failures, "terminal", json)
    if report and comparisons:
        from bench.report.page import write_report

        write_report(plan.out / "report.html", comparisons)
        typer.echo(f"report: {plan.out / 'report.html'}", err=True)


def _own_folder(bank: str | None, data: Path | None, episodes: int | None) -> Path:
    """The default folder, one for each choice of episodes: its runs can be compared."""
    names = [Path(name.strip()).stem for name in (bank or "").split(",") if name.strip()]
    parts = ["run", *names, data.resolve().name if data else "", str(episodes or "")]
    return Path("results/local") / "-".join(filter(None, parts))
