import dataclasses
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import reference
from bench.conformance import parity
from bench.conformance.parity import check, exit_status, outputs
from bench.plugins.registry import built_in_methods
from bench.reference import reproduces
from episodes.errors import UserError

GOLDEN = Path(__file__).parent / "golden"
EPISODE = {
    "support": np.zeros((4, 3), np.float32),
    "query": np.ones((2, 3), np.float32),
    "support_labels": np.array([1, 0, 1, 0]),
}


@pytest.fixture
def registered(monkeypatch):
    """Empty the list of reproductions for one test."""
    parity.import_reproductions()
    monkeypatch.setattr(reference, "REPRODUCTIONS", found := [])
    monkeypatch.setattr(parity, "REPRODUCTIONS", found)
    return found


@pytest.fixture
def write(tmp_path):
    def save(**arrays):
        path = tmp_path / "file.npz"
        np.savez(path, **{**EPISODE, **arrays})
        return path

    return save


def test_what_counts_as_output():
    given = ["support", "query", "support_labels", "query_labels", "query_global_labels"]
    constants = ["scale", "lamda", "otam/lambda", "baseline/permutations", "x/cosine_epsilon"]
    weights = ["weight/cam.conv2", "strm/weight/a.b", "trx/cardinality2/weight/k", "x/initial.L"]
    results = ["x/logits", "ata/iter50/scale", "surprise", "x/loss", "x/weights", "x/initial_sum"]
    assert outputs(given + constants + weights + results) == results
    names = [np.load(path).files for path in GOLDEN.glob("*.npz")]
    assert sum(len(outputs(one)) for one in names) == 252, "none of the files' is passed over"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.npz")), ids=lambda path: path.stem)
def test_what_the_authors_code_computed_is_reproduced(path):
    results = check(path)
    assert [result for result in results if not result.ok] == []
    assert all(result.difference <= result.tolerance for result in results)
    assert exit_status(results) == 0


EPSILON = {"epsilon": "cosine_epsilon"}
PLACES = ("heads", "position_a", "position_b", "class_weight")
DEFAULTS = (
    ("ata", "golden/ata_5way1shot", ("scale", "sigma"), {}),
    ("can", "golden/can_5way1shot", ("scale", "temperature"), {"lamda": "nn_weight"}),
    ("can-transductive", "golden/can_5way1shot", (), {"fraction": "can/transductive_fraction"}),
    *((one, "golden/matching_5way1shot", (), EPSILON) for one in ("chamfer", "linear", "visil")),
    ("hyrsm", "golden-training/hyrsm_5w5s", PLACES, {}),
    ("mastaf", "golden/mastaf_5way1shot", ("alpha", "lamda", "scale", "temperature"), {}),
    (
        *("molo", "golden-training/molo_5w5s"),
        *((*PLACES, "contrastive_weight", "motion_weight"), {}),
    ),
    ("otam", "golden-training/otam_5w1s", (), {**EPSILON, "temperature": "lambda"}),
    ("strm", "golden-training/strm_5w5s", ("auxiliary",), {}),
    ("team", "golden/team_5way1shot", (), {"position_scale": "pe_scale"}),
    ("tsn-cosine", "golden/tsn_5way1shot", (), EPSILON),
)
"""Method, file, settings of the same name in both, and others with their names in the file."""


@pytest.mark.parametrize(
    ("method", "file", "alike", "renamed"), DEFAULTS, ids=[one for one, *_ in DEFAULTS]
)
def test_settings_are_by_default_as_in_the_authors_files(method, file, alike, renamed):
    settings = built_in_methods()[method].settings
    with np.load(GOLDEN.parent / f"{file}.npz") as theirs:
        for name, fact in [*zip(alike, alike, strict=True), *renamed.items()]:
            assert getattr(settings, name) == pytest.approx(theirs[fact].item()), name


def test_equal_and_unequal(registered, write):
    @reproduces("a/*", tolerance=0.5)
    def compute(golden, output):
        return golden.query()[0].sum(dim=1)

    near, far = np.array([3.4, 3], np.float32), np.array([3, 4.0])
    results = check(write(**{"a/near": near, "a/far": far}))
    assert [result.status for result in results] == ["ok", "NOT EQUAL"]
    assert results[0].difference == pytest.approx(0.4)
    assert results[1].difference == 1
    assert results[1].reason == "differs by 1, more than 0.5"
    assert exit_status(results) == 1
    assert exit_status(results[:1]) == 0


def test_nothing_is_skipped(registered, write):
    reproduces("a")(lambda golden, output: torch.zeros(2))
    results = check(write(**{"a": np.zeros(2), "b/unknown": np.zeros(()), "odd": np.zeros(1)}))
    assert [(result.output, result.status) for result in results] == [
        ("a", "ok"),
        ("b/unknown", "not implemented"),
        ("odd", "not implemented"),
    ]
    assert results[1].reason == "no reproduction of it is registered"
    assert exit_status(results) == 0
    assert exit_status(results[1:]) == exit_status(check(write())) == 2


def test_what_a_reproduction_raises_is_an_error(registered, write):
    @reproduces("a/defect")
    def defect(golden, output):
        return golden.tensor("a/weight/missing")

    @reproduces("a/mistake")
    def mistake(golden, output):
        raise UserError("the weights are of another method")

    words = {"a/defect": np.zeros(2), "a/mistake": np.zeros(2), "a/words": np.array(["word"])}
    reproduces("a/words")(lambda golden, output: torch.zeros(1))
    results = check(write(**words))
    assert [result.status for result in results] == ["error"] * 3
    assert results[0].reason == "KeyError: 'a/weight/missing'"
    assert results[1].reason == "the weights are of another method"
    assert exit_status(results) == 1


def test_two_reproductions_of_one_output_are_an_error(registered, write):
    @reproduces("a/x", "a/*")
    def first(golden, output):
        return torch.zeros(2)

    path = write(**{"a/x": np.zeros(2)})
    assert check(path)[0].ok

    @reproduces("*/x")
    def second(golden, output):
        return torch.zeros(2)

    (result,) = check(path)
    assert result.status == "error"
    assert "first" in result.reason
    assert "second" in result.reason


def test_another_shape_is_not_equal(registered, write):
    reproduces("a")(lambda golden, output: torch.zeros(1, 2))
    (result,) = check(write(a=np.zeros(2)))
    assert result.status == "NOT EQUAL"
    assert result.reason == "shape (1, 2) instead of (2,)"
    assert result.shape == (2,)
    assert result.difference is None


@pytest.mark.parametrize(
    ("ours", "theirs", "status"),
    [
        ([np.nan, 0], [0, 0], "NOT EQUAL"),
        ([0, 0], [np.nan, 0], "NOT EQUAL"),
        ([np.nan, 0], [np.nan, 0], "NOT EQUAL"),
        ([np.inf, 0], [0, 0], "NOT EQUAL"),
        ([-np.inf, 0], [-np.inf, 0], "ok"),
    ],
)
def test_numbers_that_are_not_finite(registered, write, ours, theirs, status):
    reproduces("a")(lambda golden, output: torch.tensor(ours))
    (result,) = check(write(a=np.array(theirs)))
    assert result.status == status
    assert result.difference == (0 if status == "ok" else None)


def test_results_are_json(registered, write):
    reproduces("a")(lambda golden, output: torch.full((2,), torch.nan))
    records = [dataclasses.asdict(result) for result in check(write(a=np.zeros(2), b=np.zeros(1)))]
    first = json.loads(json.dumps(records, allow_nan=False))[0]
    assert (first["output"], first["shape"], first["difference"]) == ("a", [2], None)
    assert (first["status"], first["reason"]) == ("NOT EQUAL", "2 of 2 numbers are not finite")


def test_gradients_are_off_and_the_global_random_state_is_left_alone(registered, write):
    @reproduces("a")
    def compute(golden, output):
        assert not torch.is_grad_enabled()
        return torch.rand(2)

    before = torch.get_rng_state()
    check(write(a=np.zeros(2)))
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_no_file_of_plain_arrays_is_refused(tmp_path, write):
    whole = write(a=np.random.default_rng(0).random(1000)).read_bytes()
    single, pickled = io.BytesIO(), io.BytesIO()
    np.save(single, np.zeros(3))
    np.savez(pickled, **EPISODE, a=np.array([{"an": "object"}], dtype=object))
    path = tmp_path / "other.npz"
    with pytest.raises(UserError, match="there is no such file"):
        check(path)
    for content in (
        *(b"", b"no numbers", b"PK\x03\x04 cut off", whole[:5000]),
        *(single.getvalue(), pickled.getvalue(), pickle.dumps(EPISODE)),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not an intact"):
            check(path)
    with pytest.raises(UserError, match="not an intact"):
        check(tmp_path)


@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 0, 0, 1], [0, 0, 2, 2], [1, 1, 2, 2], []])
def test_irregular_labels(write, labels):
    with pytest.raises(UserError, match="the same number"):
        check(write(support_labels=np.array(labels, int), a=np.zeros(1)))


def test_no_episode(tmp_path):
    path = tmp_path / "file.npz"
    np.savez(path, a=np.zeros(2))
    with pytest.raises(UserError, match="holds no support, query, support_labels"):
        check(path)
