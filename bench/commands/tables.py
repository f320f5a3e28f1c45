"""``fvbench tables``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.config import refuse
from bench.commands.options import (
    Family,
    Json,
    Plugin,
    Reference,
    Runs,
    print_comparisons,
    print_result,
)

OF_LATEX = ("columns", "caption", "label")
"""Parameters that only tables in LaTeX take."""
PAPER = Path("paper")
"""The word that asks for the paper's tables, in place of a folder."""


def tables(
    context: typer.Context,
    folders: Runs,
    style: Annotated[
        str, typer.Option("--format", help="terminal, markdown, latex or csv.")
    ] = "terminal",
    reference: Reference = None,
    family: Family = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="With latex, columns for each bank, separated by commas, such as"
            " accuracy,interval,verdict; an unknown name lists them all."
        ),
    ] = None,
    caption: Annotated[
        str | None, typer.Option(help="With latex; default: one that names the banks.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="With latex, the label for \\ref.")] = None,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Print the comparison of finished runs.

    Takes run directories and folders that hold some, at any depth. Runs on one bank are compared
    with each other; each bank has columns of its own. With --family the table shows only the
    comparisons that the file names.

    `fvbench tables paper` prints the ablation tables of MASTAF's appendix, published figures beside
    ours, from the runs in the repository if this is a checkout of it, or from the folders named
    after `paper`. Of the options below, it takes --format, --plugin and --json.

    With --format latex, the best figure of a bank is bold, the second underlined, and a dagger says
    that a difference to the reference is told apart.

    exit status
      0  done
      2  nothing to show: no run there, or runs that cannot be compared

    Example: fvbench tables results/local/run --format markdown
    """
    from bench.commands.arguments import read_family
    from bench.comparison.latex import latex
    from bench.comparison.paper import RUNS, paper_lines, render_paper
    from bench.comparison.summary import compare
    from bench.comparison.tables import check_format, render_declared
    from bench.runs.directory import find_failures, read_runs

    check_format(style)
    if folders[0] == PAPER:
        of_runs = ("reference", "family", *OF_LATEX)
        refuse(context, of_runs, "for tables of runs, not for `tables paper`")
        paper = paper_lines(read_runs(folders[1:] or ([RUNS] if RUNS.is_dir() else [])))
        print_result(
            {"lines": [line.content() for line in paper]} if json else render_paper(paper, style)
        )
        return
    in_latex = style == "latex" and not json and family is None
    if not in_latex:
        refuse(context, OF_LATEX, "for --format latex, without --family and --json")
    failures = [failure for folder in folders for failure in find_failures(folder)]
    declared = read_family(family)
    runs = read_runs(folders)
    comparisons = compare(runs, reference, family=declared, failures=failures)
    if in_latex:
        chosen = [name.strip() for name in columns.split(",")] if columns else []
        print_result(latex(comparisons, chosen, caption, label))
    elif declared and not json:
        print_result(render_declared(comparisons, style))
    else:
        print_comparisons(comparisons, failures, style, json)
