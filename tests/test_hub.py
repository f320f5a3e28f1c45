"""``--backbone hub=WHERE``: any image or video encoder of transformers, on tiny random models."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.backbone import InputSpec
from bench.conformance.backbones import examine_backbone
from bench.features.backbones import LoadedBackbone, load_backbone
from bench.pretrained import CroppedInput
from episodes.errors import UserError
from tests.command import refused
from tests.synthetic import CPU
from tests.tiny_models import RESNET, TIMESFORMER, VIDEOMAE, VIT, VIVIT, make

# Imported where it is used: that takes seconds, also of a worker that runs none of these tests.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
SIZES = {name: VIT[name] for name in VIT if name not in ("image_size", "patch_size")}
TEXT = SIZES | {"vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
VJEPA2 = SIZES | {"crop_size": 64, "patch_size": 16, "frames_per_clip": 8, "hidden_size": 48}
VJEPA2 |= {"num_pooler_layers": 1, "pred_hidden_size": 24}
VJEPA2 |= {"pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
HALF = (0.5, 0.5, 0.5)


MODELS: dict[str, Callable[[], Any]] = {
    "clip": lambda: make("CLIPModel", {"vision_config": VIT, "text_config": TEXT}),
    "siglip": lambda: make("SiglipModel", {"vision_config": VIT, "text_config": TEXT}),
    "clip-vision": lambda: make("CLIPVisionModel", VIT),
    "dinov2": lambda: make("Dinov2Model", VIT),
    "dinov2-registers": lambda: make("Dinov2WithRegistersModel", VIT),
    "vit-classifier": lambda: make("ViTForImageClassification", VIT),
    "vjepa2": lambda: make("VJEPA2Model", VJEPA2),
    "videomae": lambda: make("VideoMAEModel", VIDEOMAE),
    "vivit-classifier": lambda: make("VivitForVideoClassification", VIVIT),
    "resnet": lambda: make("ResNetModel", RESNET),
}
GRIDS = {"vjepa2": (4, 4, 4), "videomae": (4, 4, 4), "vivit-classifier": (4, 4, 4)}


def saved(folder: Path, model: str = "dinov2", **processor: Any) -> LoadedBackbone:
    """Save a model, load it as a backbone."""
    MODELS[model]().save_pretrained(folder)
    if processor:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return load_backbone(f"hub={folder}", CPU)


@pytest.mark.parametrize("model", MODELS)
def test_tokens_stand_on_the_grid_of_their_places(model: str, tmp_path: Path):
    loaded = saved(tmp_path, model)
    report = examine_backbone(model, loaded.backbone)
    assert not report.breaches
    assert loaded.backbone.grid == GRIDS.get(model, (8, 7, 7) if model == "resnet" else (8, 4, 4))
    assert loaded.weights_sha256 == load_backbone(f"hub={tmp_path}", CPU).weights_sha256


def test_a_frame_of_clip_is_what_its_own_tower_makes_of_it(tmp_path: Path):
    import transformers

    loaded = saved(tmp_path, "clip")
    clip = torch.randn(1, 3, 8, 64, 64)
    with torch.no_grad():
        tower = transformers.CLIPModel.from_pretrained(tmp_path).eval().vision_model
        tokens = tower(pixel_values=clip[:, :, 3]).last_hidden_state[0, 1:]
        maps = loaded.backbone(clip)[0, :, 3]
    torch.testing.assert_close(maps, tokens.T.unflatten(1, (4, 4)), rtol=1e-4, atol=1e-5)


SQUARE = {"height": 64, "width": 64}


def shortest(edge: int) -> dict[str, Any]:
    return {"size": {"shortest_edge": edge}}


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (shortest(80) | {"crop_size": SQUARE}, CroppedInput(8, 64, HALF, HALF, resized=80)),
        (
            {"size": SQUARE, "image_mean": [0.1, 0.2, 0.3]},
            CroppedInput(8, 64, (0.1, 0.2, 0.3), HALF, resized=(64, 64)),
        ),
        (shortest(64) | {"image_std": [1, 1, 1]}, InputSpec(8, 64, HALF, (1, 1, 1))),
        ({"size": 48, "do_normalize": False}, CroppedInput(8, 48, (0,) * 3, (1,) * 3, (48, 48))),
        (shortest(56) | {"crop_pct": 0.875}, CroppedInput(8, 56, HALF, HALF, resized=64)),
    ],
)
def test_the_models_processor_decides_the_input(
    processor: dict[str, Any], expected: InputSpec, tmp_path: Path
):
    assert saved(tmp_path, **processor).backbone.input == expected


def test_a_folder_is_read_without_the_network_and_a_name_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    saved(tmp_path, size=64)
    assert "hub" not in capsys.readouterr().err
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="no AutoModel could be loaded"):
        load_backbone(f"hub=some-one/some-model@{'1' * 40}", CPU)
    assert "note: some-one/some-model is taken from the hub" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["nowhere", "./nowhere", "/a/b/c"])
def test_a_folder_that_is_missing_is_not_asked_of_the_hub(where: str):
    assert "there is no such folder" in refused("check-backbone", f"hub={where}")


def test_a_model_has_to_be_named():
    assert "backbone hub needs a model" in refused("check-backbone", "hub")


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("TimesformerModel", TIMESFORMER, "--backbone timesformer="),
        ("BertModel", TEXT, "whose output is not understood"),
    ],
)
def test_a_model_without_a_grid_is_refused(
    kind: str, config: dict[str, Any], words: str, tmp_path: Path
):
    make(kind, config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=words):
        load_backbone(f"hub={tmp_path}", CPU)


class TestFromTheHub:
    """Without the network: from a cache as the hub's client keeps it."""

    COMMITS = ("1" * 40, "2" * 40)

    @pytest.fixture
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Two commits of a model, the second of which its name stands for."""
        model = tmp_path / "models--some-one--some-model"
        for number, commit in enumerate(self.COMMITS):
            network = MODELS["dinov2"]()
            torch.nn.init.constant_(network.layernorm.bias, number)
            network.save_pretrained(model / "snapshots" / commit)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text(self.COMMITS[1])
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        return model

    @pytest.mark.parametrize("kind", ["hub", "clip", "videomae"])
    @pytest.mark.parametrize("revision", ["", "@main"])
    def test_a_model_is_not_loaded_without_its_commit_which_is_said(
        self, kind: str, revision: str, cache: Path
    ):
        with pytest.raises(UserError, match=f"name the commit: some-one/some-model@{'2' * 40}"):
            load_backbone(f"{kind}=some-one/some-model{revision}", CPU)

    def test_a_commit_decides_the_weights_and_is_noted(self, cache: Path):
        older, newer = (
            load_backbone(f"hub=some-one/some-model@{commit}", CPU) for commit in self.COMMITS
        )
        assert older.weights_sha256 != newer.weights_sha256
        assert f"some-one/some-model@{self.COMMITS[0]}" in older.backbone.pretraining

    def test_weights_that_need_pickle_are_not_read(self, cache: Path):
        snapshot = cache / "snapshots" / self.COMMITS[1]
        (snapshot / "model.safetensors").unlink()
        torch.save(MODELS["dinov2"]().state_dict(), snapshot / "pytorch_model.bin")
        with pytest.raises(UserError, match="no AutoModel could be loaded"):
            load_backbone(f"hub=some-one/some-model@{self.COMMITS[1]}", CPU)
