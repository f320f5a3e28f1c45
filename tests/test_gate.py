"""``fvbench gate``: its verdicts, its baselines, and the forms in which it speaks."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bench import assert_not_worse
from bench.comparison.gate import Tolerance
from bench.comparison.gate.baseline import accept, read_anchor, read_baseline
from bench.comparison.gate.drift import differences
from bench.comparison.gate.output import annotations, write_junit
from bench.comparison.gate.verdict import Verdict, change, exit_status, judge
from bench.runs.by_method import MethodRuns
from bench.runs.directory import write_failure, write_run
from bench.runs.run import Run
from bench.runs.schema import Circumstances, Failure, FeatureIdentity
from bench.statistics import Estimate, over_episodes
from episodes.errors import UserError
from tests.command import call, killed_at, refused, succeeds
from tests.synthetic import trained, with_identity
from tests.test_compare import OLD, RUNS

MACHINE = Circumstances(computer="3f9c", device="CPU", machine="x86_64 Linux", threads=1)


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
    cost = run.cost.changed(score_episodes_per_s=speed)
    return replace(run, cost=cost, circumstances=MACHINE.changed(**circumstances))


@pytest.fixture
def new(tmp_path: Path) -> Callable[..., Path]:
    """Write a run of the same two methods, with OTAM replaced."""

    def write(otam: Run | None) -> Path:
        write_run(tmp_path / "new" / "protonet", RUNS["protonet"])
        if otam is not None:
            write_run(tmp_path / "new" / "otam", otam)
        return tmp_path / "new"

    return write


def test_a_run_that_lies_twice_on_a_side_is_one_run(new: Callable[..., Path], tmp_path: Path):
    run, baseline = new(RUNS["otam"]), tmp_path / "old"
    write_run(run / "copy" / "otam", RUNS["otam"])
    for place in ("otam", "again/otam", "protonet"):
        write_run(baseline / place, RUNS[Path(place).name])
    for words in ((), ("--accept",)):
        said = succeeds("gate", baseline, run, *words)
        assert said.count("otam") == 1
    write_run(run / "copy" / "otam", changed(RUNS["otam"], 0.1))
    assert "two runs of otam" in refused("gate", baseline, run)


@pytest.mark.parametrize(
    ("lost", "gained", "word", "status"),
    [
        (0, 0, "ok", 0),
        (0.001, 0.001, "ok", 0),  # another order of rounding: few answers change, accuracy does not
        (0.02, 0.02, "undecided", 2),  # many do: 300 episodes cannot tell half a point from none
        (0.004, 0, "undecided", 2),  # it might be a loss of 0.7
        (0.02, 0, "WORSE", 1),
        (0.015, 0.005, "undecided", 2),
        (0.04, 0.01, "WORSE", 1),
        (0.10, 0.09, "undecided", 2),
        (0, 0.05, "ok", 0),
    ],
)
def test_three_words(new: Callable[..., Path], lost: float, gained: float, word: str, status: int):
    found, text = call("gate", OLD, new(changed(RUNS["otam"], lost, gained)))
    assert found == status
    assert word in next(line for line in text.splitlines() if line.startswith("otam"))
    assert ("episodes would decide" in text) == (word == "undecided")


def test_the_number_of_episodes_that_would_decide_does():
    run = changed(RUNS["otam"], 0.02, 0.01)
    (verdict,) = judge([RUNS["otam"]], [run])
    more = verdict.since_baseline.episodes_to_decide
    found = over_episodes(run.episode_accuracy() - RUNS["otam"].episode_accuracy())
    for episodes, outcome in ((1.02 * more, "WORSE"), (0.95 * more, "undecided")):
        error = found.error * (300 / episodes) ** 0.5
        estimate = Estimate(found.mean, error, episodes - 1)
        assert change(estimate, round(episodes), 0.0, Tolerance()).outcome == outcome


def test_a_loss_is_less_sure_among_many_methods():
    # p is 0.014 for the method alone, and 0.11 after correction for eight.
    lossy, fine = changed(RUNS["otam"], 0.02, 0.01), RUNS["otam"]
    others = [with_identity(fine, method=f"m{n}") for n in range(7)]
    alone, *_ = judge([fine], [lossy], Tolerance(drop=0.0))
    among, *_ = judge([fine, *others], [lossy, *others], Tolerance(drop=0.0))
    assert (alone.outcome, among.outcome) == ("WORSE", "undecided")


def test_the_drop_and_the_level_decide():
    run = changed(RUNS["otam"], 0.04, 0.015)
    outcomes = [
        judge([RUNS["otam"]], [run], tolerance)[0].outcome
        for tolerance in (Tolerance(level=0.9), Tolerance(level=0.99999), Tolerance(drop=0.06))
    ]
    assert outcomes == ["WORSE", "undecided", "ok"]


def test_a_missing_method_is_found_and_one_that_failed_with_its_reason(new: Callable[..., Path]):
    folder = new(None)
    assert "missing" in refused("gate", OLD, folder)
    reason = "method otam failed: own words"
    write_failure(folder / "otam", Failure(bank="default", method="otam", reason=reason))
    assert f"undecided: {reason}" in refused("gate", OLD, folder)


def test_a_worse_method_weighs_more_than_a_missing_one():
    verdicts = judge(list(RUNS.values()), [changed(RUNS["otam"], 0.03)])
    assert {one.outcome for one in verdicts} == {"undecided", "WORSE"}
    assert exit_status(verdicts) == 1


def test_a_new_method_is_said_and_passes(new: Callable[..., Path]):
    text = succeeds("gate", OLD / "protonet", new(RUNS["otam"]))
    assert "the baseline does not have it" in text


@pytest.mark.parametrize("field", ["bank", "bank_sha256", "dtype", "episodes"])
def test_what_cannot_be_compared_is_not(new: Callable[..., Path], field: str):
    run, seven = RUNS["otam"], 7 if field == "episodes" else "7"
    other = with_identity(run, **{field: seven})
    if field == "episodes":
        other = replace(other, rows=run.rows[run.rows["episode"] < seven])
    assert f"{field} is" in refused("gate", OLD, new(other))


@pytest.mark.parametrize("options", [("--drop", "1.5"), ("--level", "0"), ("--drop", "-0.1")])
def test_a_tolerance_out_of_range_is_refused(options: tuple[str, str]):
    assert options[1] in refused("gate", OLD, OLD, *options)


@pytest.mark.parametrize(
    ("speed", "circumstances", "outcome"),
    [
        (81.0, {}, "ok"),
        (79.0, {}, "WORSE"),
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
    assert ("episodes per second" in verdict.reason) == (outcome == "WORSE")


def test_a_speed_timed_for_an_instant_is_not_judged():
    (verdict,) = judge([timed(RUNS["otam"], 90_000.0)], [timed(RUNS["otam"], 9_000.0)])
    assert (verdict.outcome, verdict.speed_judged) == ("ok", False)


@pytest.mark.parametrize(("old", "new"), [(0.0, 100.0), (100.0, 0.0), (0.0, 0.0)])
def test_a_speed_of_zero_is_not_judged(old: float, new: float):
    anchor = [timed(RUNS["otam"], 0.0)]
    (verdict,) = judge([timed(RUNS["otam"], old)], [timed(RUNS["otam"], new)], anchor=anchor)
    assert (verdict.outcome, verdict.speed_judged) == ("ok", False)


def test_forms_for_machines(
    new: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    folder = new(changed(RUNS["otam"], 0.03))
    status, text = call("gate", OLD, folder, "--junit", tmp_path / "gate.xml")
    assert status == 1
    assert "::error title=fvbench gate%3A otam::" in text
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert "WORSE" in suite.find("testcase[@name='otam']/failure").text
    monkeypatch.delenv("GITHUB_ACTIONS")
    content = json.loads(call("gate", OLD, folder, "--json")[1])
    otam = next(one for one in content["verdicts"] if one["method"] == "otam")
    assert content["exit_status"] == 1
    assert otam["since_baseline"]["difference"] == pytest.approx(-0.03)
    assert otam["since_baseline"]["interval"][1] < 0


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
    assert not (baseline / "anchor").exists()  # the loss was seen, and is meant
    assert all(one["by"] and one["at"] for one in history)
    assert any("otam on default: WORSE" in change for change in history[1]["changes"])


def test_the_record_says_only_what_was_accepted(tmp_path: Path):
    baseline, run = tmp_path / "baseline", tmp_path / "run"
    succeeds("gate", baseline, OLD, "--accept")
    write_run(run, with_identity(RUNS["otam"], dtype="float16"))
    assert "protonet" not in succeeds("gate", baseline, run, "--accept", "--methods", "otam")
    succeeds("gate", baseline, run, "--accept")
    for accepted in json.loads((baseline / "accepted.json").read_text())["history"][1:]:
        (change,) = accepted["changes"]
        assert change.startswith("otam on default: ")
        assert "none" not in change
        assert "nan" not in change


def test_a_loss_that_is_accepted_takes_the_last_anchor_and_leaves_a_gate(tmp_path: Path):
    baseline = tmp_path / "baseline"
    for lost in (0.0, 0.002, 0.1):
        write_run(tmp_path / "run", changed(RUNS["otam"], lost))
        said = succeeds("gate", baseline, tmp_path / "run", "--accept")
    status, said = call("gate", baseline, tmp_path / "run")
    assert (status, "since anchor" in said) == (0, False), said


def test_a_loss_of_speed_alone_keeps_the_anchor(tmp_path: Path):
    baseline, run = tmp_path / "baseline", RUNS["otam"]
    for lost, speed in ((0.0, 100.0), (0.002, 100.0), (0.002, 10.0)):
        write_run(tmp_path / "run", timed(changed(run, lost), speed))
        succeeds("gate", baseline, tmp_path / "run", "--accept")
    assert "WORSE" in (baseline / "accepted.json").read_text()
    assert list((baseline / "anchor").rglob("run.json"))


def test_json_states_the_status_that_the_command_ends_with_and_the_level_that_was_asked_for(
    new: Callable[..., Path], tmp_path: Path
):
    run = new(changed(RUNS["otam"], 0.1))
    for words, ends in (((), 1), (("--accept",), 0)):
        status, said = call("gate", OLD if not words else tmp_path / "old", run, "--json", *words)
        found = json.loads(said[: said.rindex("}") + 1])
        assert (status, found["exit_status"]) == (ends, ends)
        assert "trainings" in found["interval_over"]
    assert "its 99.99% interval" in call("gate", OLD, run, "--level", "0.9999")[1]


def test_a_baseline_that_moved_otherwise_is_refused(tmp_path: Path):
    baseline = tmp_path / "baseline"
    call("gate", baseline, OLD, "--accept")
    write_run(baseline / "default" / "otam", changed(RUNS["otam"], 0.03))
    assert "does not vouch for default/otam" in refused("gate", baseline, OLD)


def test_a_test_of_another_project(new: Callable[..., Path]):
    assert len(assert_not_worse(OLD, OLD)) == 2
    with pytest.raises(UserError, match="missing"):
        assert_not_worse(OLD, new(None))
    with pytest.raises(AssertionError, match=r"otam.*WORSE"):
        assert_not_worse(str(OLD), new(changed(RUNS["otam"], 0.02)), drop=0.005)


def test_an_anchor_that_cannot_be_compared_is_not_passed_over_in_silence():
    run = RUNS["otam"]
    anchor = with_identity(run, bank_sha256="other")
    assert judge([run], [run], anchor=[run])[0].reason == ""
    found = judge([run], [run], anchor=[anchor])[0]
    assert (found.outcome, found.since_anchor) == ("ok", None)
    assert "anchor" in found.reason


def test_small_steps_are_seen_as_what_they_add_up_to(new: Callable[..., Path], tmp_path: Path):
    baseline = tmp_path / "baseline"
    call("gate", baseline, OLD, "--accept")
    words = []
    for step in range(1, 6):
        folder = new(changed(RUNS["otam"], 0.0045 * step))
        status, text = call("gate", baseline, folder, "--drop", "0.014")
        words.append(next(line for line in text.splitlines() if line.startswith("otam")))
        if step < 5:
            assert status in {0, 2}, text
            assert call("gate", baseline, folder, "--accept", "--drop", "0.014")[0] == 0
    assert "−0.4" in words[4]
    assert "−2.2" in words[4]
    assert "WORSE: since the anchor" in words[4]
    assert status == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("settings", {"temperature": 0.2}),
        ("weights_sha256", "another"),
        ("form", "plain"),
        ("features", {"backbone": "another"}),
        ("features", {"sampling": "linspace"}),
        ("videos_sha256", "other"),
    ],
)
def test_drift_is_told_and_refused_unless_it_is_allowed(tmp_path: Path, field: str, value: object):
    states = {"form": "fast", "settings": {"temperature": 0.1}, "weights_sha256": None}
    states |= {"features": {"backbone": "motion", "sampling": "centres", "source_sha256": "a"}}
    states |= {"videos_sha256": "these", "dataset": "ucf101", "source_sha256": "a"}
    before = with_identity(RUNS["otam"], **states)
    other = {**states[field], **value} if isinstance(value, dict) else value
    after = with_identity(before, **{field: other, "source_sha256": "b"})
    for name, run in (("before", before), ("after", after)):
        write_run(tmp_path / name / "otam", run)
    words = ("gate", tmp_path / "before", tmp_path / "after")
    text = refused(*words)
    assert "--allow-drift" in text
    assert f"drift: {field}" in text
    text = succeeds(*words, "--allow-drift")
    assert f"drift: {field}" in text


def test_a_refactoring_is_told_and_judged():
    codes = {
        "source_sha256": "a",
        "revision": 1,
        "features": {"backbone": "motion", "source_sha256": "a"},
    }
    before = with_identity(RUNS["otam"], **codes)
    features = {"backbone": "motion", "source_sha256": "b"}
    others = {"source_sha256": "b", "revision": 2, "features": features}
    (verdict,) = judge([before], [with_identity(before, **others)])
    assert (verdict.outcome, verdict.drift, len(verdict.code)) == ("ok", (), 3)


@pytest.mark.parametrize(("dataset", "outcome"), [("rendered", "ok"), ("ucf101", "undecided")])
def test_files_without_loss_may_be_read_by_anything(dataset: str, outcome: str):
    reads = [{"backbone": "motion", "decoder": name} for name in ("decord", "av")]
    before, after = (with_identity(RUNS["otam"], dataset=dataset, features=one) for one in reads)
    (verdict,) = judge([before], [after])
    assert verdict.outcome == outcome


def test_given_features_of_rendered_videos_are_not_read_from_pixels():
    given = {"backbone": "motion", "given": True}
    before, after = (
        with_identity(RUNS["otam"], dataset="rendered", features=given, videos_sha256=sha256)
        for sha256 in ("these", "others")
    )
    (verdict,) = judge([before], [after])
    assert verdict.drift == ("videos_sha256: these → others",)


def test_values_are_told_whole_and_hashes_by_their_beginning():
    features = {"backbone": "motion", "source_sha256": "a"}
    sides = [
        RUNS["otam"].identity.changed(
            features=features | {"sampling": f"{n} x linspace"}, weights_sha256=n * 64
        )
        for n in "23"
    ]
    (verdict,) = judge(*([replace(RUNS["otam"], identity=one)] for one in sides))
    assert verdict.drift == (
        "features.sampling: 2 x linspace → 3 x linspace",
        f"weights_sha256: {'2' * 12} → {'3' * 12}",
    )


def test_what_one_side_does_not_state_is_no_drift():
    stated = with_identity(RUNS["otam"], form="plain")
    (verdict,) = judge([RUNS["otam"]], [stated])
    assert (verdict.outcome, verdict.drift) == ("ok", ())


def retrained(seeds: int, weights: str, lost: float) -> list[Run]:
    """OTAM as if it had been trained with several seeds, each of which loses something."""
    runs = []
    for seed in range(seeds):
        run = changed(RUNS["otam"], max(0.0, lost + 0.004 * (seed - (seeds - 1) / 2)))
        runs.append(with_identity(trained(run, seed), weights_sha256=f"{weights}{seed}"))
    return runs


def test_methods_that_were_trained_anew_are_judged_with_the_variance_of_trainings():
    old, same = retrained(3, "a", 0.01), retrained(3, "a", 0.02)
    (of_code,) = judge(old, same)
    (anew,) = judge(old, retrained(3, "b", 0.02), allow_drift=True)
    assert of_code.since_baseline.difference == pytest.approx(anew.since_baseline.difference)
    widths = [
        high - low for low, high in (of_code.since_baseline.interval, anew.since_baseline.interval)
    ]
    assert widths[1] > 1.2 * widths[0]
    (once,) = judge(retrained(1, "a", 0.01), retrained(1, "b", 0.01), allow_drift=True)
    assert once.outcome == "undecided"
    assert "train with several seeds" in once.reason


def test_the_seeds_of_a_training_are_accepted_and_anchored_together(tmp_path: Path):
    """Two of three answer otherwise, then two are trained anew."""
    baseline, old = tmp_path / "baseline", retrained(3, "a", 0.0)
    accept(baseline, old, [])
    accept(baseline, [old[0], *(changed(run, 0.002) for run in old[1:])], [])
    assert [run.seed for run in read_anchor(baseline)] == [0, 1, 2]
    accept(baseline, retrained(2, "b", 0.0), [])
    assert [run.identity.weights_sha256 for run in read_baseline(baseline)] == ["b0", "b1"]
    assert [run.identity.weights_sha256 for run in read_anchor(baseline)] == ["a0", "a1", "a2"]


def test_a_run_that_is_the_baseline_itself_becomes_one_of_its_runs(tmp_path: Path):
    write_run(tmp_path / "baseline", RUNS["otam"])
    for lost in (0.002, 0.003):
        write_run(tmp_path / "run", changed(RUNS["otam"], lost))
        succeeds("gate", tmp_path / "baseline", tmp_path / "run", "--accept")
    assert succeeds("gate", tmp_path / "baseline", tmp_path / "run", "--drop", "0.02")
    (anchor,) = read_anchor(tmp_path / "baseline")
    assert anchor.rows.equals(RUNS["otam"].rows)


def test_other_seeds_hide_no_other_drift():
    other = [with_identity(run, settings={"temperature": 1.0}) for run in retrained(2, "b", 0.0)]
    old = [with_identity(run, settings={"temperature": 0.1}) for run in retrained(3, "a", 0.0)]
    (verdict,) = judge(old, other, allow_drift=True)
    assert verdict.drift == (
        "settings.temperature: 0.1 → 1.0",
        "training.seed: 0, 1, 2 → 0, 1",
    )


def test_tuned_weights_of_other_seeds_are_no_drift_of_the_features():
    """A tuned backbone is part of the weights; other weights of a frozen one are drift."""

    def on(backbone: str, seed: int, weights: str) -> Run:
        features = FeatureIdentity(backbone="motion", weights_sha256=weights)
        run = trained(RUNS["otam"], seed, backbone=backbone)
        return with_identity(run, weights_sha256=weights, features=features)

    for backbone, of_features in (("tuned", ()), ("frozen", ("features.weights_sha256: a → b",))):
        drift = differences(MethodRuns([on(backbone, 0, "a")]), MethodRuns([on(backbone, 1, "b")]))[
            0
        ]
        assert drift == (*of_features, "training.seed: 0 → 1")


def test_a_part_of_a_baseline(new: Callable[..., Path]):
    folder = new(None)
    assert call("gate", OLD, folder)[0] == 2
    assert call("gate", OLD, folder, "--methods", "protonet")[0] == 0
    assert "has no run of them" in refused("gate", OLD, folder, "--methods", "protonet,absent")


def test_rows_of_other_queries_or_labels_are_undecided():
    rows = RUNS["otam"].rows
    half, other = rows.iloc[:750], rows.assign(label=(rows["label"] + 1) % 5)
    for found, words in ((half, "750 rows"), (other, "labels")):
        (verdict,) = judge([RUNS["otam"]], [replace(RUNS["otam"], rows=found)])
        assert (verdict.outcome, words in verdict.reason) == ("undecided", True)


def test_a_name_of_a_bank_gives_no_command_and_breaks_no_file(tmp_path: Path):
    verdict = Verdict("otam", "b\n::warning::x%\x1b\x00", "undecided", "why", 1, 1)
    (line,) = annotations([verdict]).splitlines()
    assert "%0A::warning::x%25" in line
    write_junit(tmp_path / "gate.xml", [verdict])
    case = ElementTree.parse(tmp_path / "gate.xml").find("testcase")  # noqa: S314 - our own
    assert case.get("classname") == "b\n::warning::x%\\x1b\\x00"


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("method", "../../up"),
        ("method", "/etc/up"),
        ("bank", "../up"),
        ("bank", "a/b"),
        ("bank", "a\x1b[2J"),
        ("training", {"recipe": "../../up", "seed": 0, "backbone": "frozen", "episodes": 1}),
    ],
)
def test_a_run_that_would_be_accepted_into_another_folder_is_refused(
    tmp_path: Path, field: str, name: object
):
    run = RUNS["otam"]
    write_run(tmp_path / "run", with_identity(run, **{field: name}))
    said = refused("gate", tmp_path / "baseline", tmp_path / "run", "--accept")
    assert "is not a name of" in said
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert not (tmp_path / "baseline").exists()


def test_a_method_that_the_run_does_not_have_is_not_accepted(tmp_path: Path):
    status, said = call("gate", tmp_path / "baseline", OLD, "--accept", "--methods", "otam,trx")
    assert (status, said.count("\n")) == (2, 1)
    assert "--methods trx: " in said
    assert not (tmp_path / "baseline").exists()


def test_what_a_full_disk_left_of_a_first_acceptance_is_no_run(tmp_path: Path):
    baseline = tmp_path / "baseline"
    call("gate", baseline, OLD, "--accept")
    for name in ("accepted.json", "default/otam/run.json"):  # written after the rows
        (baseline / name).unlink()
    assert call("gate", baseline, OLD, "--accept")[0] == 0
    assert call("gate", baseline, OLD)[0] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a fork")
def test_an_acceptance_that_is_killed_leaves_the_old_baseline_or_the_new_one(tmp_path: Path):
    baseline = tmp_path / "baseline"
    runs = [changed(run, 0.1) for run in RUNS.values()]
    answers = []
    for kill in range(20):
        shutil.rmtree(baseline, ignore_errors=True)
        accept(baseline, list(RUNS.values()), [])
        ended = killed_at(kill, lambda: accept(baseline, runs, []))
        found = {run.identity.method: run.rows["prediction"] for run in read_baseline(baseline)}
        whole = [
            all(found[run.identity.method].equals(run.rows["prediction"]) for run in version)
            for version in (RUNS.values(), runs)
        ]
        assert any(whole), f"killed at step {kill}"
        answers.append(whole[1])
        if not ended:
            break
    assert answers[0] is False
    assert answers[-1] is True
    accept(baseline, runs, [])
    assert [path.name for path in tmp_path.iterdir()] == ["baseline"]
