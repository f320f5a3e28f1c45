"""Backbones of the package ``transformers``: ResNet-50, ViViT, VideoMAE, TimeSformer.

Weights are named as there: a model of the hub, or a folder that `save_pretrained` wrote.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from bench.backbone import InputSpec
from bench.pretrained import CroppedInput, Pretrained, content_sha256
from episodes.errors import UserError, note
from methods.backbones._framewise import framewise

LABELS = {
    174: "something-something-v2",
    400: "kinetics-400",
    600: "kinetics-600",
    700: "kinetics-700",
    1000: "imagenet-1k",
}
"""Data sets by the number of labels that a published classifier tells apart."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class HuggingFace(Pretrained):
    """A network of ``transformers``, its outputs put on a grid in time, height and width.

    Args:
        network: an evaluated model.
        processor: its image processor's settings, where they are known.
    """

    revision = 1
    architecture: ClassVar[str]
    """Name of the model's class in ``transformers``."""
    usual: ClassVar[str]
    """The model of the hub that is meant if none is named; its commit has to be, all the same."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Options that the model's class is given beside its configuration."""

    def __init_subclass__(cls) -> None:
        """Say where the weights come from, the same way for every network."""
        super().__init_subclass__()
        if "usual" in vars(cls):
            cls.weights = (
                f"pip install 'fewshot-video-bench[transformers]', then --backbone"
                f" {cls.name}=FOLDER or {cls.name}=MODEL@COMMIT of the hub, such as {cls.usual}"
            )

    def __init__(self, network: Any, processor: Mapping[str, Any] | None = None) -> None:
        """Keep the network, and state what its configuration decides."""
        super().__init__()
        self.network = network
        self.declare(**self.shape_of(network.config))
        self.declare(input=_input(self.input, processor or {}))

    @classmethod
    def load(cls, where: str) -> tuple[Self, str]:
        """Build the backbone with the weights of a model of the hub, or of a folder."""
        place = where or cls.usual
        network, processor, model = from_pretrained(cls.architecture, place, cls.options)
        backbone = cls(network, processor)
        labels = network.config.num_labels
        known = LABELS.get(labels)
        backbone.declare(
            pretraining=f"{model}: {f'{labels} labels of {known}' if known else 'unknown data'}",
            seen=(known,) if known else None,
        )
        return backbone, content_sha256(network.state_dict())

    def shape_of(self, config: Any) -> dict[str, Any]:
        """Return channels, grid and input that a configuration stands for."""
        raise NotImplementedError


class ResNet50(HuggingFace):
    """ResNet-50 on every frame by itself, as TRX, HyRSM and most other work has it.

    Source: He, Zhang, Ren, Sun, CVPR 2016, arXiv:1512.03385.
    """

    name = "resnet50"
    source = "He, Zhang, Ren, Sun, CVPR 2016"
    pretraining = "ImageNet-1k, with labels"
    architecture = "ResNetModel"
    usual = "microsoft/resnet-50"
    input = CroppedInput(8, 224, *IMAGENET, resized=256)
    channels = 2048
    grid = (8, 7, 7)

    def shape_of(self, config: Any) -> dict[str, Any]:
        """Every stage but the first halves the map, after the two halvings of the stem."""
        side = self.input.size // 2 ** (len(config.depths) + 1)
        return {"channels": config.hidden_sizes[-1], "grid": (self.input.frames, side, side)}

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, 8, 224, 224) -> (videos, 2048, 8, 7, 7)."""
        return framewise(lambda images: self.network(images).last_hidden_state, clips)


class _Transformer(HuggingFace):
    """A video transformer: a token for each tubelet of a clip, in the order time, height, width."""

    extra_tokens: ClassVar[int] = 0
    """Leading tokens that are no tubelets, such as a class token."""

    def shape_of(self, config: Any) -> dict[str, Any]:
        """The grid of tokens."""
        time, patch = self.token_size(config)
        side = config.image_size // patch
        spec = self.input
        size = InputSpec(config.num_frames, config.image_size, spec.mean, spec.std)
        grid = (config.num_frames // time, side, side)
        return {"channels": config.hidden_size, "grid": grid, "input": size}

    def token_size(self, config: Any) -> tuple[int, int]:
        """Tubelet size: frames, and pixels per side."""
        return config.tubelet_size, config.patch_size

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, frames, size, size) -> (videos, channels, *grid)."""
        tokens = self.network(pixel_values=clips.transpose(1, 2)).last_hidden_state
        return self.on_grid(tokens[:, self.extra_tokens :]).contiguous()

    def on_grid(self, tokens: Tensor) -> Tensor:
        """(videos, tokens, channels) -> (videos, channels, *grid)."""
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid)


class ViViT(_Transformer):
    """A transformer over tubelets of two frames.

    Source: Arnab, Dehghani, Heigold, Sun, Lucic, Schmid, ICCV 2021, arXiv:2103.15691.
    """

    name = "vivit"
    source = "Arnab et al., ICCV 2021"
    pretraining = "Kinetics-400, with labels"
    architecture = "VivitModel"
    usual = "google/vivit-b-16x2-kinetics400"
    # Published classifiers have no pooling layer: its weights would be random, new in every run.
    options: ClassVar[Mapping[str, Any]] = {"add_pooling_layer": False}
    input = CroppedInput(32, 224, *HALF, resized=256)
    channels = 768
    grid = (16, 14, 14)
    extra_tokens = 1

    def token_size(self, config: Any) -> tuple[int, int]:
        """ViViT states both in one list."""
        return config.tubelet_size[0], config.tubelet_size[1]


class VideoMAE(_Transformer):
    """A transformer pretrained by masked video modelling.

    Source: Tong, Song, Wang, Wang, NeurIPS 2022, arXiv:2203.12602.
    """

    name = "videomae"
    source = "Tong, Song, Wang, Wang, NeurIPS 2022"
    pretraining = "Kinetics-400, with labels"
    architecture = "VideoMAEModel"
    usual = "MCG-NJU/videomae-base-finetuned-kinetics"
    input = InputSpec(16, 224, *IMAGENET)
    channels = 768
    grid = (8, 14, 14)


class TimeSformer(_Transformer):
    """A transformer that attends over time and over space in turn (divided attention).

    Source: Bertasius, Wang, Torresani, ICML 2021, arXiv:2102.05095.
    """

    name = "timesformer"
    source = "Bertasius, Wang, Torresani, ICML 2021"
    pretraining = "Kinetics-400, with labels"
    architecture = "TimesformerModel"
    usual = "facebook/timesformer-base-finetuned-k400"
    input = InputSpec(8, 224, (0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
    channels = 768
    grid = (8, 14, 14)
    extra_tokens = 1

    def token_size(self, config: Any) -> tuple[int, int]:
        """Every frame has tokens of its own."""
        return 1, config.patch_size

    def on_grid(self, tokens: Tensor) -> Tensor:
        """Tokens of one place at all times stand side by side here."""
        frames, height, width = self.grid
        maps = tokens.transpose(1, 2).reshape(len(tokens), -1, height, width, frames)
        return maps.permute(0, 1, 4, 2, 3)


def from_pretrained(
    architecture: str, place: str, options: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any], str]:
    """Load a network, its image or video processor's settings, and what it is called.

    A folder is read without the network; a model of the hub is fetched, which is said on stderr.

    Args:
        architecture: its class in transformers.
        place: a folder, or a model of the hub at a commit, MODEL@COMMIT.
        options: what the class is told.

    Raises:
        UserError: the package or the model is not there, or it is another kind of model.
    """
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"the package transformers cannot be imported ({error}); `pip install"
            " 'fewshot-video-bench[transformers]'`"
        ) from error
    cls = getattr(transformers, architecture)
    try:
        name, pinned = located(place)
        _check_kind(cls, name, pinned)
        with _quietly(transformers.utils.logging):
            # Weights in any other form are a pickle, which can hold code.
            network, found = cls.from_pretrained(
                name, output_loading_info=True, use_safetensors=True, **pinned, **options
            )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(
            f"no {architecture} could be loaded from {place!r}: {str(error).splitlines()[0]};"
            " name a model of the hub, or a folder with its config.json and model.safetensors"
        ) from error
    missing = sorted(found["missing_keys"])
    if missing and all(key.startswith("pooler.") for key in missing):
        network.pooler = None  # published classifiers have none, and nothing here looks at it
    elif missing:
        raise UserError(
            f"{place} lacks weights of {architecture}: {', '.join(missing[:3])}, {len(missing)} in"
            " all, which would be random; name a model that has them"
        )
    # Clips are float32, whatever the weights were saved in.
    return network.float(), _processor_settings(name, pinned), stated(name, pinned)


def located(place: str) -> tuple[str, dict[str, Any]]:
    """Place of a model, a folder or a name on the hub, and what transformers is told of it.

    A model of the hub is taken at the commit that is named, so that it is the same whenever it is
    asked for, and configuration, weights and processor are of one state.

    Raises:
        UserError: no such folder, or a model of the hub without its commit; the message names it.
        OSError: the hub has no such model, or cannot be reached.
    """
    folder = Path(place).expanduser()
    if folder.is_dir():
        return str(folder), {"local_files_only": True}
    name, _, revision = place.partition("@")
    if place.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(
            f"{place}: there is no such folder, and no model of the hub is called so, but"
            " OWNER/MODEL@COMMIT"
        )
    from transformers.utils.hub import cached_file

    note(f"{name} is taken from the hub, https://huggingface.co/{name}, or from its cache here")
    file = cached_file(name, "config.json", **({"revision": revision} if revision else {}))
    commit = Path(str(file)).parent.name  # as the hub's client keeps files
    if commit != revision:
        raise UserError(
            f"{place} stands for whatever its owners uploaded last, which is commit {commit} now;"
            f" name the commit: {name}@{commit}"
        )
    return name, {"revision": commit}


def stated(name: str, pinned: Mapping[str, Any]) -> str:
    """A model's name with its commit, if it is of the hub."""
    return f"{name}@{pinned['revision']}" if "revision" in pinned else name


def _processor_settings(name: str, pinned: Mapping[str, Any]) -> Mapping[str, Any]:
    """Preparation that a model wants of pictures; empty where it does not say."""
    from transformers.image_processing_base import ImageProcessingMixin
    from transformers.video_processing_utils import BaseVideoProcessor

    for read in (
        ImageProcessingMixin.get_image_processor_dict,
        BaseVideoProcessor.get_video_processor_dict,
    ):
        with suppress(OSError, ValueError, ImportError):
            found: Mapping[str, Any] = read(name, **pinned)[0]
            return found
    return {}


def _check_kind(cls: Any, place: str, pinned: Mapping[str, Any]) -> None:
    """Refuse another kind of model: what it has no weights for would be random."""
    if not hasattr(cls, "config_class"):  # AutoModel takes any
        return
    kind = cls.config_class.get_config_dict(place, **pinned)[0].get("model_type")
    if kind not in {None, cls.config_class.model_type}:
        raise UserError(f"{place} is a model of kind {kind}, not {cls.config_class.model_type}")


@contextmanager
def _quietly(logging: Any) -> Iterator[None]:
    """Keep transformers from reporting the classifier's weights, which have no place here."""
    before = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _input(spec: InputSpec, processor: Mapping[str, Any]) -> InputSpec:
    """The input as a model's image processor prepares it."""
    mean = tuple(processor.get("image_mean", spec.mean))
    std = tuple(processor.get("image_std", spec.std))
    short = (processor.get("size") or {}).get("shortest_edge")
    if processor.get("crop_pct") and short:
        short = round(short / processor["crop_pct"])
    if short and short != spec.size:
        return CroppedInput(spec.frames, spec.size, mean, std, resized=max(short, spec.size))
    resized = spec.resized if isinstance(spec, CroppedInput) and not short else None
    if resized:
        return CroppedInput(spec.frames, spec.size, mean, std, resized=resized)
    return InputSpec(spec.frames, spec.size, mean, std)
