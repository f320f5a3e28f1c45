"""What the default banks are for: looks tell nothing, order tells something.

Committed rows of 10,000 episodes say so. They must come out again: the first episodes are run anew.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from bench.runs.directory import RESULTS_FOLDER
from episodes.banks.bank import open_bank
from episodes.rendered.grammar import classes
from methods.protonet import ProtoNet
from tests.command import call, predictions

BASELINE = RESULTS_FOLDER / "baselines" / "default"
"""Accepted runs of 2,000 episodes without training, without those that guess."""
COMMITTED = {
    "default": RESULTS_FOLDER / "runs" / "untrained",
    "default-order": RESULTS_FOLDER / "real" / "motion" / "default-order",
}
ORDER_AWARE = ("diagonal", "otam")
METHODS = ("chance", "single-frame", "protonet", "protonet-cosine", "bi-mhm", *ORDER_AWARE)


def hits(bank: str, method: str) -> np.ndarray:
    """Whether the committed answer to each query is right."""
    rows = pd.read_parquet(COMMITTED[bank] / method / "rows.parquet")
    return (rows["label"] == rows["prediction"]).to_numpy()


@pytest.mark.parametrize("bank", COMMITTED)
def test_committed_rows_come_out_again(bank: str, tmp_path: Path):
    words = ("--bank", bank, "--episodes", 4, "--weights", "none", "--out", tmp_path)
    assert call("run", "--methods", ",".join(METHODS), *words)[0] == 0
    found = predictions(tmp_path)
    assert found.keys() == set(METHODS)
    for method, answers in found.items():
        rows = pd.read_parquet(COMMITTED[bank] / method / "rows.parquet")
        other = answers != rows["prediction"].to_numpy()[: len(answers)]
        assert other.sum() <= 1, method  # where sums are rounded otherwise, a tie may turn


@pytest.mark.parametrize("bank", COMMITTED)
def test_looks_alone_are_near_chance(bank: str):
    assert hits(bank, "chance").mean() == pytest.approx(0.2, abs=0.005)
    assert hits(bank, "single-frame").mean() < 0.25


def test_matching_without_order_is_neither_hopeless_nor_easy():
    for bank in COMMITTED:
        assert 0.55 < hits(bank, "protonet-cosine").mean() < 0.75


def test_partners_are_harder_for_methods_that_do_not_see_order():
    lost = {
        name: hits("default", name).mean() - hits("default-order", name).mean() for name in METHODS
    }
    assert all(lost["protonet-cosine"] > lost[name] + 0.01 for name in ORDER_AWARE)


def test_order_shows_where_classes_differ_by_order_alone():
    kinds = {name: one.kind for name, one in classes()["test"].items()}
    bank = open_bank("default-order")
    labels = [bank.split.videos[query].label for query in bank.episodes.query.ravel()]
    of_swap = np.array([kinds[label] == "swap" for label in labels])
    right = {name: hits("default-order", name)[of_swap].mean() for name in METHODS}
    for name in ORDER_AWARE:
        assert right[name] > right["protonet-cosine"] + 0.04
        assert right[name] > right["bi-mhm"] + 0.01


def run_and_gate(methods: str, out: Path) -> tuple[int, str]:
    """Run 2,000 episodes of the default bank, on all 960 test videos, and ask the gate."""
    words = ("--bank", "default", "--episodes", 2000, "--weights", "none", "--out", out)
    assert call("run", "--methods", methods, *words)[0] == 0
    return call("gate", BASELINE, out, "--methods", methods)


@pytest.mark.slow
def test_no_method_is_worse_than_its_baseline(tmp_path: Path):
    methods = ",".join(path.name for path in (BASELINE / "default").iterdir())
    status, text = run_and_gate(methods, tmp_path)
    assert status == 0, text


@pytest.mark.slow
def test_the_gate_lets_a_refactoring_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def in_another_order(_: ProtoNet, features: Tensor) -> Tensor:
        return features.double().mean(dim=(3, 4)).mean(dim=2).float()

    monkeypatch.setattr(ProtoNet, "encode", in_another_order)
    status, text = run_and_gate("protonet", tmp_path)
    assert status == 0, text


@pytest.mark.slow
def test_the_gate_sees_the_loss_of_a_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def without_every_fourth_channel(_: ProtoNet, features: Tensor) -> Tensor:
        kept = torch.arange(features.shape[1]) % 4 > 0
        return features.mean(dim=(2, 3, 4)) * kept

    monkeypatch.setattr(ProtoNet, "encode", without_every_fourth_channel)
    status, text = run_and_gate("protonet", tmp_path)
    assert status == 1
    assert "−0.9" in text  # 0.96 points, on this bank
