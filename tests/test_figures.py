"""Charts as files: one for each name, of the runs that were asked for."""

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.text import Text

from bench.api import Chart
from bench.comparison.classes import per_class
from bench.comparison.notes import caption
from bench.comparison.summary import compare
from bench.report.assembly import picture
from bench.report.charts.catalogue import charts, draw
from bench.report.charts.classes import class_chart
from bench.report.charts.curves import SPAN, training_chart
from bench.report.charts.forest import accuracy_figure, accuracy_forest, difference_forest
from bench.report.charts.speed import comparable, front, speed_chart
from bench.report.charts.style import ACCENT, MUTED, NARROW, SECOND, WIDE, inline_svg, save_figure
from bench.runs.directory import find_runs, read_run, write_run
from bench.runs.run import Run
from episodes.errors import UserError
from tests.command import refused, succeeds
from tests.synthetic import CIRCUMSTANCES, COST, answered, trained
from tests.test_tables import RUNS, made_run


def at_speed(
    method: str, hits: float, speed: float, device: str = CIRCUMSTANCES.device, seed: int = 0
) -> Run:
    cost, around = COST.changed(score_episodes_per_s=speed), CIRCUMSTANCES.changed(device=device)
    return replace(made_run(method, hits, seed=seed), cost=cost, circumstances=around)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    for name, hits in (("protonet", 0.4), ("otam", 0.6)):
        write_run(out / name, answered(name, hits))
    return out


@pytest.mark.parametrize("name", sorted({*charts()} - {"training", "transfer"}))
def test_every_chart_is_written(name: str, folder: Path, tmp_path: Path):
    for suffix in ("svg", "png") if name == "accuracy" else ("svg",):
        out = tmp_path / f"{name}.{suffix}"
        succeeds("figures", folder, "--chart", name, "--out", out)
        assert out.stat().st_size > 0


def test_a_name_that_no_chart_has_is_refused(folder: Path, tmp_path: Path):
    said = refused("figures", folder, "--chart", "pie", "--out", tmp_path / "x.svg")
    assert "'pie' is not one of accuracy, banks," in said


def test_what_a_chart_cannot_show_is_said():
    two = [*RUNS, made_run("protonet", 0.4, bank="order")]
    with pytest.raises(UserError, match="shows one bank, the runs are on small, order"):
        draw("speed", compare(two))
    with pytest.raises(UserError, match="classes of bank small are not known here"):
        draw("classes", compare(RUNS))
    with pytest.raises(UserError, match="no run was trained"):
        draw("training", compare(RUNS))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_forest_marks_accuracies_and_both_intervals(width: float, folder: Path):
    (comparison,) = compare([read_run(path) for path in find_runs(folder)])
    (axes,) = accuracy_forest(comparison, width).axes
    marks = [line for line in axes.lines if line.get_marker() == "|"]
    expected = [100 * row.accuracy for row in comparison.rows]
    assert [line.get_xdata()[0] for line in marks] == pytest.approx(expected)
    first = comparison.rows[0]
    bars = [line.get_xdata() for line in axes.lines if line not in marks][:2]
    for bar, kind in zip(bars, ("videos and classes", "episodes"), strict=True):
        assert np.asarray(bar) == pytest.approx(100 * np.array(first.intervals[kind]))


def test_differences_are_coloured_by_what_is_known():
    names = {"protonet": 0.6, "otam": 0.8, "twin": 0.6, "learned": 0.3}
    runs = [answered(name, hits, seed) for seed, (name, hits) in enumerate(names.items())]
    (comparison,) = compare(runs, "protonet")
    (axes,) = difference_forest(comparison).axes
    marks = {line.get_gid(): line.get_color() for line in axes.lines if line.get_gid()}
    colours = {gid.removeprefix("tip ").partition(":")[0]: colour for gid, colour in marks.items()}
    assert colours == {"otam": ACCENT, "twin": MUTED, "learned": SECOND}


def test_a_difference_far_off_stands_at_the_edge_with_its_figure():
    near = [made_run(f"near-{seed}", 0.6, seed=10 + seed) for seed in range(5)]
    (comparison,) = compare([made_run("protonet", 0.62), *near, made_run("far", 0.05, seed=3)])
    (axes,) = difference_forest(comparison).axes
    far = comparison.of("far")
    assert f"−{100 * abs(far.difference or 0):.1f}" in [text.get_text() for text in axes.texts]
    assert axes.get_xlim()[0] > 100 * (far.difference or 0)


@pytest.mark.filterwarnings("error")
def test_methods_that_answer_alike_have_a_chart():
    (comparison,) = compare([made_run("protonet", 0.6), made_run("twin", 0.6)])
    low, high = difference_forest(comparison).axes[0].get_xlim()
    assert low < 0 < high


def test_the_front_is_what_nothing_beats_in_both():
    (comparison,) = compare(RUNS)
    assert [row.title for row in front(comparison.rows)] == ["otam"]  # all equally fast
    (otam, *_) = comparison.rows
    slower = replace(otam, title="as good and slower", episodes_per_s=1.0)
    faster = replace(otam, title="worse and faster", accuracy=0.1, episodes_per_s=1e6)
    found = [row.title for row in front([slower, otam, faster])]
    assert found == ["worse and faster", "otam"]
    (comparison,) = compare([made_run("protonet", 0.6, way=5), made_run("chance", 0.2, way=5)])
    assert [row.title for row in comparable(comparison)] == ["protonet"]


def test_rows_without_a_speed_are_not_on_its_chart():
    runs = [at_speed(name, 0.9, math.nan, "elsewhere") for name in "ab"]
    (comparison,) = compare([made_run("protonet", 0.6), *runs])
    assert [row.title for row in comparable(comparison)] == ["protonet"]


def test_speeds_of_several_devices_are_not_compared():
    elsewhere = at_speed("otam", 0.7, 1234.5, "a GPU")
    (comparison,) = compare([made_run("protonet", 0.6), made_run("twin", 0.5), elsewhere])
    assert [row.title for row in comparable(comparison)] == ["protonet", "twin"]
    named = [text.get_text() for text in speed_chart(comparison).axes[0].texts]
    assert named == ["protonet", "twin"]  # few: all, not the front alone


def test_speeds_of_several_computers_are_not_compared_and_a_table_says_so():
    """Their devices have one name."""
    runs = [made_run(name, 0.7, seed=seed) for seed, name in enumerate(("protonet", "otam", "trx"))]
    here, there = (CIRCUMSTANCES.changed(computer=name) for name in ("here", "there"))
    mixed = [
        replace(run, circumstances=at) for run, at in zip(runs, (here, there, here), strict=True)
    ]
    (comparison,) = compare(mixed)
    assert {row.title for row in comparable(comparison)} == {"protonet", "trx"}
    about = charts()["speed"].caption(comparison)
    assert "Not shown: 1 run on another machine" in about
    assert "hardly better" not in about
    assert "of several computers" in caption([comparison])
    assert "of several computers" not in caption(compare(mixed[::2]))


def test_every_name_on_the_front_is_written_and_covers_no_other():
    runs = [  # close to each other
        at_speed(f"method-{number}", 0.5 + 0.01 * number, 3000.0 - 50 * number, seed=number)
        for number in range(12)
    ]
    (comparison,) = compare([made_run("protonet", 0.3), *runs])
    figure = speed_chart(comparison)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    named = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}
    assert len(named) > 5
    assert {row.title for row in front(comparison.rows)} == set(named)
    for one, other in combinations(named.values(), 2):
        assert not one.overlaps(other)


def test_the_heat_map_has_a_line_for_each_method_and_a_column_for_each_class():
    (comparison,) = compare([answered("otam", 0.8), answered("twin", 0.3, seed=1)])
    (axes,) = class_chart(comparison).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["otam", "twin"]
    classes = per_class(comparison.methods, comparison.opened)
    assert [label.get_text() for label in axes.get_xticklabels()] == [one.name for one in classes]
    expected = [f"{100 * one.accuracy[row]:.0f}" for row in (0, 1) for one in classes]
    assert [text.get_text() for text in axes.texts] == expected


def test_noise_in_a_training_looks_like_noise():
    curve = pd.DataFrame(
        {"step": [0, 1, 2], "episode": [2.0, 1.0, 0.5], "validation_accuracy": [0.77, 0.7705, 0.77]}
    )
    axes = training_chart({"mastaf": [curve]}).axes[0]
    low, high = axes.get_ylim()
    assert high - low == pytest.approx(SPAN)


def test_marks_say_their_names_when_pointed_at(tmp_path: Path):
    (comparison,) = compare([made_run('<b>"', 0.6), made_run("a&b", 0.5)])
    for chart in ("accuracy", "speed"):
        save_figure(draw(chart, [comparison]), tmp_path / "chart.svg")
        svg = (tmp_path / "chart.svg").read_text(encoding="utf-8")
        elements = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")  # noqa: S314
        said = {element.text for element in elements}
        assert {str(words).partition(":")[0] for words in said} == {'<b>"', "a&b"}


@pytest.mark.parametrize(
    ("slowest", "fastest", "width", "most"),
    [(3000, 9000, WIDE, 8), (200, 300, NARROW, 7), (1, 90_000, NARROW, 7), (12, 700, WIDE, 8)],
)
def test_an_axis_of_speeds_has_numbers_wherever_they_lie(
    slowest: float, fastest: float, width: float, most: int
):
    runs = [at_speed(f"method-{speed}", 0.5, speed) for speed in (slowest, fastest)]
    figure = speed_chart(compare(runs)[0], width)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    ticks = [
        label.get_text() for label in axes.get_xticklabels() if low < label.get_position()[0] < high
    ]
    assert 2 <= len(ticks) <= most
    assert len(set(ticks)) == len(ticks)


def test_an_inline_chart_escapes_names_and_keeps_its_ids_apart():
    (comparison,) = compare([made_run("<b>", 0.6), made_run("a&b", 0.5)])
    svg = inline_svg(accuracy_forest(comparison), "one", '<"&')
    assert "<b>" not in svg
    assert 'aria-label="&lt;&quot;&amp;"' in svg
    assert 'id="one-' in svg
    assert 'id="figure_1"' not in svg


def test_where_nothing_is_decided_no_chart_speaks_of_what_it_does_not_show():
    (comparison,) = compare([made_run("otam", 0.6), made_run("protonet", 0.5)])
    assert "()" not in inline_svg(difference_forest(comparison), "one", "x")
    for chart in ("accuracy", "differences"):
        caption = charts()[chart].caption(comparison)
        assert "thin ones" not in caption
        assert "significant" not in caption


def test_the_interval_of_all_right_answers_reaches_down_alone():
    (comparison,) = compare([made_run("oracle", 1.0), made_run("protonet", 0.5)])
    (bars,) = accuracy_figure([comparison]).axes[0].containers
    ends = bars[2][0].get_segments()[0][:, 0]
    assert ends == pytest.approx([100 * end for end in comparison.rows[0].interval])
    assert ends.max() == pytest.approx(100)
    assert ends.min() < 99


def test_the_caption_names_the_widest_interval_that_is_drawn():
    about = charts()["accuracy"].caption
    runs = [answered("protonet", 0.5), answered("otam", 0.6, 1)]
    assert "thin ones over other videos and classes." in about(compare(runs)[0])
    seeds = [trained(answered("trx", 0.6, seed), seed) for seed in (2, 3)]
    words = "videos, classes and trainings, as far as a method's runs support them."
    assert words in about(compare([*runs, *seeds])[0])


@pytest.mark.filterwarnings("error")
def test_letters_are_of_a_font_that_has_them_or_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    figure = Figure()
    figure.text(0.5, 0.5, "ü \U0001d4d0 \U000f1234")  # a script letter, and one of nobody's
    save_figure(figure, tmp_path / "a.svg")
    assert "STIX" in (tmp_path / "a.svg").read_text()
    assert "no installed font has \U000f1234:" in capsys.readouterr().err
    inline_svg(figure, "one", "on a page, in a font of the browser")
    assert not capsys.readouterr().err


def test_fonts_that_were_removed_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gone = FontEntry(fname=str(tmp_path / "gone.ttf"), name="Gone")
    monkeypatch.setattr(fontManager, "ttflist", [gone, *fontManager.ttflist])
    figure = Figure()
    figure.text(0.5, 0.5, "\U0001d4d1")
    save_figure(figure, tmp_path / "a.png")


def test_dollars_in_names_are_no_formulas(tmp_path: Path):
    figures = [Figure() for _ in range(3)]
    for figure in figures:
        figure.text(0.5, 0.5, r"costs $\frac{$ more")
    save_figure(figures[0], tmp_path / "a.svg")
    assert (tmp_path / "a.svg").exists()
    assert "<svg" in Chart(figures[1])._repr_svg_()
    assert picture("of a case", figures[2]).wide.startswith("<img")
