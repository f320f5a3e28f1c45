"""Training steps of authors' own code, retraced by the learner and the optimiser used here."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.training.parity import check_training
from episodes.errors import UserError
from tests.command import call

FOLDER = Path(__file__).parents[1] / "golden-training"
QUICK = (
    *("can_5w1s", "hyrsm_5w5s", "hyrsm-supports_5w5s", "mastaf_5w1s", "mastaf-nores_5w1s"),
    *("mastaf-no-global_5w1s", "mastaf-noml-mean_5w5s", "molo_5w5s", "otam_5w1s", "pal_5w5s"),
    *("strm_5w5s", "strm-opened_5w1s", "team_5w5s", "trx_5w1s"),
)


@pytest.mark.parametrize("stem", QUICK)
def test_the_authors_steps_are_retraced(stem: str):
    missed = [one for one in check_training(FOLDER / f"{stem}.npz") if not one.ok]
    assert missed == []


def test_the_command_prints_a_line_for_each_check(tmp_path: Path):
    status, text = call("parity", "--training", FOLDER / "otam_5w5s.npz", "--json")
    checks = [one["check"] for one in json.loads(text)]
    assert (status, checks) == (0, ["losses", "gradients", "trajectory", "float32 inputs"])
    arrays = dict(np.load(FOLDER / "otam_5w5s.npz"))
    arrays["loss/episode"] = arrays["loss/episode"] * 1.001
    np.savez(tmp_path / "otam_other.npz", **arrays)
    status, text = call("parity", "--training", tmp_path / "otam_other.npz")
    assert status == 1
    assert "NOT EQUAL: loss/episode" in text


def test_a_file_that_says_no_method_is_refused(tmp_path: Path):
    (tmp_path / "other.npz").write_bytes((FOLDER / "otam_5w1s.npz").read_bytes())
    with pytest.raises(UserError, match="its name says no method"):
        check_training(tmp_path / "other.npz")


def test_a_file_of_another_kind_is_refused():
    with pytest.raises(UserError, match=r"holds no query_labels, loss/total, lr, optimizer"):
        check_training(FOLDER.parent / "golden" / "trx_5way1shot.npz")


def test_a_file_that_lacks_something_is_one_message(tmp_path: Path):
    arrays = dict(np.load(FOLDER / "trx_5w1s.npz"))
    del arrays["width"]
    np.savez(tmp_path / "trx.npz", **arrays)
    with pytest.raises(UserError, match=r"cannot be retraced.*width"):
        check_training(tmp_path / "trx.npz")
