"""``fvbench compare``: on committed runs of an older schema, and on rows made elsewhere."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.comparison.across.summary import across
from bench.comparison.classes import confusions, per_class
from bench.comparison.frame import Comparison
from bench.comparison.notes import about_intervals, about_runs, caption
from bench.comparison.rows_file import read_rows_file
from bench.comparison.show import content, disagreement, rank_line, rank_table
from bench.comparison.summary import compare, compare_on_one_bank
from bench.report.charts.classes import confusion_chart
from bench.report.sections import bank_section
from bench.runs.by_method import runs_by_method, titles
from bench.runs.checking import rebuilt
from bench.runs.directory import find_runs, read_run, write_failure, write_run
from bench.runs.run import Run
from bench.runs.schema import Failure, FeatureIdentity, TextIdentity
from bench.site.board import board
from episodes.banks.bank import open_bank
from episodes.banks.own_videos import bank_over_folder
from episodes.errors import UserError
from tests.command import call, refused, succeeds
from tests.conftest import videos_of
from tests.synthetic import answered, trained, with_identity

OLD = Path(__file__).parent / "runs" / "schema-1"
"""ProtoNet and OTAM on 300 episodes of the default bank, written by the first schema."""
RUNS = {path.name: read_run(path) for path in find_runs(OLD)}


def flipped(run: Run, count: int) -> Run:
    """The run with so many wrong answers at its beginning."""
    rows = run.rows.copy()
    rows.loc[: count - 1, "prediction"] = (rows.loc[: count - 1, "label"] + 1) % 5
    return replace(run, rows=rows)


def test_an_older_schema_is_upgraded():
    assert json.loads((OLD / "otam" / "run.json").read_text())["schema"] == 1
    assert RUNS["otam"].identity.training is None


def test_compare_shows_differences_groups_and_hard_classes():
    text = succeeds("compare", OLD)
    for words in (
        "vs protonet",
        "over episodes",
        "12 partner pairs",
        "confused with",
        "1 comparison ",
    ):
        assert words in " ".join(text.split())
    assert "McNemar" not in text
    assert "McNemar p" in call("compare", OLD, "--mcnemar")[1]
    assert max(len(line) for line in text.splitlines() if line.startswith("otam →")) <= 140


def test_a_single_episode_has_figures_but_no_interval(tmp_path: Path):
    for method, share in (("otam", 0.5), ("protonet", 0.9), ("trx", 0.2)):
        write_run(tmp_path / method, answered(method, share, episodes=1))
    text = succeeds("compare", tmp_path)
    assert ("nan" in text, "hardest classes" in text) == (False, True)  # of those that were asked
    rows = json.loads(call("compare", tmp_path, "--json")[1])["rows"]
    assert {tuple(row["interval"]) for row in rows} == {(None, None)}
    assert "nothing is decided over a single episode" in " ".join(text.split())
    assert "more episodes" in refused("power", tmp_path)


def test_json_names_every_interval_and_the_reference():
    content = json.loads(call("compare", OLD, "--json")[1])
    first = content["rows"][0]
    assert first["method"] == "otam"
    assert set(first["intervals"]) == {"episodes", "videos", "videos and classes"}
    assert first["interval"] == first["intervals"]["episodes"]
    assert first["difference_interval"] == first["difference_intervals"]["episodes"]
    assert len(content["classes"]) == 24
    assert content["disagreements"][0]["only_first"] > 0
    content = json.loads(call("compare", OLD, "--reference", "otam", "--json")[1])
    assert content["reference"] == "otam"
    assert content["rows"][0]["difference"] is None
    assert content["rows"][1]["difference"] < 0


@pytest.mark.parametrize("field", ["bank", "bank_sha256", "dtype"])
def test_what_does_not_belong_together_is_refused(tmp_path: Path, field: str):
    other = with_identity(RUNS["otam"], **{field: "another"})
    write_run(tmp_path / "otam", other)
    write_run(tmp_path / "protonet", RUNS["protonet"])
    said = refused("compare", tmp_path)
    assert (f"{field} is" in said, "--across" in said) == (True, field == "bank")


def test_accuracy_by_class_is_that_of_its_queries():
    bank = open_bank("default", 300)
    (one,) = runs_by_method([RUNS["otam"]])
    found = per_class([one], bank)
    assert sum(each.queries for each in found) == 1500
    hits = sum(each.queries * each.accuracy[0] for each in found)
    assert hits == pytest.approx((RUNS["otam"].rows.eval("label == prediction")).sum())
    name = found[0].name
    queries = bank.episodes.query.ravel()
    mine = np.array([bank.split.videos[video].label == name for video in queries])
    right = RUNS["otam"].rows.eval("label == prediction").to_numpy()
    assert found[0].accuracy[0] == pytest.approx(right[mine].mean())


def test_accuracy_by_class_over_seeds_is_exact():
    (one,) = runs_by_method([trained(answered("otam", 0.7, seed), seed) for seed in range(3)])
    for each in per_class([one], open_bank("default", 200)):
        hits = round(3 * each.queries * each.accuracy[0])
        assert each.accuracy[0] == hits / 3 / each.queries


def test_classes_are_in_order_though_some_were_never_queried():
    bank = open_bank("default", 6)
    rows = RUNS["otam"].rows
    (one,) = runs_by_method([replace(RUNS["otam"], rows=rows[rows["episode"] < 6])])
    found = per_class([one], bank)
    accuracies = [each.accuracy[0] for each in found if each.queries]
    assert (len(accuracies) < len(found), accuracies) == (True, sorted(accuracies))
    assert not any(each.queries for each in found[len(accuracies) :])


def test_the_most_confused_pair_is_the_one_that_was_made_so():
    bank = open_bank("default", 300)
    rows = RUNS["otam"].rows.copy()
    rows["prediction"] = rows["label"]
    labels = np.array(
        [
            [bank.split.videos[video].label for video in one]
            for one in bank.episodes.support[:, :, 0]
        ]
    )
    met = np.flatnonzero((labels == "grow").any(1) & (labels == "appear").any(1))
    for episode in met:
        true, wrong = (np.flatnonzero(labels[episode] == name)[0] for name in ("grow", "appear"))
        rows.loc[(rows["episode"] == episode) & (rows["label"] == true), "prediction"] = wrong
    (one,) = runs_by_method([replace(RUNS["otam"], rows=rows.astype(RUNS["otam"].rows.dtypes))])
    (pair,) = confusions([one], bank)
    assert (pair.true, pair.predicted, pair.share) == ("grow", "appear", 1.0)
    assert pair.queries == len(met)


def test_no_pair_is_confused_most_for_a_single_query():
    bank = open_bank("default", 60)
    found = confusions(runs_by_method([answered("otam", 0.2, episodes=60)]), bank)
    assert min(pair.queries for pair in found) == 5
    without = compare_on_one_bank([answered("otam", 1.0, episodes=60)])
    with pytest.raises(UserError, match="confuses no two classes"):
        confusion_chart(without)


def test_a_method_counts_once_in_confusions_however_many_seeds_it_has():
    bank = open_bank("default", 300)
    right = replace(RUNS["otam"], rows=RUNS["otam"].rows.assign(prediction=RUNS["otam"].rows.label))
    seeds = [trained(right, seed) for seed in range(3)]
    alone, both = (
        {(one.true, one.predicted): one.share for one in confusions(runs_by_method(runs), bank)}
        for runs in ([RUNS["protonet"]], [RUNS["protonet"], *seeds])
    )
    assert both == {pair: pytest.approx(share / 2) for pair, share in alone.items()}


def test_who_is_right_where_the_other_is_wrong():
    one, other = runs_by_method(list(RUNS.values()))
    found = disagreement(one, other)
    right = [run.rows.eval("label == prediction").to_numpy() for run in (one.first, other.first)]
    assert found.only_first == (right[0] & ~right[1]).sum()
    total = found.both_right + found.only_first + found.only_second + found.both_wrong
    assert total == 1500


def test_training_seeds_are_one_row_with_an_interval_of_their_own():
    runs = [trained(flipped(RUNS["otam"], 60 * seed), seed) for seed in range(3)]
    comparison = compare_on_one_bank([*runs, RUNS["protonet"]])
    row = comparison.of("otam")
    assert (row.trained_words, row.seeds) == ("frozen, 3 seeds", (0, 1, 2))
    assert row.accuracy == pytest.approx(np.mean([run.episode_accuracy().mean() for run in runs]))
    widest, classes = (
        np.diff(row.intervals[kind])[0]
        for kind in ("videos, classes and trainings", "videos and classes")
    )
    assert widest > classes


@pytest.mark.parametrize(
    ("run", "words"),
    [(RUNS["otam"], "otam on bank"), (trained(RUNS["otam"], 1), "otam with training seed 1")],
)
def test_one_method_or_seed_twice_is_refused(run: Run, words: str):
    with pytest.raises(UserError, match=f"two runs of {words}"):
        compare_on_one_bank([run, flipped(run, 60)])


def test_seeds_of_other_revisions_are_refused():
    other = trained(RUNS["otam"], 1)
    other = with_identity(other, revision=7)
    with pytest.raises(UserError, match="differ in revision: 1 and 7"):
        compare_on_one_bank([trained(RUNS["otam"], 0), other])


def test_a_bank_that_cannot_be_rebuilt_leaves_the_interval_over_episodes_which_decides_nothing():
    runs = [with_identity(run, bank_sha256="other") for run in RUNS.values()]
    comparison = compare_on_one_bank(runs)
    assert set(comparison.rows[0].intervals) == {"episodes"}
    assert "has different episodes here" in comparison.units
    row = comparison.of("otam")
    assert (row.verdict, row.p_value, row.p_value_corrected, row.group) == ("", None, None, ())
    assert "p" not in rank_line(row, comparison)


def rows_file(path: Path, run: Run) -> Path:
    rows = run.rows[["episode", "query", "prediction"]].sample(frac=1, random_state=0)
    if path.suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_made_elsewhere_are_compared_as_runs_are(tmp_path: Path, suffix: str):
    path = rows_file(tmp_path / f"mine{suffix}", RUNS["otam"])
    content = json.loads(call("compare", OLD, path, "--json")[1])
    found = {row["method"]: row["accuracy"] for row in content["rows"]}
    assert found["mine"] == found["otam"]
    words = ("--bank", "default", "--episodes", "300", "--json")
    alone = json.loads(call("compare", path, *words)[1])
    assert alone["rows"][0]["intervals"].keys() == content["rows"][0]["intervals"].keys()


def test_names_and_row_numbers_are_those_of_the_file(tmp_path: Path):
    run, path = answered("otam", 0.5, episodes=3), tmp_path / "all.csv"
    bank = open_bank("default", episodes=3)
    first = run.rows[["episode", "query", "prediction"]].assign(method="01", training_seed=-1)
    table = pd.concat([first, first.assign(method="1", training_seed=None)], ignore_index=True)
    table.to_csv(path, index=False)
    found = [(one.identity.method, one.identity.training) for one in read_rows_file(path, bank)]
    assert [name for name, _ in found] == ["01", "1"]
    assert [training and training.seed for _, training in found] == [-1, None]
    for column, value in (("prediction", 9), ("query", 9), ("episode", 0.5)):
        table.assign(**{column: table[column].where(table.index != 19, value)}).to_csv(path)
        with pytest.raises(UserError, match="row 20: "):
            read_rows_file(path, bank)


def test_rows_made_elsewhere_do_not_become_the_reference_by_their_name(tmp_path: Path):
    path = tmp_path / "mine.csv"
    RUNS["otam"].rows.assign(method="protonet").to_csv(path, index=False)
    content = json.loads(call("compare", OLD, path, "--json")[1])
    (reference,) = (row for row in content["rows"] if row["title"] == content["reference"])
    assert reference["backbone"] == "motion"


@pytest.mark.parametrize("last", [50, 299])
def test_rows_on_a_bank_with_episodes_left_out_are_paired_by_number(tmp_path: Path, last: int):
    gone = [3, last]
    left = open_bank("default", 300).only(np.setdiff1d(np.arange(300), gone))
    run = answered("otam", 0.7, bank=left)
    write_run(tmp_path / "otam", run)
    bank, _ = rebuilt(run)
    assert bank.title == run.identity.bank == "default (298 of 300 episodes)"
    (mine,) = read_rows_file(rows_file(tmp_path / "mine.csv", run), bank)
    pd.testing.assert_frame_equal(mine.rows.drop(columns="margin"), run.rows.drop(columns="margin"))
    comparison = json.loads(call("compare", tmp_path / "otam", tmp_path / "mine.csv", "--json")[1])
    accuracies = {row["method"]: row["accuracy"] for row in comparison["rows"]}
    assert accuracies["mine"] == accuracies["otam"]
    counted = run.rows.assign(episode=np.repeat(np.arange(298), 5))
    counted.to_csv(tmp_path / "mine.csv", index=False)
    assert "without those left out" in refused("compare", tmp_path / "otam", tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda rows: rows.drop(columns="query"), "has no column query"),
        (lambda rows: rows.iloc[1:], "for fewer episodes give --episodes"),
        (lambda rows: pd.concat([rows, rows.iloc[:1]]), "has 2 rows for query 0 of episode 0"),
        (lambda rows: rows.assign(prediction=5), "0..4"),
        (lambda rows: rows.assign(prediction=0.5), "whole number"),
        (lambda rows: rows.assign(prediction="grow"), "whole number"),
        (lambda rows: rows.assign(episode=rows["episode"] + 1), "count from 0"),
    ],
)
def test_rows_that_do_not_answer_the_bank_are_refused(tmp_path: Path, spoil, words: str):
    spoil(RUNS["otam"].rows).to_csv(tmp_path / "mine.csv", index=False)
    assert words in refused("compare", OLD, tmp_path / "mine.csv")


def test_rows_without_a_bank_are_refused(tmp_path: Path):
    assert "--bank NAME" in refused("compare", rows_file(tmp_path / "mine.csv", RUNS["otam"]))


def test_rows_beside_runs_on_several_banks_are_refused(tmp_path: Path):
    other = RUNS["otam"].identity.changed(bank="elsewhere", bank_sha256="x")
    write_run(tmp_path / "other", replace(RUNS["otam"], identity=other))
    mine = rows_file(tmp_path / "mine.csv", RUNS["otam"])
    text = refused("figures", OLD, tmp_path / "other", mine, "--out", tmp_path / "a.svg")
    assert "the runs are on default, elsewhere" in text


def test_rows_of_one_method_are_named_by_what_tells_them_apart():
    def started(start: str | None, recipe: str = "default", backbone: str = "tuned") -> Run:
        run = trained(RUNS["otam"], 0, backbone=backbone)
        training = run.identity.training.changed(recipe=recipe, start=start)
        return with_identity(run, training=training)

    runs = [
        started(None),
        started("motion 0a"),
        started(None, "live"),
        started(None, "live", "frozen"),
    ]
    second_seed = trained(runs[0], 1, backbone="tuned")
    found = [*runs, second_seed, RUNS["otam"], RUNS["protonet"]]
    assert sorted(titles(runs_by_method(found))) == [
        "otam (frozen)",
        "otam (tuned) (default) (motion 0a)",
        "otam (tuned) (live)",
        "otam (tuned, 2 seeds) (default)",
        "otam (–)",
        "protonet",
    ]
    assert compare_on_one_bank([runs[3], RUNS["otam"]]).reference == "otam (–)"


def test_runs_on_other_frames_are_no_training_seeds():
    def shown(sampling: str, seed: int) -> Run:
        run = trained(RUNS["otam"], seed)
        return with_identity(run, features={"backbone": "motion", "sampling": sampling})

    runs = [shown("segment-centres", 0), shown("3 x linspace", 0), shown("3 x linspace", 1)]
    found = runs_by_method(runs)
    assert sorted(one.seeds for one in found) == [(0,), (0, 1)]
    assert sorted(titles(found)) == ["otam (3 x linspace)", "otam (segment-centres)"]


def test_a_method_trained_once_has_no_verdict_against_a_trained_one_and_no_letter():
    often = [trained(flipped(RUNS["otam"], 200 + seed), seed) for seed in range(3)]
    once = with_identity(trained(RUNS["otam"], 0), method="trx")
    comparison = compare_on_one_bank([*often, once, RUNS["protonet"]], "otam")
    row = comparison.of("trx")
    assert (row.verdict, row.p_value, row.group) == ("1 seed", None, ())
    assert row.difference is not None
    assert comparison.of("protonet").decided_over == "videos, classes and trainings"
    against_untrained = compare_on_one_bank([*often, once, RUNS["protonet"]]).of("trx")
    assert against_untrained.decided_over == "videos and classes"
    text = rank_table(comparison)
    assert "1 seed: how much trainings vary" in " ".join(text.split())


def test_controls_and_duplicates_are_not_counted_among_the_comparisons():
    runs = [
        answered(name, hits, seed)
        for seed, (name, hits) in enumerate(
            {"protonet": 0.6, "otam": 0.75, "chance": 0.2, "single-frame": 0.2}.items()
        )
    ]
    twin = with_identity(runs[1], method="otam-twin")
    comparison = compare_on_one_bank([*runs, twin])
    assert comparison.comparisons == 1
    assert comparison.pairs == 1
    rows = {row.method: row for row in comparison.rows}
    assert rows["chance"].verdict == rows["single-frame"].verdict == "control"
    assert rows["chance"].group == ()
    assert rows["otam-twin"].same_as == "otam"
    assert rows["otam-twin"].p_value_corrected == rows["otam"].p_value_corrected
    assert rows["otam-twin"].group == rows["otam"].group
    found = content(comparison)
    assert "chance" not in found["classes"][0]["accuracy"]


def test_a_method_that_answers_like_a_control_is_judged_all_the_same():
    """The control is before it, by name; the order of names decides no verdict."""
    control = answered("chance", 0.2)
    runs = [answered("protonet", 0.6), control, with_identity(control, method="guessing")]
    comparison = compare_on_one_bank(runs)
    rows = {row.method: row for row in comparison.rows}
    assert (comparison.comparisons, rows["guessing"].verdict) == (1, "worse")
    assert (rows["chance"].verdict, rows["chance"].group) == ("control", ())


def test_the_same_answers_are_said_to_be_the_same_after_a_training_too():
    run = answered("protonet", 0.6)
    twin = trained(with_identity(run, method="trx"), 0)
    comparison = compare_on_one_bank([run, twin, answered("otam", 0.7, 1)])
    rows = {row.method: row for row in comparison.rows}
    assert (rows["trx"].verdict, rows["trx"].smallest) == ("same answers", None)
    assert comparison.comparisons == 1


def test_equal_accuracies_of_other_answers_promise_no_smallest_difference():
    run = answered("protonet", 0.6)
    wrong = run.rows["prediction"] != run.rows["label"]
    rows = run.rows.assign(prediction=(run.rows["prediction"] + wrong) % 5)
    other = replace(with_identity(run, method="otam"), rows=rows.astype(run.rows.dtypes))
    row = compare_on_one_bank([run, other]).of("otam")
    assert (row.verdict, row.smallest, row.same_as) == ("undecided", None, None)


def on_backbone(run: Run, weights: str, sampling: str = "segment-centres") -> Run:
    features = FeatureIdentity(backbone="motion", weights_sha256=weights, sampling=sampling)
    return with_identity(run, features=features)


def test_other_weights_of_a_backbone_are_another_backbone_unless_they_were_tuned():
    """On one bank, and on two, whose table has one row for each method."""
    one = on_backbone(answered("protonet", 0.6), "a" * 64)
    other = on_backbone(answered("otam", 0.7, 1), "b" * 64)
    elsewhere = with_identity(other, bank="another", bank_sha256="another")
    for runs in ([one, other], [one, elsewhere], [one, trained(other, 0)]):
        for pooled in (compare, across, board):
            with pytest.raises(UserError, match="different weights of the backbone motion: their"):
                pooled(runs)
    seeds = [on_backbone(trained(answered("trx", 0.6, n), n), f"{n}" * 64) for n in (1, 2)]
    with pytest.raises(UserError, match="trx and trx used different weights"):
        compare(seeds)
    tuned = [trained(seed, n, backbone="tuned") for n, seed in enumerate(seeds)]
    (found,) = compare([one, *tuned])
    assert [row.seeds for row in found.rows if row.method == "trx"] == [(0, 1)]


def test_rows_of_other_frames_are_named(tmp_path: Path):
    for number, (name, sampling) in enumerate(
        {
            "protonet": "segment-centres",
            "trx": "segment-centres",
            "otam": "linspace",
            "single-frame": "middle-frame",
        }.items()
    ):
        write_run(tmp_path / name, on_backbone(answered(name, 0.6, number), "a" * 64, sampling))
    words = "not all saw the same frames: linspace (otam), the others segment-centres"
    for command in ("compare", "tables"):
        assert words in " ".join(succeeds(command, tmp_path).split())
    rmtree(tmp_path / "otam")
    assert "not all saw" not in succeeds("compare", tmp_path)


def test_other_prompts_and_seeds_of_other_code_are_named():
    names = TextIdentity(source="words", key="k", prompt="{}", names_sha256="n")
    first, second = (answered(name, 0.6) for name in ("zero-shot", "clip-fsar"))
    runs = [with_identity(first, text=names), with_identity(second, text=names)]
    assert about_runs(compare(runs)[0]) == []
    runs[1] = with_identity(second, text=names.changed(prompt="a video of {}"))
    (said,) = about_runs(compare(runs)[0])
    assert "words k, '{}' (zero-shot)" in said
    assert "words k, 'a video of {}' (clip-fsar)" in said
    seeds = [trained(answered("trx", 0.6, n), n) for n in (1, 2, 3)]
    codes = ("a" * 64, None, "a" * 64)  # an older version stated none
    runs = [with_identity(run, source_sha256=one) for run, one in zip(seeds, codes, strict=True)]
    assert about_runs(compare(runs)[0]) == []
    runs[1] = with_identity(seeds[1], source_sha256="b" * 64)
    (said,) = about_runs(compare(runs)[0])
    assert said.startswith("trx: its code changed between the runs of its training seeds")


def test_recipes_that_differ_between_banks_are_named():
    first, second = (trained(answered("trx", 0.6, n), 0) for n in (1, 2))
    second = with_identity(second, bank="another", bank_sha256="b")
    for other, is_told in (("a", False), ("b", True), (None, False)):
        runs = [
            replace(run, declared=run.declared.changed(training_recipe_sha256=recipe))
            for run, recipe in ((first, "a"), (second, other))
        ]
        assert ("trx: trained by different recipes" in caption(compare(runs))) == is_told


def test_a_method_that_failed_is_named(tmp_path: Path):
    for name, run in RUNS.items():
        write_run(tmp_path / name, run)
    for bank in ("default", "another"):
        write_failure(tmp_path / bank, Failure(bank=bank, method="trx", reason="no memory"))
    assert "trx failed on default: no memory" in succeeds("compare", tmp_path)
    failed = json.loads(succeeds("compare", tmp_path, "--json"))["failed"]
    assert failed == [{"method": "trx", "reason": "no memory"}]


def test_a_declared_family_alone_is_judged(tmp_path: Path):
    for seed, (name, hits) in enumerate({"protonet": 0.6, "otam": 0.75, "trx": 0.7}.items()):
        write_run(tmp_path / name, answered(name, hits, seed))
    family = tmp_path / "family.toml"
    family.write_text('comparisons = [["otam", "trx"]]')
    found = json.loads(call("compare", tmp_path, "--family", family, "--json")[1])
    assert found["comparisons"] == 1
    (declared,) = found["declared"]
    assert (declared["method"], declared["against"]) == ("otam", "trx")
    assert declared["p_value_corrected"] == pytest.approx(declared["p_value"], abs=0.01)
    assert all(row["p_value_corrected"] is None for row in found["rows"])
    assert all(row["group"] == [] for row in found["rows"])
    assert "declared" in call("compare", tmp_path, "--family", family)[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("comparisons = []", "comparisons is []"),
        ("comparsons = 3", "there is no key comparsons; did you mean comparisons"),
        ('level = 0.9\ncomparisons = [["otam", "trx"]]', "there is no key level"),
        ('comparisons = [["otam"]]', "comparisons.0.1 is missing"),
        ('comparisons = [["otam", 3]]', "comparisons.0.1 is 3"),
        ('comparisons = [["otam", "otam"]]', "with itself"),
        ('comparisons = [["otam", "absent"]]', "'absent' is not among the runs"),
        ("comparisons =", "family.toml: Invalid value"),
    ],
)
def test_a_family_that_says_nothing_is_refused(tmp_path: Path, text: str, words: str):
    (tmp_path / "family.toml").write_text(text)
    assert words in refused("compare", OLD, "--family", tmp_path / "family.toml")


def test_a_difference_that_is_not_told_apart_stands_beside_one_that_would_have_been():
    runs = [answered("protonet", 0.6), answered("otam", 0.61, 1), answered("trx", 0.8, 2)]
    rows = {row.method: row for row in compare_on_one_bank(runs).rows}
    assert rows["otam"].verdict == "undecided"
    low, high = rows["otam"].difference_intervals["videos and classes"]
    assert abs(rows["otam"].difference) < (high - low) / 2 < rows["otam"].smallest
    assert (rows["trx"].verdict, rows["trx"].smallest) == ("better", None)


def test_rows_made_elsewhere_say_how_their_method_was_trained(tmp_path: Path):
    columns = ["episode", "query", "prediction"]
    for seed, run in enumerate([RUNS["otam"], trained(flipped(RUNS["otam"], 60), 1)]):
        (tmp_path / str(seed)).mkdir()
        rows = run.rows[columns].assign(training_seed=seed)
        rows.to_csv(tmp_path / str(seed) / "mine.csv", index=False)
    RUNS["otam"].rows[columns].to_csv(tmp_path / "silent.csv", index=False)
    files = [tmp_path / "0" / "mine.csv", tmp_path / "1" / "mine.csv"]
    content = json.loads(call("compare", OLD, *files, tmp_path / "silent.csv", "--json")[1])
    rows = {row["method"]: row for row in content["rows"]}
    assert rows["mine"]["seeds"] == [0, 1]
    assert rows["mine"]["decided_over"] == "videos, classes and trainings"
    assert rows["silent"]["trained_words"] == "not said"
    assert rows["silent"]["group"] == []


def test_several_methods_and_seeds_may_stand_in_one_file(tmp_path: Path):
    columns = ["episode", "query", "prediction"]
    parts = [
        RUNS["otam"].rows[columns].assign(method="mine", training_seed=4),
        RUNS["protonet"].rows[columns].assign(method="mine", training_seed=5),
        RUNS["protonet"].rows[columns].assign(method="other", training_seed=None, trained="no"),
    ]
    pd.concat(parts).to_csv(tmp_path / "all.csv", index=False)
    assert "trained is nan" in refused("compare", OLD, tmp_path / "all.csv", "--json")
    parts = [part.assign(trained=part["method"] == "mine") for part in parts]
    pd.concat(parts).to_csv(tmp_path / "all.csv", index=False)
    content = json.loads(call("compare", OLD, tmp_path / "all.csv", "--json")[1])
    rows = {row["method"]: row for row in content["rows"]}
    assert rows["mine"]["seeds"] == [4, 5]
    assert rows["other"]["trained_words"] == "–"


@pytest.mark.parametrize(
    ("dataset", "features", "words"),
    [
        ("rendered", {"backbone": "x"}, ""),
        ("ucf101", {"backbone": "x"}, "saw different files"),
        ("rendered", {"backbone": "x", "given": True}, "saw different features"),
    ],
)
def test_runs_that_saw_other_files_are_not_pooled(
    tmp_path: Path, dataset: str, features: dict[str, Any], words: str
):
    for number, run in enumerate(RUNS.values()):
        changed = with_identity(
            run, dataset=dataset, videos_sha256=f"{number}" * 64, features=features
        )
        write_run(tmp_path / str(number), changed)
    found, said = call("compare", tmp_path)
    assert found == (2 if words else 0)
    assert words in said


def compared_on_classes(
    folder: Path, classes: Sequence[str], episodes: int = 200, hits: float = 0.8
) -> Comparison:
    """ProtoNet and OTAM on files that nobody decodes: a bank over them asks for names alone."""
    bank = bank_over_folder(videos_of(folder, classes, 6, opened=False), episodes)
    runs = [answered("protonet", 0.6, bank=bank), answered("otam", hits, 1, bank=bank)]
    return compare_on_one_bank(runs, banks=[bank])


def test_a_class_named_like_a_column_hides_none(tmp_path: Path):
    classes = ["class", "method", "queries", "protonet", "otam %"]
    comparison = compared_on_classes(tmp_path, classes)
    grid, *_ = bank_section(comparison, "bank", None, False).by_class
    assert (grid.titles[0], sorted(grid.titles[1:])) == ("method", sorted(classes))
    assert [line[0].text for line in grid.rows] == ["otam", "protonet"]
    assert {len(line) for line in grid.rows} == {6}
    for style, text in grid.copies.items():
        header = next(line for line in text.splitlines() if "queries" in line)
        assert header.count("method") == 2, style


def test_where_classes_cannot_vary_videos_decide_and_it_is_said(tmp_path: Path):
    comparison = compared_on_classes(tmp_path, [f"class-{label}" for label in range(5)])
    row = comparison.of("otam")
    assert (row.decided_over, row.verdict) == ("videos", "better")
    assert "videos and classes" not in row.intervals
    assert "5 classes" in comparison.units
    notes = about_intervals([comparison, compare_on_one_bank(list(RUNS.values()))])
    assert (
        "over all videos, and classes where these can vary, that might have been drawn;" in notes[0]
    )
    assert "classes cannot vary (all of them are in every episode)" in comparison.units


def test_units_are_those_that_episodes_show(tmp_path: Path):
    comparison = compared_on_classes(tmp_path / "x", [f"class-{label}" for label in range(13)], 3)
    support = comparison.opened.episodes.support[:, :, 0] // 6  # each class has six videos
    shown, times = np.unique(support, return_counts=True)
    always = (times == 3).sum()
    assert 0 < always < len(shown) < 13
    assert comparison.units.startswith(f"episodes show {len(shown)} classes and ")
    assert f"classes cannot vary ({always} of them are in every episode)" in comparison.units


def test_the_note_on_hard_classes_stands_below_intervals_over_classes_alone(tmp_path: Path):
    few, many = (
        compared_on_classes(tmp_path / str(count), [f"class-{n}" for n in range(count)], hits=0.95)
        for count in (5, 9)
    )
    notes = ["\n".join(about_intervals([one])) for one in (few, many)]
    assert ["a rare hard class" in note for note in notes] == [False, True]
