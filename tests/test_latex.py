"""LaTeX of a comparison: what is bold, underlined and marked, and what a reader may choose."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.comparison.frame import COLUMNS
from bench.comparison.latex import BETTER, WORSE, latex
from bench.comparison.summary import compare
from bench.runs.directory import write_run
from episodes.errors import UserError
from tests.command import call, succeeds
from tests.test_tables import RUNS, made_run


def rows_of(text: str) -> dict[str, list[str]]:
    """Method -> cells of the table's body."""
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    lines = [line.removesuffix(r" \\").split(" & ") for line in body.strip().splitlines()]
    return {line[0]: line[1:] for line in lines}


def test_the_best_is_bold_and_the_second_underlined_on_every_bank():
    others = [made_run("otam", 0.3, "hard", seed=4), made_run("protonet", 0.5, "hard", seed=5)]
    comparisons = compare([*RUNS, *others])
    rows = rows_of(latex(comparisons, ["accuracy"]))
    for place, one in enumerate(comparisons):
        ranked = sorted(one.rows, key=lambda row: -row.accuracy)
        best, second, *rest = (rows[row.method][1 + place] for row in ranked)
        assert best.startswith(r"\textbf{")
        assert second.startswith(r"\underline{")
        assert not any("{" in cell for cell in rest)


def test_a_dagger_is_a_verdict_and_nothing_else():
    (comparison,) = compare(RUNS)
    verdicts = {"otam": "better", "learned": "worse", "protonet": ""}
    rows = [replace(row, verdict=verdicts[row.method]) for row in comparison.rows]
    cells = rows_of(latex([replace(comparison, rows=rows)], ["accuracy"]))
    assert cells["otam"][1].endswith(BETTER)
    assert cells["learned"][1].endswith(WORSE)
    assert "dagger" not in cells["protonet"][1]


def test_the_caption_says_over_what_intervals_are():
    (unknown,) = compare(RUNS)
    rows = [
        replace(row, intervals={**row.intervals, "videos": row.interval}) for row in unknown.rows
    ]
    wide = replace(unknown, base="videos", rows=rows, comparisons=2)
    assert "over other episodes of the same videos. Best" in latex([unknown])
    assert "dagger" not in latex([unknown])
    assert "Differences" not in latex(compare([made_run("otam", 0.6)]))
    assert "over the widest of videos, classes and trainings that the runs support. Best" in latex(
        [wide]
    )
    assert "or over episodes where they support none. Best" in latex([unknown, wide])
    assert BETTER in latex([unknown, wide])
    controls = latex([replace(wide, comparisons=0)])  # nothing but a control beside the reference
    assert "dagger" not in controls
    assert "comparison" not in controls


def test_columns_caption_and_label_are_the_readers(tmp_path: Path):
    for run in RUNS:
        write_run(tmp_path / run.identity.method, run)
    wanted = ("--columns", "accuracy,p,speed", "--caption", "Ours", "--label", "tab:ours")
    said = succeeds("tables", tmp_path, "--format", "latex", *wanted)
    assert r"\caption{Ours}" in said
    assert r"\label{tab:ours}" in said
    assert all(len(cells) == 4 for cells in rows_of(said).values())  # whether trained, and three
    assert call("tables", tmp_path, "--label", "x")[0] == 2


def test_rows_have_as_many_cells_as_the_table_has_columns():
    text = latex(compare([*RUNS, made_run("otam", 0.3, "hard")]), [one.name for one in COLUMNS])
    (kinds,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    for line in text.partition(r"\toprule")[2].splitlines():
        if line.endswith(r"\\") and "multicolumn" not in line:
            assert line.count("&") == len(kinds) - 1


def test_what_steers_latex_is_escaped():
    (comparison,) = compare([made_run("protonet", 0.5, "50%_of & \\input{x}")])
    text = latex([comparison])
    assert r"50\%\_of \& \textbackslash{}input\{x\}" in text
    assert r"\input{x}" not in text.partition(r"\begin{table}")[2]


def test_an_unknown_column_is_told_with_those_that_there_are():
    with pytest.raises(UserError, match=r"'accurracy' is not one of accuracy, interval"):
        latex(compare(RUNS), ["accurracy"])
