"""Any image or video model of the package ``transformers`` whose tokens or maps form a grid.

Named as there: ``--backbone hub=MODEL@COMMIT`` of the hub, or ``hub=FOLDER`` that `save_pretrained`
wrote. Tried with CLIP, SigLIP, DINOv2 and ViT (images), V-JEPA 2, VideoMAE and ViViT (videos),
ResNet and ConvNeXt (maps instead of tokens).
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from bench.backbone import InputSpec
from bench.pretrained import CroppedInput, Pretrained, content_sha256
from episodes.errors import UserError, note
from methods.backbones._framewise import framewise
from methods.backbones.hugging_face import HALF, from_pretrained

FRAMES = 8
"""Frames of a clip for models of images."""


class Hub(Pretrained):
    """The last hidden state of a model's vision encoder, on its grid in time, height and width.

    Models of images see every frame by itself. Leading tokens that are no patches, such as a class
    token and registers, are left out; so is whatever follows the encoder: poolers, projections into
    a space shared with words, predictors, classifiers.

    Differs: pictures are resized by bilinear interpolation with antialiasing, whatever the model's
    processor names; size, crop, mean and standard deviation are the processor's.

    Args:
        network: an evaluated encoder of images or videos.
        config: its configuration.
        processor: settings of its image or video processor, where they are known.
    """

    name = "hub"
    revision = 1
    source = "the model's own, see its card"
    pretraining = "whatever the model has seen"
    weights = (
        "pip install 'fewshot-video-bench[transformers]', then --backbone hub=FOLDER or"
        " hub=MODEL@COMMIT, such as a commit of facebook/dinov2-small"
    )
    input = InputSpec(FRAMES, 224, *HALF)
    channels = 768
    grid = (FRAMES, 14, 14)

    def __init__(self, network: Any, config: Any, processor: Mapping[str, Any]) -> None:
        """Keep the network, and find out what it gives by showing it an empty clip."""
        super().__init__()
        self.network = network
        frames = _first_of(config, "num_frames", "frames_per_clip")
        self._of_videos = frames is not None
        self._argument = _argument(network)
        spec = _input(processor, _first_of(config, "image_size", "crop_size"), frames or FRAMES)
        self.declare(input=spec)
        with torch.no_grad():
            found = self._hidden(torch.zeros(1, 3, spec.frames, spec.size, spec.size))
        self.declare(channels=found.shape[1], grid=tuple(found.shape[2:]))

    @classmethod
    def load(cls, where: str) -> tuple[Self, str]:
        """Build the backbone from a model of the hub, or from a folder."""
        if not where:
            raise UserError(f"backbone {cls.name} needs a model: {cls.weights}")
        network, processor, model = from_pretrained("AutoModel", where, {})
        if not processor:
            note(f"{where} does not say how pictures are prepared: they are scaled to -1 .. 1")
        config = network.config
        if config.model_type == "timesformer":
            raise UserError(
                f"{where}: TimeSformer orders its tokens by place, not by time; name it"
                f" --backbone timesformer={where}"
            )
        kind = config.model_type
        if hasattr(config, "vision_config"):
            if not hasattr(network, "vision_model"):
                raise UserError(f"{where} is a model of kind {kind}, without a vision encoder")
            network, config = network.vision_model, config.vision_config
        elif hasattr(network, "predictor"):  # V-JEPA 2's is for training alone
            network = network.encoder
        try:
            backbone = cls(network.eval(), config, processor)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{where} is a model of kind {kind}, whose output is not understood"
                f" ({' '.join(str(error).split())[:200]}); write a backbone of your own for it:"
                " `fvbench new-backbone NAME`"
            ) from error
        backbone.declare(pretraining=f"{model} ({kind}): see the model's card")
        return backbone, content_sha256(network.state_dict())

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, frames, size, size) -> (videos, C, *grid)."""
        return self._hidden(clips).contiguous()

    def _hidden(self, clips: Tensor) -> Tensor:
        if not self._of_videos:
            return framewise(self._of_images, clips)
        tokens: Tensor = self.network(**{self._argument: clips.transpose(1, 2)}).last_hidden_state
        steps = clips.shape[2] // _tubelet(self.network.config)
        return _on_grid(tokens, steps, self._side(clips))

    def _of_images(self, images: Tensor) -> Tensor:
        """(images, 3, size, size) -> (images, C, side, side)."""
        hidden: Tensor = self.network(**{self._argument: images}).last_hidden_state
        if hidden.ndim == 4:  # a convolutional network has maps already
            return hidden
        return _on_grid(hidden, 1, self._side(images))[:, :, 0]

    def _side(self, pictures: Tensor) -> int:
        """Tokens along a side of a picture."""
        patch = self.network.config.patch_size
        return int(pictures.shape[-1] // (patch if isinstance(patch, int) else patch[-1]))


def _on_grid(tokens: Tensor, steps: int, side: int) -> Tensor:
    """(videos, tokens, C) -> (videos, C, steps, side, side), without leading non-patch tokens."""
    places = steps * side * side
    before = tokens.shape[1] - places
    if before < 0:
        raise ValueError(f"{tokens.shape[1]} tokens for {steps} x {side} x {side} places")
    maps: Tensor = tokens[:, before:].transpose(1, 2).unflatten(2, (steps, side, side))
    return maps


def _tubelet(config: Any) -> int:
    """Frames per token (tubelet length); 1 for models of pictures."""
    size = getattr(config, "tubelet_size", 1)
    return int(size if isinstance(size, int) else size[0])


def _argument(network: Any) -> str:
    """Name that the network gives its pictures: V-JEPA 2 has a name of its own for videos."""
    own = "pixel_values_videos"
    return own if own in network.forward.__code__.co_varnames else "pixel_values"


def _first_of(config: Any, *names: str) -> int | None:
    """The first whole number that a configuration states under one of several names."""
    found = (getattr(config, name, None) for name in names)
    return next((one for one in found if isinstance(one, int)), None)


def _input(processor: Mapping[str, Any], stated: int | None, frames: int) -> InputSpec:
    """The input as the model's processor prepares it.

    Args:
        processor: its settings; empty where they are not known.
        stated: size of pictures in the model's configuration.
        frames: of a clip.
    """
    size, crop = (_sides(processor.get(key)) for key in ("size", "crop_size"))
    if processor.get("do_center_crop") is False:
        crop = None
    mean = tuple(processor.get("image_mean") or HALF[0])
    std = tuple(processor.get("image_std") or HALF[1])
    if processor.get("do_normalize") is False:
        mean, std = (0.0,) * 3, (1.0,) * 3
    short = (processor.get("size") or {}) if isinstance(processor.get("size"), Mapping) else {}
    seen = (crop or size or (stated or 224,) * 2)[0]
    if len({*(crop or (seen, seen)), seen}) > 1:
        raise UserError(f"the model sees pictures of {crop}; only square ones are supported")
    if crop is None and size is not None and "shortest_edge" not in short:
        return CroppedInput(frames, seen, mean, std, resized=(size[0], size[1]))
    resized = size[0] if size else seen
    if processor.get("crop_pct") and crop is None:
        resized = round(resized / processor["crop_pct"])
    if resized <= seen:
        return InputSpec(frames, seen, mean, std)
    return CroppedInput(frames, seen, mean, std, resized=resized)


def _sides(said: Any) -> tuple[int, int] | None:
    """Height and width of a size, which processors write in several ways."""
    if isinstance(said, int):
        return said, said
    if not isinstance(said, Mapping):
        return None
    if said.get("shortest_edge"):
        return said["shortest_edge"], said["shortest_edge"]
    return (said["height"], said["width"]) if said.get("height") and said.get("width") else None
