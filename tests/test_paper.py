"""The paper's tables: our runs, published figures beside them, and what is not here."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.comparison.paper import IN_THE_PAPER, TABLES, PaperLine, paper_lines, render_paper
from bench.runs.directory import write_run
from bench.runs.run import Run
from tests.command import call, refused, succeeds
from tests.synthetic import trained, with_identity
from tests.test_compare import RUNS as COMMITTED
from tests.test_compare import flipped

BASE = COMMITTED["protonet"]
"""ProtoNet on 300 episodes of the default bank: its rows stand for a variant's here."""


def made(
    method: str, wrong: int = 0, seed: int | None = None, backbone: str = "tuned", **other: str
) -> Run:
    """A run of a variant in which the first answers are wrong."""
    run = with_identity(flipped(BASE, wrong), method=method)
    if seed is not None:
        return trained(run, seed, backbone=backbone, **other)
    learns = None if method == "mastaf-neighbor" else False
    return replace(run, declared=run.declared.changed(trained=learns))


RUNS = [
    made("mastaf"),
    made("otam", 20),
    *(made("mastaf", 10 + seed, seed) for seed in (0, 1, 2)),
    *(made("mastaf-nores", 90 + seed, seed) for seed in (0, 1, 2)),
    made("mastaf", 30, 0, "frozen"),
    made("mastaf-neighbor"),
]


def line(lines: list[PaperLine], dataset: str, method: str, backbone: str | None) -> PaperLine:
    title = list(TABLES)[-1]
    (found,) = [
        one
        for one in lines
        if (one.table, one.dataset, one.method, one.backbone) == (title, dataset, method, backbone)
    ]
    return found


def test_variants_are_set_beside_the_mastaf_that_was_trained_alike():
    lines = paper_lines(RUNS)
    nores = line(lines, "rendered", "MASTAF-NoRes", "tuned")
    mastaf = line(lines, "rendered", "MASTAF", "tuned")
    assert nores.seeds == mastaf.seeds == 3
    assert nores.row.difference == pytest.approx(nores.row.accuracy - mastaf.row.accuracy)
    assert nores.row.difference < 0
    assert nores.row.decided_over == "videos, classes and trainings"
    assert mastaf.row.difference is None


def test_what_has_no_weights_stands_with_the_frozen_backbone():
    lines = paper_lines(RUNS)
    neighbor = line(lines, "rendered", "MASTAF-Neighbor", "frozen")
    assert (neighbor.seeds, neighbor.row is None) == (0, False)
    assert line(lines, "rendered", "MASTAF-Neighbor", "tuned").row is None


def test_trainings_of_other_kinds_have_lines_of_their_own():
    kinds = [{}, {"recipe": "default-live"}, {"recipe": "default-live", "start": "motion 0a"}]
    runs = [made("mastaf", 10 * place, 0, **kind) for place, kind in enumerate(kinds)]
    text = render_paper(paper_lines(runs), "markdown")
    for words in ("tuned", "tuned, default-live", "tuned, default-live, motion 0a"):
        assert f" rendered, {words} |" in text
    lines = {one.training: one for one in paper_lines(runs) if one.dataset == "rendered"}
    assert set(lines) == {"", "default-live", "default-live, motion 0a"}


def test_a_variant_that_was_not_run_is_not_data_that_is_not_there():
    text = render_paper(paper_lines([made("mastaf", 0, 0)]), "markdown")
    assert re.search(r"MASTAF-NoRes +\| +rendered, tuned \| +not run ", text)
    other = made("mastaf-neighbor")
    features = BASE.identity.features.changed(backbone="another")
    other = with_identity(other, features=features)
    lines = paper_lines([made("mastaf", 0, 0, "frozen"), other])
    assert line(lines, "rendered", "MASTAF-Neighbor", "frozen").row is None


def test_untrained_and_other_runs_are_not_the_papers():
    assert all(one.row is None for one in paper_lines(RUNS[:2]))


@pytest.mark.parametrize(
    ("method", "ucf101", "ssv2", "apart"),
    [
        ("MASTAF-No-Global", 0.894, 0.495, -0.012),
        ("MASTAF-NoML-Mean", 0.899, 0.493, -0.007),
        ("MASTAF-NoRes", 0.889, 0.492, -0.017),
    ],
)
def test_published_figures_are_those_of_the_appendix(
    method: str, ucf101: float, ssv2: float, apart: float
):
    lines = paper_lines([])
    assert line(lines, "UCF101", method, None).published == pytest.approx(ucf101)
    assert line(lines, "SSv2-all", method, None).published == pytest.approx(ssv2)
    assert line(lines, "UCF101", method, None).published_difference == pytest.approx(apart)
    assert line(lines, "UCF101", "MASTAF", None).published == pytest.approx(0.906)


def test_each_table_of_the_appendix_has_its_variant_and_mastaf():
    lines = paper_lines(RUNS)
    for title, methods in TABLES.items():
        found = {one.method for one in lines if one.table == title}
        assert found == {IN_THE_PAPER[method] for method in methods}


def test_what_was_not_run_says_so_and_how_to_fill_it():
    lines = paper_lines(RUNS)
    for style in ("terminal", "markdown", "latex"):
        text = render_paper(lines, style)
        assert text.count("not run") > 10
        for name, lists in (("ucf101", ""), ("ssv2-all", " --lists FOLDER")):
            assert f"fvbench data add {name} --root PATH{lists};" in text
            assert f"--validation {name}-5w1s-val" in text
            assert f"; fvbench tables paper results/runs/{name}" in text


def test_without_runs_the_rendered_data_have_a_command_of_their_own():
    lines = [line for line in paper_lines([]) if line.dataset == "rendered"]
    assert "fvbench run --methods mastaf,mastaf-no-global" in render_paper(lines, "terminal")


def test_the_command_reads_folders(tmp_path: Path):
    for number, run in enumerate(RUNS[2:8]):
        write_run(tmp_path / str(number) / run.identity.method, run)
    text = succeeds("tables", "paper", tmp_path)
    assert "MASTAF-NoRes" in text
    assert "89.4" in text
    lines = json.loads(call("tables", "paper", tmp_path, "--json")[1])["lines"]
    assert {"dataset", "method", "accuracy", "interval", "published"} <= set(lines[0])
    records = list(csv.DictReader(io.StringIO(call("tables", "paper", "--format", "csv")[1])))
    assert {"accuracy", "interval_low", "published_difference"} <= set(records[0])
    figures = {(one["published"], one["published_difference"]) for one in records}
    assert {("0.906", ""), ("0.894", "-0.012")} <= figures


@pytest.mark.parametrize("option", ["columns", "caption", "label", "reference", "family"])
def test_options_of_other_tables_are_refused(option: str):
    status, text = call("tables", "paper", f"--{option}", "x")
    assert (status, text.count("\n")) == (2, 1)
    assert f"--{option}" in text


def test_an_unknown_format_is_refused_before_runs_are_looked_for():
    text = refused("tables", "paper", "absent", "--format", "word")
    assert "one of terminal, markdown, latex, csv" in text
