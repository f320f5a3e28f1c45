"""TensorBoard is an extra: missing it is refused before any work; else the curve is written."""

import importlib.util
from pathlib import Path

import pytest

from bench.training.outcome import write_tensorboard
from tests.command import refused


def test_a_missing_package_is_named_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = refused("train", "otam", "--tensorboard", "--out", tmp_path)
    assert "pip install fewshot-video-bench[tensorboard]" in text
    assert not list(tmp_path.iterdir())


def test_the_curve_is_written_for_tensorboard(tmp_path: Path):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    (tmp_path / "train.csv").write_text("step,nearest,validation_accuracy\n0,,0.5\n1,0.7,\n")
    write_tensorboard(tmp_path)
    write_tensorboard(tmp_path)  # the same command, given again
    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert b"validation_accuracy" in events.read_bytes()
