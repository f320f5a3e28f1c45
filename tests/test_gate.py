"""``fvbench gate``: its verdicts, its baselines, and the forms in which it speaks."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.gate import Tolerance, assert_not_worse
from bench.gate.verdict import exit_status, judge
from bench.run_directory import Run, find_runs, read_run, write_run
from episodes.errors import UserError
from tests.command import call

OLD = Path(__file__).parent / "runs" / "schema-1"
RUNS = {path.name: read_run(path) for path in find_runs(OLD)}
MACHINE = {"computer": "3f9c", "device": "CPU", "machine": "x86_64 Linux", "threads": 1}


def changed(run: Run, lost: float, gained: float = 0.0) -> Run:
    """The run with fractions of all its answers lost and gained, spread over its episodes."""
    rows = run.rows.copy()
    right = (rows["label"] == rows["prediction"]).to_numpy()
    order = np.random.default_rng(0).permutation(len(rows))
    worse = order[right[order]][: round(lost * len(rows))]
    better = order[~right[order]][: round(gained * len(rows))]
    rows.loc[worse, "prediction"] = (rows.loc[worse, "label"] + 1) % 5
    rows.loc[better, "prediction"] = rows.loc[better, "label"]
    return replace(run, rows=rows)


def timed(run: Run, speed: float, **circumstances: object) -> Run:
    """The run with another speed of scoring, on a known machine."""
    cost = replace(run.cost, score_episodes_per_s=speed)
    return replace(run, cost=cost, circumstances=MACHINE | circumstances)


@pytest.fixture
def new(tmp_path: Path) -> Callable[..., Path]:
    """Write a run of the same two methods, with OTAM replaced."""

    def write(otam: Run | None) -> Path:
        write_run(tmp_path / "new" / "protonet", RUNS["protonet"])
        if otam is not None:
            write_run(tmp_path / "new" / "otam", otam)
        return tmp_path / "new"

    return write


@pytest.mark.parametrize(
    ("lost", "gained", "status"),
    [
        (0, 0, 0),
        (0.02, 0.02, 0),  # another order of rounding: answers change, accuracy does not
        (0.004, 0, 0),  # a sure loss, and a tolerated one
        (0.01, 0, 1),
        (0.015, 0.005, 1),
        (0.10, 0.09, 0),  # a point that 300 episodes cannot tell from none
        (0, 0.05, 0),
    ],
)
def test_a_loss_is_worse_if_it_is_above_the_drop_and_sure(
    new: Callable[..., Path], lost: float, gained: float, status: int
):
    found, text = call("gate", OLD, new(changed(RUNS["otam"], lost, gained)))
    assert found == status
    assert ("WORSE" in text.split("points:")[0]) == (status == 1)


def test_the_drop_decides(new: Callable[..., Path]):
    folder = new(changed(RUNS["otam"], 0.02))
    assert call("gate", OLD, folder, "--drop", "0.03")[0] == 0
    assert call("gate", OLD, folder, "--drop", "0.01")[0] == 1


def test_the_level_decides():
    run = changed(RUNS["otam"], 0.04, 0.02)
    outcomes = [
        judge([RUNS["otam"]], [run], Tolerance(level=level))[0].outcome for level in (0.9, 0.99999)
    ]
    assert outcomes == ["WORSE", "ok"]


def test_a_missing_method_is_found(new: Callable[..., Path]):
    status, text = call("gate", OLD, new(None))
    assert status == 2
    assert "missing" in text


def test_a_worse_method_weighs_more_than_a_missing_one():
    verdicts = judge(list(RUNS.values()), [changed(RUNS["otam"], 0.03)])
    assert {one.outcome for one in verdicts} == {"missing", "WORSE"}
    assert exit_status(verdicts) == 1


def test_a_new_method_is_said_and_passes(new: Callable[..., Path]):
    status, text = call("gate", OLD / "protonet", new(RUNS["otam"]))
    assert status == 0
    assert "the baseline does not have it" in text


@pytest.mark.parametrize("field", ["bank", "bank_sha256", "dtype", "episodes"])
def test_what_cannot_be_compared_is_not(new: Callable[..., Path], field: str):
    other = replace(RUNS["otam"], identity={**RUNS["otam"].identity, field: 7})
    status, text = call("gate", OLD, new(other))
    assert status == 2
    assert f"{field} is" in text


@pytest.mark.parametrize("damage", ["empty", "partial", "schema"])
def test_what_is_not_whole_is_not_compared(new: Callable[..., Path], tmp_path: Path, damage: str):
    folder = new(RUNS["otam"])
    if damage == "partial":
        RUNS["otam"].rows.iloc[:-3].to_parquet(folder / "otam" / "rows.parquet", index=False)
    elif damage == "schema":
        (folder / "otam" / "run.json").write_text('{"schema": 99}')
    else:
        folder = tmp_path / "empty"
        folder.mkdir()
    assert call("gate", OLD, folder)[0] == 2


@pytest.mark.parametrize("options", [("--drop", "1.5"), ("--level", "0"), ("--drop", "-0.1")])
def test_a_tolerance_out_of_range_is_refused(options: tuple[str, str]):
    status, text = call("gate", OLD, OLD, *options)
    assert status == 2
    assert options[1] in text


@pytest.mark.parametrize(
    ("speed", "circumstances", "outcome"),
    [
        (81.0, {}, "ok"),
        (79.0, {}, "SLOWER"),
        (79.0, {"computer": "another"}, "ok"),
        (79.0, {"device": "another"}, "ok"),
        (79.0, {"computer": None}, "ok"),
    ],
)
def test_speed_is_judged_on_the_same_machine_only(
    speed: float, circumstances: dict[str, object], outcome: str
):
    before = timed(RUNS["otam"], 100.0)
    (verdict,) = judge([before], [timed(RUNS["otam"], speed, **circumstances)])
    assert verdict.outcome == outcome
    assert verdict.speed == pytest.approx(speed / 100)


def test_a_speed_timed_for_an_instant_is_not_judged():
    (verdict,) = judge([timed(RUNS["otam"], 90_000.0)], [timed(RUNS["otam"], 9_000.0)])
    assert (verdict.outcome, verdict.speed_judged) == ("ok", False)


def test_forms_for_machines(
    new: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    folder = new(changed(RUNS["otam"], 0.03))
    status, text = call("gate", OLD, folder, "--junit", tmp_path / "gate.xml")
    assert status == 1
    assert "::error title=fvbench gate: otam::" in text
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert "WORSE" in suite.find("testcase[@name='otam']/failure").text
    monkeypatch.delenv("GITHUB_ACTIONS")
    content = json.loads(call("gate", OLD, folder, "--json")[1])
    otam = next(one for one in content["verdicts"] if one["method"] == "otam")
    assert content["exit_status"] == 1
    assert otam["difference"] == pytest.approx(-0.03)
    assert otam["interval"][1] < 0


def test_a_baseline_moves_by_accept_and_says_who_when_and_what(
    new: Callable[..., Path], tmp_path: Path
):
    baseline = tmp_path / "baseline"
    assert call("gate", baseline, OLD)[0] == 2
    assert call("gate", baseline, OLD, "--accept")[0] == 0
    assert call("gate", baseline, OLD)[0] == 0
    worse = new(changed(RUNS["otam"], 0.03))
    assert call("gate", baseline, worse)[0] == 1
    assert call("gate", baseline, worse, "--accept")[0] == 0
    assert call("gate", baseline, worse)[0] == 0
    history = json.loads((baseline / "accepted.json").read_text())["history"]
    assert len(history) == 2
    assert all(one["by"] and one["at"] for one in history)
    assert any("otam on default: WORSE" in change for change in history[1]["changes"])


def test_a_baseline_that_moved_otherwise_is_refused(tmp_path: Path):
    baseline = tmp_path / "baseline"
    call("gate", baseline, OLD, "--accept")
    write_run(baseline / "default" / "otam", changed(RUNS["otam"], 0.03))
    status, text = call("gate", baseline, OLD)
    assert status == 2
    assert "does not vouch for default/otam" in text


def test_a_test_of_another_project(new: Callable[..., Path]):
    assert len(assert_not_worse(OLD, OLD)) == 2
    with pytest.raises(AssertionError, match=r"otam.*WORSE"):
        assert_not_worse(str(OLD), new(changed(RUNS["otam"], 0.01)), drop=0.005)


def test_a_test_of_another_project_is_told_what_was_not_compared(new: Callable[..., Path]):
    with pytest.raises(UserError, match="missing"):
        assert_not_worse(OLD, new(None))


def test_two_runs_of_a_method_are_refused():
    with pytest.raises(UserError, match="two runs of otam"):
        judge([RUNS["otam"]] * 2, [RUNS["otam"]])
