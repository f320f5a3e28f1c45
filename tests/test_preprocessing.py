"""Showing videos to a backbone otherwise than it states: other frames, other sizes of pictures."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bench.features.backbones import load_backbone, with_preprocessing, with_preprocessing_of
from bench.features.embedding import feature_identity
from bench.plugins.registry import built_in_methods
from bench.pretrained import CroppedInput
from bench.running.checkpoints import tuned_backbone
from bench.runs.directory import read_run
from bench.weights.cards import WEIGHTS_FOLDER
from episodes.errors import UserError
from tests.command import call, refused
from tests.synthetic import CPU, embed

METHODS = built_in_methods()
RUNS = WEIGHTS_FOLDER.parent / "runs"


def test_features_of_the_default_are_kept_under_what_committed_runs_name():
    """But for the hash of the code, which is another since it is of syntax trees."""
    committed = json.loads((RUNS / "untrained" / "otam" / "run.json").read_text())
    then = committed["identity"]["features"]
    here = feature_identity(load_backbone("motion", CPU), "segment-centres", CPU).content()
    del here["source_sha256"]
    assert {name: then[name] for name in here} | {"device": "cpu"} == here


def test_features_of_another_size_are_kept_under_the_code_that_makes_it():
    resized = with_preprocessing(load_backbone("motion", CPU), None, "60")
    assert resized.source_sha256 != load_backbone("motion", CPU).source_sha256


def test_a_method_with_frames_of_its_own_keeps_them():
    loaded = with_preprocessing(load_backbone("motion", CPU), "2xlinspace", None)
    assert loaded.sampling_for(METHODS["otam"].cls) == "2 x linspace"
    assert loaded.sampling_for(METHODS["single-frame"].cls) == "middle-frame"


@pytest.mark.parametrize(("resize", "resized"), [("60", 60), ("48x70", (48, 70))])
def test_another_size_keeps_what_the_backbone_sees(resize: str, resized: object):
    plainly = load_backbone("motion", CPU).backbone.input
    spec = with_preprocessing(load_backbone("motion", CPU), None, resize).backbone.input
    assert spec == CroppedInput(
        plainly.frames, plainly.size, plainly.mean, plainly.std, resized=resized
    )


def test_the_backbone_that_is_given_stays_as_it_is():
    loaded = load_backbone("motion", CPU)
    before = loaded.backbone.input
    other = with_preprocessing(loaded, "linspace", "60")
    assert (loaded.sampling, loaded.backbone.input) == (None, before)
    clips = torch.randn(2, 3, before.frames, before.size, before.size)
    assert torch.equal(other.backbone(clips), loaded.backbone(clips))


@pytest.mark.parametrize(
    ("sampling", "resize", "message"),
    [
        (None, "40", "--resize 40: the backbone sees 48 x 48"),
        (None, "96x40", "--resize 96x40: the backbone sees"),
        (None, "99999x99999", "a side has at most 2048 pixels, of which the backbone sees 48"),
        (None, "large", "'large' is not a size"),
        (None, "48x48x3", "'48x48x3' is not a size"),
        ("dense", None, "no frame sampling is called 'dense'"),
    ],
)
def test_what_cannot_be_shown(sampling: str | None, resize: str | None, message: str):
    with pytest.raises(UserError, match=message):
        with_preprocessing(load_backbone("motion", CPU), sampling, resize)


def test_maps_of_the_clips_of_a_video_are_averaged():
    backbone = load_backbone("motion", CPU).backbone
    spec = backbone.input
    torch.manual_seed(0)
    videos = torch.randn(5, 3, 2 * spec.frames, spec.size, spec.size)
    together = embed(backbone, list(videos))
    halves = [embed(backbone, list(half)) for half in videos.split(spec.frames, dim=2)]
    assert together == pytest.approx((halves[0] + halves[1]) / 2, abs=1e-6)
    assert halves[0] != pytest.approx(halves[1], abs=1e-2)


@pytest.mark.parametrize(
    ("sampling", "resize"), [(None, None), ("2 x linspace", "60"), ("linspace", "48x70")]
)
def test_a_runs_features_say_how_to_make_them_again(sampling: str | None, resize: str | None):
    method = METHODS["mastaf"].cls
    loaded = with_preprocessing(load_backbone("motion", CPU), sampling, resize)
    then = feature_identity(loaded, loaded.sampling_for(method), CPU)
    again = with_preprocessing_of(then, load_backbone("motion", CPU))
    assert feature_identity(again, again.sampling_for(method), CPU) == then


def test_a_trained_backbone_is_shown_the_same(tmp_path: Path):
    loaded = with_preprocessing(load_backbone("motion", CPU), "linspace", "60")
    weights = {f"backbone.{name}": one for name, one in loaded.backbone.state_dict().items()}
    torch.save(weights, tmp_path / "tuned.pt")
    tuned = tuned_backbone(loaded, tmp_path / "tuned.pt", CPU)
    assert (tuned.sampling, tuned.backbone.input) == ("linspace", loaded.backbone.input)
    assert tuned.weights_sha256 != loaded.weights_sha256


SMALL = ("run", "--methods", "otam,single-frame", "--episodes", "2")


@pytest.fixture(scope="module")
def plainly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without options."""
    out = tmp_path_factory.mktemp("plain")
    assert call(*SMALL, "--out", out)[0] == 0
    return out


class TestRun:
    def test_other_frames_and_sizes_are_other_features(self, plainly: Path, tmp_path: Path):
        words = ("--sampling", "2xlinspace", "--resize", "60x60", "--out", tmp_path)
        assert call(*SMALL, *words)[0] == 0
        otam, frame = (
            read_run(tmp_path / name).identity.features for name in ("otam", "single-frame")
        )
        assert (otam.sampling, frame.sampling) == ("2 x linspace", "middle-frame")
        assert otam.input.resized == (60, 60)
        margins = (
            pd.read_parquet(out / "otam" / "rows.parquet")["margin"] for out in (tmp_path, plainly)
        )
        assert not np.allclose(*margins)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--sampling", "linspace"), "sampling segment-centres, not linspace"),
            (("--resize", "60"), "resize None, not 60"),
        ],
    )
    def test_a_run_with_others_is_not_replaced(
        self, plainly: Path, words: tuple[str, str], said: str
    ):
        before = (plainly / "otam" / "rows.parquet").read_bytes()
        printed = refused(*SMALL, *words, "--out", plainly)
        assert said in printed.replace("\n", " ")
        assert (plainly / "otam" / "rows.parquet").read_bytes() == before
