"""What the default banks are for: looks tell nothing, order tells something."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from episodes.banks.bank import Bank, open_bank
from episodes.rendered.grammar import classes
from methods.protonet import ProtoNet
from tests.command import call

EPISODES = 2000
METHODS = "chance,single-frame,protonet,protonet-cosine,bi-mhm,diagonal,otam,mastaf"
BASELINE = Path(__file__).parents[1] / "results" / "baselines" / "default"
"""Accepted runs of these methods without training, save those that guess."""
ORDER_AWARE = ("diagonal", "otam")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both banks, on all 960 rendered test videos."""
    out = tmp_path_factory.mktemp("default")
    words = ("--bank", "default,default-order", "--episodes", EPISODES, "--out", out)
    assert call("run", "--methods", METHODS, "--weights", "none", *words)[0] == 0
    return out


def accuracies(results: Path, bank: str) -> dict[str, float]:
    summary = json.loads((results / bank / "summary.json").read_text())
    return {row["method"]: row["accuracy"] for row in summary["rows"]}


def is_of_swap_class(bank: Bank) -> np.ndarray:
    """For every query, whether its class is one of "a then b"."""
    kinds = {name: one.kind for name, one in classes()["test"].items()}
    videos = bank.split.videos
    return np.array([kinds[videos[query].label] == "swap" for query in bank.episodes.query.ravel()])


@pytest.mark.parametrize("bank", ["default", "default-order"])
def test_looks_alone_are_near_chance(results: Path, bank: str):
    found = accuracies(results, bank)
    assert found["chance"] == pytest.approx(0.2, abs=0.015)
    assert found["single-frame"] < 0.25


def test_matching_without_order_is_neither_hopeless_nor_easy(results: Path):
    for bank in ("default", "default-order"):
        assert 0.55 < accuracies(results, bank)["protonet-cosine"] < 0.75


def test_partners_are_harder_for_methods_that_do_not_see_order(results: Path):
    easy, hard = accuracies(results, "default"), accuracies(results, "default-order")
    lost = {name: easy[name] - hard[name] for name in easy}
    assert all(lost["protonet-cosine"] > lost[name] + 0.01 for name in ORDER_AWARE)


def test_order_shows_where_classes_differ_by_order_alone(results: Path):
    of_swap = is_of_swap_class(open_bank("default-order", EPISODES))
    right = {}
    for name in METHODS.split(","):
        rows = pd.read_parquet(results / "default-order" / name / "rows.parquet")
        right[name] = (rows["label"] == rows["prediction"]).to_numpy()[of_swap].mean()
    for name in ORDER_AWARE:
        assert right[name] > right["protonet-cosine"] + 0.04
        assert right[name] > right["bi-mhm"] + 0.01


def test_no_method_is_worse_than_its_baseline(results: Path):
    status, text = call("gate", BASELINE, results / "default")
    assert status == 0, text


def with_encode(encode: Callable[[ProtoNet, Tensor], Tensor], out: Path) -> tuple[int, str]:
    """Run ProtoNet with another `encode`, and ask the gate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProtoNet, "encode", encode)
        words = ("--bank", "default", "--episodes", EPISODES, "--out", out)
        assert call("run", "--methods", "protonet", *words)[0] == 0
    return call("gate", BASELINE / "default" / "protonet", out)


def test_the_gate_lets_a_refactoring_pass(results: Path, tmp_path: Path):
    def in_another_order(_: ProtoNet, features: Tensor) -> Tensor:
        return features.double().mean(dim=(3, 4)).mean(dim=2).float()

    status, text = with_encode(in_another_order, tmp_path)
    assert status == 0, text


def test_the_gate_sees_the_loss_of_a_point(results: Path, tmp_path: Path):
    def without_every_fourth_channel(_: ProtoNet, features: Tensor) -> Tensor:
        kept = torch.arange(features.shape[1]) % 4 > 0
        return features.mean(dim=(2, 3, 4)) * kept

    status, text = with_encode(without_every_fourth_channel, tmp_path)
    assert status == 1
    assert "−0.9" in text  # 0.96 points, on this bank
