"""Cases: which queries they are, how often, and what is drawn of them."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from safetensors.torch import save_file
from scipy import stats

from bench.features.backbones import load_backbone
from bench.features.clips import load_clip
from bench.machine.progress import Reporter
from bench.report.cases.drawing import RED, attention_figure, case_figure, describe
from bench.report.cases.examination import Case, Examiner
from bench.report.cases.gallery import chosen
from bench.report.cases.outcomes import KINDS, MODELS, Outcomes, Query, share_interval
from bench.report.cases.rebuilding import rebuilt
from bench.runs.directory import find_runs, read_run
from bench.runs.run import ROW_TYPES, Run
from bench.runs.schema import Declared, Identity
from episodes.banks.bank import open_bank
from episodes.datasets import dataset
from episodes.errors import UserError
from tests.command import call, succeeds
from tests.conftest import videos_of
from tests.synthetic import CIRCUMSTANCES, COST, CPU, NOTHING, with_identity

EPISODES = 4
HAND_MADE = {
    "mastaf-neighbor": [[1, 1], [1, 0], [0, 0], [0, 0]],
    "mastaf-self": [[1, 1], [0, 0], [0, 1], [1, 1]],
    "mastaf-cross": [[1, 0], [1, 0], [0, 0], [1, 0]],
    "mastaf": [[1, 1], [1, 1], [0, 1], [0, 0]],
}
"""Model -> whether it is right, four episodes of two queries."""
MARGINS = np.array([[9, 1], [3, 5], [2, 4], [7, 6]], dtype=np.float32)


def made_run(method: str, right: list[list[int]], **identity: object) -> Run:
    """A run whose answers are right where it is said."""
    hits = np.array(right)
    episodes, queries = hits.shape
    columns = {
        "episode": np.repeat(np.arange(episodes), queries),
        "query": np.tile(np.arange(queries), episodes),
        "label": 1,
        "prediction": hits.ravel(),
        "margin": MARGINS[:episodes].ravel() * (2 if method == "mastaf" else 1),
    }
    named = {"bank": "small", "bank_sha256": "x", "dtype": "float32", "episodes": episodes}
    named |= {"method": method, "revision": 1}
    rows = pd.DataFrame(columns).astype(ROW_TYPES)
    declared = Declared(sees="one query", trained=None)
    return Run(Identity(**named | identity), declared, COST, CIRCUMSTANCES, rows)


RUNS = [made_run(method, right) for method, right in HAND_MADE.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real runs of the four models."""
    out = tmp_path_factory.mktemp("mastaf")
    words = ("run", "--methods", ",".join(MODELS), "--weights", "none", "--out", out)
    succeeds(*words, "--episodes", EPISODES)
    return out


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> Outcomes:
    return Outcomes([read_run(path) for path in find_runs(folder)])


@pytest.fixture(scope="module")
def examiner(outcomes: Outcomes) -> Examiner:
    return Examiner(outcomes, Reporter())


@pytest.fixture(scope="module")
def case(examiner: Examiner) -> Case:
    return examiner.examine(Query(1, 2))


def test_every_kind_is_found_where_it_is():
    outcomes = Outcomes(RUNS)
    assert {kind: outcomes.find(kind) for kind in KINDS} == {
        "self-right-cross-wrong": [(2, 1), (0, 1)],  # margins 4 and 1: the clearer first
        "cross-right-self-wrong": [(1, 0)],
        "fusion-only-right": [(1, 1)],
        "fusion-wrong": [(3, 0), (3, 1)],
    }


def test_every_query_is_counted_once():
    counts = [share.queries for share in Outcomes(RUNS).combinations()]
    assert counts == [1, 1, 2, 1, 1, 0, 1, 1]
    kinds = Outcomes(RUNS).kinds()
    assert [share.queries for share in kinds] == [2, 1, 1, 2]
    assert kinds[0].share == 2 / 8


def test_a_contested_query_stands_for_its_episode():
    assert Outcomes(RUNS).disagreement(0) == (0, 1)
    agreed = [made_run(method, [[1, 1]]) for method in MODELS]
    assert Outcomes(agreed).disagreement(0) == (0, 0)


@pytest.mark.parametrize("seen", [0, 3, 40])
def test_the_interval_of_a_share_is_wilsons_where_queries_are_independent(seen: int):
    mask = (np.arange(40) < seen)[:, None]
    expected = stats.binomtest(seen, 40).proportion_ci(0.95, method="wilson")
    assert share_interval(mask) == pytest.approx((expected.low, expected.high), abs=5e-3)


def test_queries_that_go_together_widen_the_interval():
    together = np.repeat(np.arange(400) % 2 == 0, 5).reshape(400, 5)
    low, high = share_interval(together)
    alone_low, alone_high = share_interval(together.reshape(-1, 1))
    assert (high - low) / (alone_high - alone_low) == pytest.approx(5**0.5, rel=0.02)


def test_shares_say_what_other_classes_would_give(outcomes: Outcomes):
    share = outcomes.combinations()[0]
    low, high = share.new_classes
    assert 0 < low < share.share < high < 1
    assert Outcomes(RUNS).kinds()[0].new_classes is None  # of no bank that is known
    assert all(one.new_classes is None for one in outcomes.kinds() if one.queries == 0)


@pytest.mark.parametrize("missing", MODELS)
def test_a_missing_model_is_named_with_the_command_that_makes_it(missing: str):
    runs = [run for run in RUNS if run.identity.method != missing]
    with pytest.raises(UserError, match=rf"no run of {missing} among .*`fvbench run --methods"):
        Outcomes(runs)


def test_runs_of_two_trainings_or_banks_are_refused():
    with pytest.raises(UserError, match=r"2 runs of mastaf-self; .* one training"):
        Outcomes([*RUNS, RUNS[1]])
    with pytest.raises(UserError, match="are on 2 different banks"):
        Outcomes([*RUNS[:3], made_run("mastaf", HAND_MADE["mastaf"], bank_sha256="y")])


def test_what_is_drawn_can_be_chosen():
    outcomes = Outcomes(RUNS)
    assert chosen(outcomes, "3:1, 0", None) == [(3, 1), (0, 1)]
    assert chosen(outcomes, None, "fusion-wrong") == [(3, 0), (3, 1)]
    assert chosen(outcomes, None, None) == [(2, 1), (1, 0), (1, 1), (3, 0)]


def of_episodes(run: Run, numbers: list[int]) -> Run:
    """The run with other numbers of its episodes, as where some were left out."""
    episode = np.repeat(numbers, run.queries_per_episode).astype(np.int32)
    return replace(run, rows=run.rows.assign(episode=episode))


def test_where_episodes_were_left_out_they_keep_their_numbers():
    outcomes = Outcomes([of_episodes(run, [0, 2, 5, 9]) for run in RUNS])
    assert outcomes.find("self-right-cross-wrong") == [(5, 1), (0, 1)]
    assert chosen(outcomes, "9:1, 2", None) == [(9, 1), (2, 0)]
    with pytest.raises(UserError, match="have 4 of the episodes 0 to 9, with"):
        chosen(outcomes, "3", None)


def test_without_margins_no_case_is_the_clearest():
    bare = replace(RUNS[1], rows=RUNS[1].rows.assign(margin=np.float32(np.nan)))
    outcomes = Outcomes([RUNS[0], bare, *RUNS[2:]])
    with pytest.raises(UserError, match="rows of mastaf-self have no margins"):
        outcomes.find("fusion-wrong")
    assert chosen(outcomes, "3:1", None) == [(3, 1)]
    assert outcomes.kinds()[3].queries == 2


@pytest.mark.parametrize(
    ("episodes", "kind", "words"),
    [
        ("x", None, "'x' is not an episode"),
        ("1:", None, "'1:' is not an episode"),
        ("-1", None, "'-1' is not an episode"),
        ("9" * 5000, None, "is not an episode"),
        ("4", None, "episodes 0 to 3, with queries 0 to 1"),
        ("0:2", None, "episodes 0 to 3, with queries 0 to 1"),
        (None, "both-right", "'both-right' is not one of self-right-cross-wrong"),
        ("0", "fusion-wrong", "give one of them"),
    ],
)
def test_what_is_not_there_is_refused(episodes: str | None, kind: str | None, words: str):
    with pytest.raises(UserError, match=words):
        chosen(Outcomes(RUNS), episodes, kind)


def test_the_smallest_angle_is_the_answer_in_the_rows(outcomes: Outcomes, examiner: Examiner):
    for place in range(EPISODES):
        case = examiner.examine(Query(place, 0))
        for name, angles in case.angles.items():
            rows = outcomes.runs[name].rows.query(f"episode == {place} and query == 0")
            assert angles.argmin() == rows["prediction"].item()
            assert case.right(name) == (rows["label"].item() == rows["prediction"].item())


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    """Those of the case's support, and of its query: (classes + 1, C, T, H, W)."""
    bank, loaded = open_bank("default", EPISODES), load_backbone("motion", CPU)
    shown = (*bank.episodes.support[1, :, 0], bank.episodes.query[1, 2])
    videos = [bank.split.videos[index] for index in shown]
    files = dataset("rendered").files("test", videos, NOTHING)
    clips = [load_clip(file, loaded.backbone.input, "segment-centres") for file in files]
    with torch.no_grad():
        return loaded.backbone(torch.stack(clips))


def test_neighbors_angle_is_that_of_the_mean_features(case: Case, features: torch.Tensor):
    pooled = features.mean(dim=(2, 3, 4))
    cosines = torch.nn.functional.cosine_similarity(pooled[:-1], pooled[-1:])
    expected = cosines.acos().rad2deg().numpy()
    assert case.angles["mastaf-neighbor"] == pytest.approx(expected, abs=0.01)
    bank = open_bank("default", EPISODES)
    assert case.classes[case.label] == bank.split.videos[bank.episodes.query[1, 2]].label


def test_the_attention_shown_is_the_one_that_the_angles_come_from(
    case: Case, outcomes: Outcomes, features: torch.Tensor
):
    with torch.no_grad():
        maps = rebuilt(outcomes.runs["mastaf"]).method.encode(features)

    def pooled(factors, some):
        return (torch.from_numpy(factors).flatten(-3).unsqueeze(-1) * some).sum(dim=-2)

    shown, asked = maps[:-1], maps[-1]
    attention = case.attention
    cross = torch.cosine_similarity(
        pooled(attention.support_cross, shown), pooled(attention.query_cross, asked)
    )
    own = torch.cosine_similarity(
        pooled(attention.support_self, shown), pooled(attention.query_self, asked)[None]
    )
    angles = ((cross + own) / 2).acos().rad2deg().numpy()
    assert case.angles["mastaf"] == pytest.approx(angles, abs=0.01)


def test_a_case_of_a_bank_with_gaps_is_that_of_the_whole_bank(outcomes: Outcomes, case: Case):
    bank = open_bank("default", EPISODES).only(np.array([1, 3]))
    identity = {"bank": bank.title, "bank_sha256": bank.sha256, "episodes": 2}
    runs = [
        replace(
            run,
            identity=run.identity.changed(**identity),
            rows=run.rows[run.rows["episode"].isin([1, 3])],
        )
        for run in outcomes.runs.values()
    ]
    again = Examiner(Outcomes(runs), Reporter()).examine(Query(1, 2))
    assert again.angles["mastaf"] == pytest.approx(case.angles["mastaf"])
    assert describe(again) == describe(case)


@pytest.mark.parametrize("margin", [1.0, np.nan])
def test_a_run_that_todays_code_does_not_give_is_refused(outcomes: Outcomes, margin: float):
    altered = dict(outcomes.runs)
    rows = altered["mastaf"].rows.copy()
    rows["prediction"] = (rows["prediction"] + 1) % 5
    rows["margin"] = margin
    altered["mastaf"] = replace(altered["mastaf"], rows=rows)
    with pytest.raises(UserError, match=r"mastaf answered . in its run and answers . now"):
        Examiner(Outcomes(list(altered.values())), Reporter()).examine(Query(0, 0))


def test_trained_weights_are_found_where_the_run_had_them(outcomes: Outcomes, tmp_path: Path):
    run, path = outcomes.runs["mastaf"], tmp_path / "weights.safetensors"
    trained = {name: tensor + 1 for name, tensor in rebuilt(run).method.state_dict().items()}
    save_file(trained, path)
    identity = run.identity.changed(weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    circumstances = run.circumstances.changed(weights=str(path))
    found = rebuilt(replace(run, identity=identity, circumstances=circumstances)).method
    assert all(torch.equal(tensor, trained[name]) for name, tensor in found.state_dict().items())
    path.write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"trained weights of mastaf .* are neither at"):
        rebuilt(replace(run, identity=identity, circumstances=circumstances))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("bank_sha256", "x", "cannot be drawn here: .* bank default has"),
        ("features", {"backbone": "motion", "revision": 0}, "computed differently now: revision"),
    ],
)
def test_runs_over_other_inputs_are_refused(
    outcomes: Outcomes, field: str, value: object, words: str
):
    runs = [with_identity(run, **{field: value}) for run in outcomes.runs.values()]
    with pytest.raises(UserError, match=words):
        Examiner(Outcomes(runs), Reporter())


def test_the_true_class_alone_is_framed_in_red(case: Case):
    rows = case_figure(case).subfigs[1].axes
    framed = [
        row
        for row, axes in enumerate(rows)
        for patch in axes.patches
        if isinstance(patch, Rectangle) and to_hex(patch.get_edgecolor()) == RED.lower()
    ]
    assert framed == [case.label + 1]
    assert len(rows) == 6


def test_every_model_has_a_mark_for_every_class(case: Case):
    figure = case_figure(case)
    marks = [line for line in figure.subfigs[0].axes[0].lines if line.get_marker() != "*"]
    found = sorted(float(np.rad2deg(line.get_xdata()[0])) for line in marks)
    assert found == pytest.approx(sorted(np.concatenate(list(case.angles.values()))))


def test_attention_lies_over_the_frames_of_query_class_and_rival(case: Case):
    figure = attention_figure(case)
    titles = [axes.texts[0].get_text() for axes in figure.subfigs[0].axes]
    assert len(titles) == 7
    assert f"given {case.label + 1} (true class)" in titles[1]
    assert case.classes[case.rival] in titles[-1]
    overlays = [image.get_array() for image in figure.subfigs[0].axes[0].images[8:]]
    assert len(overlays) == 8
    assert np.asarray(overlays[0]) == pytest.approx(case.attention.query_self[0])


def test_the_description_says_that_weights_are_random(case: Case):
    assert "untrained" in describe(case)
    assert "untrained" not in describe(replace(case, trained=True))


def test_the_command_writes_pictures_counts_and_what_it_drew(folder: Path, tmp_path: Path):
    said = succeeds("cases", folder, "--out", tmp_path, "--episodes", "1:2", "--json")
    stem = "episode-1-query-2"
    for name in (stem, f"{stem}-attention"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}.svg").read_text().rstrip().endswith("</svg>")
    content = json.loads((tmp_path / "cases.json").read_text())
    assert content["queries"] == 5 * EPISODES
    assert sum(share["queries"] for share in content["combinations"]) == 5 * EPISODES
    assert content["drawn"][0]["query"] == 2
    assert json.loads(said[: said.rindex("}") + 1]) == content


def test_cases_of_somebodys_own_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.report.cases.gallery.FORMATS", ("png",))  # half the time
    data, out = ("--data", videos_of(tmp_path / "videos", "abcde")), tmp_path / "runs"
    succeeds("run", *data, "--methods", ",".join(MODELS), "--episodes", 3, "--out", out)
    succeeds("cases", out, *data, "--episodes", 2, "--out", tmp_path / "cases")
    assert len(list((tmp_path / "cases").glob("*.png"))) == 2


def test_a_kind_that_does_not_occur_is_the_answer_no(folder: Path, tmp_path: Path):
    status, said = call("cases", folder, "--out", tmp_path, "--find", "fusion-only-right")
    assert status == 1
    assert "no query is a case of fusion-only-right" in said
    assert re.search(r"^wrong +wrong +right +0 ", said, flags=re.MULTILINE)
    assert max(map(len, said.splitlines())) <= 90
