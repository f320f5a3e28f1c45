"""Every output has a figure that is one field of `Row` and one of `COLUMNS`."""

from dataclasses import dataclass, field

import pytest

from bench.api import Results
from bench.comparison import frame, summary
from bench.comparison.frame import Column
from bench.comparison.latex import latex
from bench.comparison.row import Row, of_runs
from bench.comparison.show import rank_table
from bench.comparison.tables import render
from bench.report.sections import costs, ranking
from episodes.banks.bank import open_bank
from tests.test_tables import RUNS


@dataclass(frozen=True, kw_only=True)
class More(Row):
    """What a new line of `Row` amounts to."""

    right_answers: int = field(
        metadata=of_runs(lambda one: int(one.first.rows.eval("label == prediction").sum()))
    )


COLUMN = Column("right", "right\nanswers", lambda row: f"{row.right_answers:,} right")


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch) -> frame.Comparison:
    monkeypatch.setattr(summary, "Row", More)
    monkeypatch.setattr(frame, "COLUMNS", (*frame.COLUMNS, COLUMN))
    return summary.compare(RUNS)[0]


def test_a_new_figure_is_in_every_output(comparison: frame.Comparison):
    rows = comparison.rows
    numbers = [one.right_answers for one in rows]
    assert numbers == [round(one.accuracy * one.queries) for one in rows]
    outputs = {
        **{style: render([comparison], style) for style in ("terminal", "markdown", "latex")},
        "LaTeX of a paper": latex([comparison], ["right"]),
        "compare": rank_table(comparison),
        "notebook": comparison._repr_html_(),
        "report": str(ranking(comparison, "x").lines),
    }
    for name, text in outputs.items():
        assert all(f"{number:,} right" in text for number in numbers), name
    assert "right_answers" in render([comparison], "csv").partition("\n")[0]
    assert [one["right_answers"] for one in comparison.content()["rows"]] == numbers
    table = Results(RUNS, open_bank("default", 5)).table
    assert list(table["right_answers"]) == numbers


def test_a_column_stands_where_it_is_said_to(monkeypatch: pytest.MonkeyPatch):
    (comparison,) = summary.compare(RUNS)
    dear = Column("dear", "dear", lambda row: "very", where="costs")
    monkeypatch.setattr(frame, "COLUMNS", (*frame.COLUMNS, dear))
    assert "very" in str(costs(comparison, "x").lines)
    assert "very" not in str(ranking(comparison, "x").lines)
    assert "very" not in render([comparison], "terminal")


def test_a_column_is_chosen_by_a_name_of_its_own():
    names = [column.name for column in frame.COLUMNS]
    assert len(set(names)) == len(names)
