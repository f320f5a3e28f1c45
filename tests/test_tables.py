"""Tables: the same figures in every form."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.comparison.notes import about_verdicts
from bench.comparison.summary import compare
from bench.comparison.tables import render
from bench.report.charts.forest import accuracy_figure
from bench.report.charts.style import save_figure
from bench.runs.directory import find_failures, read_run, read_runs, write_run
from bench.runs.run import ROW_TYPES, Run
from bench.statistics import over_episodes
from episodes.errors import UserError
from tests.synthetic import answered, with_identity


def made_run(
    method: str, hits: float, bank: str = "small", seed: int = 0, **identity: object
) -> Run:
    """A run of 200 episodes on a bank that nobody knows; a fraction of the answers is right."""
    run = answered(method, hits, seed)
    declared = run.declared.changed(trained=False if method == "learned" else None)
    known = {"bank": bank, "bank_sha256": f"hash of {bank}"}
    return replace(with_identity(run, **known | identity), declared=declared)


RUNS = [made_run("protonet", 0.6), made_run("otam", 0.8, seed=1), made_run("learned", 0.3, seed=2)]
COMPARED = compare(RUNS)
RELABELLED = RUNS[0].rows.assign(label=RUNS[0].rows["label"][::-1].to_numpy())


def test_rows_have_the_columns_and_types_that_others_read():
    rows = RUNS[0].rows
    assert dict(rows.dtypes.astype(str)) == ROW_TYPES
    assert rows["episode"].tolist()[:6] == [0, 0, 0, 0, 0, 1]
    assert rows["query"].tolist()[:6] == [0, 1, 2, 3, 4, 0]


def test_rows_of_other_types_and_without_margins_are_read_as_ours(tmp_path: Path):
    answers = RUNS[0].rows.drop(columns="margin")
    write_run(tmp_path, replace(RUNS[0], rows=answers.astype("int64")))
    again = read_run(tmp_path).rows
    pd.testing.assert_frame_equal(again.drop(columns="margin"), answers)
    assert again["margin"].dtype == "float32"
    assert again["margin"].isna().all()


@pytest.mark.parametrize("value", [2**16, 0.5, "x"])
def test_rows_that_no_type_of_ours_holds_are_refused(value: object, tmp_path: Path):
    answers = RUNS[0].rows.astype({"prediction": object if value == "x" else type(value)})
    answers["prediction"] = value
    write_run(tmp_path, replace(RUNS[0], rows=answers))
    with pytest.raises(UserError, match="damaged"):
        read_run(tmp_path)


def test_figures_come_from_the_rows():
    (comparison,) = COMPARED
    row, base = comparison.of("otam"), RUNS[0].episode_accuracy()
    hits = (RUNS[1].rows["label"] == RUNS[1].rows["prediction"]).mean()
    assert row.accuracy == pytest.approx(hits)
    assert row.queries == 1000
    assert row.interval == pytest.approx(over_episodes(RUNS[1].episode_accuracy()).interval())
    expected = over_episodes(RUNS[1].episode_accuracy() - base)
    assert row.difference == pytest.approx(expected.mean)
    assert row.difference_interval == pytest.approx(expected.interval())
    assert [row.method for row in comparison.rows] == ["otam", "protonet", "learned"]
    assert comparison.reference == "protonet"
    assert comparison.of("protonet").difference is None


def test_the_order_of_runs_does_not_matter():
    assert repr(compare(RUNS)) == repr(compare(RUNS[::-1]))  # == is false where a rate is unknown


@pytest.mark.parametrize("other", [RELABELLED, RUNS[0].rows[:-5]])
def test_runs_whose_rows_have_other_labels_are_refused(other: pd.DataFrame):
    otam = made_run("otam", 0.5)
    with pytest.raises(UserError, match=r"protonet and otam cannot be compared.*rows"):
        compare([RUNS[0], replace(otam, rows=other)])


def test_an_absent_reference_is_refused():
    with pytest.raises(UserError, match=r"'absent'.*learned, otam, protonet"):
        compare(RUNS, "absent")


def test_the_terminal_table_shows_every_method_and_what_its_intervals_mean():
    text = render(COMPARED, "terminal")
    for word in ("otam", "untrained", "reference", "not over other videos"):
        assert word in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= max(72, len(text.splitlines()[1]))
    bank = "my-own-videos-5w1s (3 of 9 episodes)"
    head = render(compare([made_run("otam", 0.5, bank)]), "terminal").split("\n---")[0]
    assert head.startswith(f"{bank}\nmethod ")
    assert head.count("videos") == 1


def test_two_banks_stand_side_by_side():
    other = [made_run("otam", 0.5, bank="order"), made_run("protonet", 0.4, bank="order")]
    text = render(compare([*RUNS, *other]), "markdown")
    assert text.splitlines()[0].count("accuracy %") == 2
    assert "| learned" in text
    assert "|\n\n±" in text  # a blank line parts the table from its caption


@pytest.mark.parametrize("width", [80, 120])
def test_banks_that_do_not_fit_beside_each_other_stand_below_one_another(width: int):
    banks = ("default", "default-order", "default-group-disjoint", "default-one-class")
    names = ("protonet", "learned", "matching-networks-fce")
    runs = [made_run(name, 0.5, bank) for bank in banks for name in names]
    comparisons = compare(runs)
    beside = render(comparisons, "terminal", 300)
    assert beside == render(comparisons, "terminal")
    assert beside.count("accuracy %") == 4
    below = render(comparisons, "terminal", width)
    assert max(map(len, below.splitlines())) <= width
    assert [line for line in below.splitlines() if line in banks] == list(banks)
    assert below.count("reference") == 4
    assert below.count("episodes") >= 4


def test_the_speed_of_a_method_that_the_first_bank_lacks_is_not_shown():
    text = render(compare([made_run("protonet", 0.5, "first"), *RUNS]), "markdown")
    assert "memory (the process's, or the GPU's) are those of scoring first." in text
    speeds = {
        line.split("|")[1].strip(): line.split("|")[-2].strip()
        for line in text.splitlines()
        if line.startswith("|")
    }
    assert (speeds["protonet"], speeds["otam"]) == ("1,234", "")


def test_a_bank_named_like_a_column_takes_no_title_from_it():
    for bank in ("small", "scoring", "peak", "its", "method"):
        header = render(compare([made_run("otam", 0.5, bank)]), "markdown").splitlines()[0]
        titles = "method accuracy % ± over episodes scoring episodes/s peak MB"
        assert " ".join(header.replace("|", " ").split()) == titles


def test_latex_escapes_and_keeps_its_signs():
    text = render(compare([made_run("my_method", 0.5), RUNS[0]]), "latex")
    assert r"my\_method" in text
    assert r"$\pm$" in text
    assert r"\toprule" in text
    assert all(line.startswith("%") for line in text.split(r"\end{tabular}")[1].strip().split("\n"))


def test_csv_holds_unrounded_fractions():
    lines = list(csv.DictReader(io.StringIO(render(COMPARED, "csv"))))
    (comparison,) = COMPARED
    assert float(lines[0]["accuracy"]) == comparison.rows[0].accuracy
    assert float(lines[0]["interval_low"]) == comparison.rows[0].interval[0]


def test_unknown_formats_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="'html' is not one of terminal"):
        render(COMPARED, "html")
    with pytest.raises(UserError, match=r"ends in \.png"):
        save_figure(accuracy_figure(COMPARED), tmp_path / "x.gif")


NEWER = '{"schema": 99, "identity": {}}'


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "run.json").unlink(), "has no run.json"),
        (lambda folder: (folder / "rows.parquet").unlink(), "damaged"),
        (lambda folder: (folder / "rows.parquet").write_bytes(b"no"), "damaged"),
        (lambda folder: (folder / "run.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "run.json").write_text(NEWER), "schema 99"),
    ],
)
def test_a_damaged_run_is_refused_by_name(tmp_path: Path, damage, words: str):
    folder = tmp_path / "protonet"
    write_run(folder, RUNS[0])
    damage(folder)
    with pytest.raises(UserError, match=words) as caught:
        read_run(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("content", ['{"a": 1}', '{"schema": 1}', "[]", "no"])
@pytest.mark.parametrize(
    ("name", "read"),
    [("run.json", lambda folder: read_runs([folder])), ("failed.json", find_failures)],
)
def test_nobody_is_told_to_delete_what_another_program_wrote(
    tmp_path: Path, name: str, read: Callable[[Path], object], content: str
):
    write_run(tmp_path / "protonet", RUNS[0])
    file = tmp_path / "theirs" / name
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(UserError, match="not of a run of this program") as why:
        read(tmp_path)
    assert str(file) in str(why.value)
    assert "delete it" not in str(why.value)


def test_an_incomplete_run_is_refused(tmp_path: Path):
    write_run(tmp_path, replace(RUNS[0], rows=RUNS[0].rows[["margin"]]))
    with pytest.raises(UserError, match=r"damaged: .*'episode', 'query', .* not in index"):
        read_run(tmp_path)
    write_run(tmp_path, RUNS[0])
    RUNS[0].rows.iloc[:-3].to_parquet(tmp_path / "rows.parquet", index=False)
    with pytest.raises(UserError, match="not the one that was written"):
        read_run(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_is_the_same_file_every_time(tmp_path: Path, suffix: str):
    for name in ("one", "other"):
        save_figure(accuracy_figure(COMPARED), tmp_path / f"{name}.{suffix}")
    one, other = (tmp_path / f"{name}.{suffix}" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_a_figure_shows_every_method_of_every_bank():
    other = [made_run("otam", 0.5, bank="order"), made_run("protonet", 0.4, bank="order")]
    figure = accuracy_figure(compare([*RUNS, *other]))
    (axes,), (legend,) = figure.axes, figure.legends
    assert {label.get_text() for label in axes.get_yticklabels()} == {"otam", "protonet", "learned"}
    assert [text.get_text() for text in legend.get_texts()] == ["small", "order"]


def test_order_awareness_is_marked_and_explained():
    aware = made_run("otam", 0.8, seed=1)
    aware = replace(aware, declared=aware.declared.changed(order_aware=True))
    text = render(compare([RUNS[0], aware]), "markdown")
    assert "| otam → " in text
    assert "| protonet " in text
    assert "→ order-aware" in text
    assert "→" not in render(COMPARED, "markdown")
    assert r"otam $\rightarrow$" in render(compare([RUNS[0], aware]), "latex")


def test_an_interval_beside_0_without_a_verdict_is_explained():
    (comparison,) = COMPARED
    rows = [
        replace(
            row,
            verdict="undecided",
            decided_over="videos",
            difference_intervals={"videos": (0.01, 0.05)},
        )
        for row in comparison.rows
    ]
    decided = replace(comparison, base="videos", rows=rows)
    assert any("p and verdict are corrected" in note for note in about_verdicts(decided))
    rows = [replace(row, difference_intervals={"videos": (-0.01, 0.05)}) for row in rows]
    assert not any("corrected: it" in note for note in about_verdicts(replace(decided, rows=rows)))
