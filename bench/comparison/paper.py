"""The three ablation tables of MASTAF's appendix, and one of all variants, from our own runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from bench.comparison.frame import columns, signed
from bench.comparison.published import published_on
from bench.comparison.row import Row, flattened
from bench.comparison.summary import compare_on_one_bank
from bench.comparison.tables import check_format, csv_text, table
from bench.runs.by_method import MethodRuns, runs_by_method
from bench.runs.directory import RESULTS_FOLDER
from bench.runs.run import Run
from bench.runs.schema import HowTrained

RUNS = RESULTS_FOLDER / "runs"
"""The folder of committed runs."""
REFERENCE = "mastaf"
IN_THE_PAPER = {
    "mastaf": "MASTAF",
    "mastaf-no-global": "MASTAF-No-Global",
    "mastaf-noml-mean": "MASTAF-NoML-Mean",
    "mastaf-nores": "MASTAF-NoRes",
    "mastaf-self": "Only MASTAF-Self",
    "mastaf-cross": "Only MASTAF-Cross",
    "mastaf-neighbor": "MASTAF-Neighbor",
}
"""Our names of the variants -> the paper's."""
FIGURES = (
    *("accuracy", "interval", "intervals", "seed_deviation", "seed_range"),
    *("difference", "difference_interval", "difference_intervals"),
    *("decided_over", "p_value", "p_value_corrected", "smallest", "verdict"),
)
"""Fields of a row in JSON and CSV."""
SHOWN = (
    *("accuracy", "interval", "episodes", "seeds"),
    *("difference", "difference-interval", "p", "verdict"),
)
"""Columns of a row in the other formats."""
TABLES = {
    "Table 1: without the global classification loss": ("mastaf-no-global", "mastaf"),
    "Table 2: the plain mean instead of the meta-learner": ("mastaf-noml-mean", "mastaf"),
    "Table 3: without the residual": ("mastaf-nores", "mastaf"),
    "All of them, and the branches alone": tuple(IN_THE_PAPER),
}


@dataclass(frozen=True)
class PaperDataset:
    """A data set of the tables."""

    title: str
    bank: str
    name: str = ""
    """Our name of it; empty if the paper does not have it."""
    how: str = ""
    """Commands that fill its part of the tables."""


def _how(name: str, add: str = "") -> str:
    return (
        f"fvbench data add {name} --root PATH{add}; fvbench train {' '.join(IN_THE_PAPER)} --recipe"
        f" paper --validation {name}-5w1s-val --backbone NAME --seeds 0,1,2 --out WEIGHTS; fvbench"
        f" run --bank {name}-5w1s-test --methods {','.join(IN_THE_PAPER)} --backbone NAME"
        f" --weights WEIGHTS --out results/runs/{name}; fvbench tables paper results/runs/{name}"
    )


DATASETS = (
    PaperDataset("UCF101", "ucf101-5w1s-test", "ucf101", _how("ucf101")),
    PaperDataset("SSv2-all", "ssv2-all-5w1s-test", "ssv2-all", _how("ssv2-all", " --lists FOLDER")),
    PaperDataset(
        "rendered",
        "default",
        how=f"fvbench run --methods {','.join(IN_THE_PAPER)} --out results/local/paper; fvbench"
        " tables paper results/local/paper",
    ),
)


@dataclass(frozen=True)
class PaperLine:
    """A variant on a data set: what was measured here, and what was published."""

    table: str
    dataset: str
    method: str
    backbone: str | None
    """"frozen" or "tuned", as MASTAF was trained; None where nothing was measured."""
    training: str
    """How its training differs from recipe ``default`` from the shipped backbone; empty if not."""
    published: float | None
    published_difference: float | None
    row: Row | None
    """What was measured; the difference is to MASTAF."""
    comparisons: int
    """Number of variants of the same training that verdicts are corrected for."""

    @property
    def seeds(self) -> int:
        """Number of trainings over which the accuracy is a mean."""
        return 0 if self.row is None else len(self.row.seeds)

    @property
    def data(self) -> str:
        """The data set, and how MASTAF was trained on it."""
        return ", ".join(filter(None, (self.dataset, self.backbone, self.training)))

    def content(self) -> dict[str, Any]:
        """Return plain values."""
        own = {key: value for key, value in vars(self).items() if key != "row"}
        return own | {"seeds": self.seeds} | {key: getattr(self.row, key, None) for key in FIGURES}


def paper_lines(runs: Sequence[Run]) -> list[PaperLine]:
    """Compute every line of every table.

    Args:
        runs: of any methods on any banks; only those of MASTAF and its variants count.
    """
    published = {
        (figure.method, dataset.name): round(figure.accuracy / 100, 6)
        for dataset in DATASETS
        for figure in published_on(dataset.name)
        if "MASTAF (WACV 2023) appendix" in figure.source
    }
    measured = [
        (dataset, training, rows)
        for dataset in DATASETS
        for training, rows in _measured(dataset, runs)
    ]
    measured.sort(key=lambda found: not found[2])  # data sets with runs first
    lines = []
    for table_title, (dataset, training, rows) in product(TABLES, measured):
        recipe = "" if training.recipe == "default" else training.recipe
        chosen = (training.start, training.sampling, training.resize)
        base = published.get((IN_THE_PAPER[REFERENCE], dataset.name))
        for method in TABLES[table_title]:
            theirs = published.get((IN_THE_PAPER[method], dataset.name))
            apart = None
            if theirs is not None and base is not None and method != REFERENCE:
                apart = round(theirs - base, 6)
            lines.append(
                PaperLine(
                    table=table_title,
                    dataset=dataset.title,
                    method=IN_THE_PAPER[method],
                    backbone=training.backbone,
                    training=", ".join(
                        filter(None, [recipe, *(str(choice or "") for choice in chosen)])
                    ),
                    published=theirs,
                    published_difference=apart,
                    row=rows.get(method),
                    comparisons=sum(row.p_value_corrected is not None for row in rows.values()),
                )
            )
    return lines


def _measured(
    dataset: PaperDataset, runs: Sequence[Run]
) -> list[tuple[HowTrained, Mapping[str, Row]]]:
    """Rows by method, for each way in which MASTAF was trained on a data set."""
    family = [
        run
        for run in runs
        if run.identity.bank == dataset.bank and run.identity.method in IN_THE_PAPER
    ]
    methods = runs_by_method(family) if family else []
    measured: list[tuple[HowTrained, Mapping[str, Row]]] = []
    for reference in methods:
        if reference.method == REFERENCE and reference.training is not None:
            alike = [
                run for method in methods if _belongs(method, reference) for run in method.runs
            ]
            rows = {row.method: row for row in compare_on_one_bank(alike, REFERENCE).rows}
            measured.append((reference.training, rows))
    return measured or [(HowTrained(), {})]


def _belongs(method: MethodRuns, reference: MethodRuns) -> bool:
    """Whether a method was trained alike. One without weights belongs to the frozen backbone."""
    if method.backbone != reference.backbone or method.frames != reference.frames:
        return False
    if method.training is None:
        frozen = reference.training is not None and reference.training.backbone == "frozen"
        return frozen and method.first.declared.trained is None
    return method.training == reference.training


def render_paper(lines: Sequence[PaperLine], style: str) -> str:
    """Render the tables one below the other.

    Args:
        lines: as `paper_lines` gives them.
        style: a name in `FORMATS`.

    Raises:
        UserError: no such format.
    """
    check_format(style)
    if style == "csv":
        return csv_text([flattened(line.content()) for line in lines])
    heading = {"terminal": "", "markdown": "### ", "latex": "% "}[style]
    parts = []
    for title in TABLES:
        cells = [_cells(line) for line in lines if line.table == title]
        body = table(list(cells[0]), [list(line.values()) for line in cells], "", style)
        parts.append(f"{heading}{title}\n\n{body.rstrip()}\n")
    separator = "\n\n" if style == "markdown" else "\n"
    mark = "% " if style == "latex" else ""
    notes = separator.join(mark + note for note in _notes(lines))
    return "\n".join([*parts, f"{notes}\n"])


def _cells(line: PaperLine) -> dict[str, str]:
    """Title of each column -> cell."""
    row = line.row
    cells = {"variant": line.method, "data": line.data}
    for column in columns(SHOWN):
        if column.name == "seeds":
            cells["seeds"] = "" if row is None else str(line.seeds or "–")
        title = column.title.format(reference=IN_THE_PAPER[REFERENCE])
        cells[title] = "" if row is None else column.cell(row)
    if row is None:
        cells["accuracy %"] = "not run"
    apart, theirs = line.published_difference, line.published
    return cells | {
        "published": "" if theirs is None else f"{100 * theirs:.1f}",
        "published\nvs MASTAF": "" if apart is None else signed(apart),
    }


def _notes(lines: Sequence[PaperLine]) -> list[str]:
    """Say what the figures are, and how to fill those that are missing."""
    counts = {line.data: line.comparisons for line in lines if line.row is not None}
    family = "; ".join(f"{data}: {count}" for data, count in counts.items()) or "none yet"
    missing = {line.dataset for line in lines if line.backbone is None}
    return [
        "interval: 95%, for the mean over videos, classes and, where there are several seeds,"
        " trainings. ± over episodes: half the 95% interval over other draws of the same videos,"
        " the convention of the field. vs MASTAF: paired, in points.",
        f"verdict: corrected for all variants that were trained alike ({family}), step-down max-T,"
        " 5%. undecided < x: not told apart; a difference of x points would have been.",
        "frozen: the methods' own weights were trained on features of the shipped backbone, which"
        " NoML-Mean and Neighbor have none of; tuned: the backbone was trained too.",
        "published: the appendix of MASTAF (WACV 2023), backbone not stated there; another data"
        " set and another protocol than ours.",
        *(
            f"{dataset.title}: not run; to fill it: {dataset.how}"
            for dataset in DATASETS
            if dataset.title in missing
        ),
    ]
