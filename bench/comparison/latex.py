"""The table of a paper: LaTeX with the best figure bold, the second underlined, and daggers.

A dagger marks a significant difference to the reference, after correction for all comparisons, as
`fvbench compare` decides it. The table needs the package booktabs.
"""

from collections.abc import Sequence

from bench.comparison.frame import Column, Comparison, columns, heading
from bench.comparison.notes import caption, what_varies
from bench.comparison.row import Row
from bench.comparison.tables import distinct
from bench.statistics import LEVEL

USUAL = ("accuracy", "interval", "difference")
BETTER, WORSE = r"$^{\dagger}$", r"$^{\ddagger}$"
SPECIAL = {
    "\\": r"\textbackslash{}",
    **{one: f"\\{one}" for one in "&%#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "<": "$<$",
    ">": "$>$",
    "–": "--",
}


def latex(
    comparisons: Sequence[Comparison],
    chosen: Sequence[str] = (),
    text: str | None = None,
    label: str | None = None,
) -> str:
    r"""Return a ``table`` environment with a row for each method, columns for each bank.

    Args:
        comparisons: one for each bank, at least one.
        chosen: names of columns; `USUAL` if empty.
        text: the caption, in LaTeX; by default, one that names the banks.
        label: for ``\ref``.

    Raises:
        UserError: no such column.
    """
    wanted = columns(chosen or USUAL)
    rows = distinct(comparisons)
    first = list(heading(rows[0], comparisons))
    each = len(wanted)
    spans = range(len(first) + 1, len(first) + len(comparisons) * each + 1, each)
    body = []
    for row in rows:
        line = [_escaped(cell) for cell in heading(row, comparisons).values()]
        for one in comparisons:
            found = next((other for other in one.rows if other.key == row.key), None)
            line += [_cell(column, one, found) for column in wanted]
        body.append(" & ".join(line) + r" \\")
    banks = [rf"\multicolumn{{{each}}}{{c}}{{{_escaped(one.bank)}}}" for one in comparisons]
    rules = [rf"\cmidrule(lr){{{start}-{start + each - 1}}}" for start in spans]
    titles = [*first, *(_title(column, one) for one in comparisons for column in wanted)]
    lines = [
        *(f"% {note}" for note in caption(comparisons).splitlines()),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(comparisons) if text is None else text}}}",
        *([rf"\label{{{label}}}"] if label else []),
        rf"\begin{{tabular}}{{{'l' * len(first)}{'r' * (each * len(comparisons))}}}",
        r"\toprule",
        " & ".join([*([""] * len(first)), *banks]) + r" \\",
        " ".join(rules),
        " & ".join(titles) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _title(column: Column, one: Comparison) -> str:
    title = column.title.format(reference=one.reference).replace("\n", " ")
    return "$p$" if title == "p" else _escaped(title)


def _cell(column: Column, one: Comparison, row: Row | None) -> str:
    if row is None:
        return ""
    text = _escaped(column.cell(row))
    if column.name == "accuracy":
        shown = sorted({f"{100 * other.accuracy:.1f}" for other in one.rows}, key=float)
        if text == shown[-1]:
            text = rf"\textbf{{{text}}}"
        elif text == shown[-2:][0]:
            text = rf"\underline{{{text}}}"
        text += {"better": BETTER, "worse": WORSE}.get(row.verdict, "")
    return text


def _caption(comparisons: Sequence[Comparison]) -> str:
    """The default caption: banks, and what figures and marks mean."""
    banks = ", ".join(
        one.bank
        if one.bank.endswith(" episodes)")
        else f"{one.bank} ({one.rows[0].episodes:,} episodes)"
        for one in comparisons
    )
    words = f"Accuracy in per cent on {banks}; intervals are {LEVEL:.0%}, over"
    words = _escaped(f"{words} {what_varies(comparisons)}.")
    if all(len(one.rows) == 1 for one in comparisons):
        return words
    references = " and ".join(dict.fromkeys(one.reference for one in comparisons))
    words += _escaped(
        f" Best bold, second underlined. Differences to {references} in points, on the same queries"
    )
    if all(one.base is None for one in comparisons):
        return f"{words}; none is tested over other videos or classes."
    if not any(one.comparisons for one in comparisons):
        return f"{words}."
    return (
        f"{words}; {BETTER} better, {WORSE} worse than it after correction for the number of"
        " comparisons."
    )


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(one, one) for one in text)
