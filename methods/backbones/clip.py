"""Vision-language models of the package ``transformers``: CLIP, SigLIP.

Every frame passes the vision tower by itself; names of classes pass the text tower into the same
space, for methods that read them.
"""

from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor

from bench.backbone import InputSpec
from bench.pretrained import Pretrained, content_sha256
from episodes.errors import UserError
from methods.backbones._framewise import framewise
from methods.backbones.hugging_face import located, stated

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation by which OpenAI's models normalise pixels."""


class Clip(Pretrained):
    """One vector per frame in the joint image-text space.

    Source: Radford et al., ICML 2021, arXiv:2103.00020; SigLIP: Zhai et al., ICCV 2023,
    arXiv:2303.15343.

    Args:
        network: an evaluated model with both towers.
        tokenizer: the one that belongs to its text tower.
        processor: settings of its image processor, where they are known.
    """

    name = "clip"
    revision = 1
    source = "Radford et al., ICML 2021"
    pretraining = "400 million pictures with captions from the web (CLIP)"
    weights = (
        "pip install 'fewshot-video-bench[transformers]', then --backbone"
        " clip=FOLDER or clip=MODEL@COMMIT, such as a commit of openai/clip-vit-base-patch16"
    )
    input = InputSpec(8, 224, MEAN, STD)
    channels = 512
    grid = (8, 1, 1)
    prompt = "a photo of {}"

    def __init__(self, network: Any, tokenizer: Any, processor: Any = None) -> None:
        """Keep both towers, and state what their configuration decides."""
        super().__init__()
        self.network, self.tokenizer = network, tokenizer
        vision, told = network.config.vision_config, processor or {}
        # CLIP projects both towers to one width; SigLIP's towers have it themselves.
        width = getattr(network.config, "projection_dim", None) or vision.hidden_size
        spec = InputSpec(
            self.input.frames,
            vision.image_size,
            tuple(told.get("image_mean", MEAN)),
            tuple(told.get("image_std", STD)),
        )
        self.declare(channels=width, grid=(spec.frames, 1, 1), input=spec)

    @classmethod
    def load(cls, where: str) -> tuple[Self, str]:
        """Build the backbone from a model of the hub, or a folder that `save_pretrained` wrote."""
        if not where:
            raise UserError(f"backbone {cls.name} needs a model: {cls.weights}")
        network, tokenizer, processor, model = _from_pretrained(where)
        backbone = cls(network, tokenizer, processor)
        backbone.declare(pretraining=f"{model}: pictures with captions")
        return backbone, content_sha256(network.state_dict())

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, frames, size, size) -> (videos, C, *grid)."""
        return framewise(self._vectors, clips)

    def _vectors(self, images: Tensor) -> Tensor:
        """(images, 3, size, size) -> (images, C, 1, 1)."""
        return _pooled(self.network.get_image_features(pixel_values=images))[:, :, None, None]

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return (texts, C)."""
        longest = self.network.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        )
        device = next(self.network.parameters()).device
        given = {name: tokens[name].to(device) for name in _reads(self.network, tokens)}
        return _pooled(self.network.get_text_features(**given))


class ClipPatches(Clip):
    """The patches of every frame on their grid, each projected into the joint image-text space.

    For methods that compare maps. Training aligned the pooled vector of a picture with its caption,
    not its patches, so that methods that read names are better served by `Clip`.
    """

    name = "clip-patches"
    weights = Clip.weights.replace("clip=", "clip-patches=")
    grid = (8, 14, 14)

    def __init__(self, network: Any, tokenizer: Any, processor: Any = None) -> None:
        """Keep both towers; the grid follows from the size of a patch."""
        super().__init__(network, tokenizer, processor)
        vision = network.config.vision_config
        side = vision.image_size // vision.patch_size
        self.declare(grid=(self.input.frames, side, side))

    def _vectors(self, images: Tensor) -> Tensor:
        """(images, 3, size, size) -> (images, C, side, side)."""
        tower, side = self.network.vision_model, self.grid[-1]
        tokens = tower(pixel_values=images).last_hidden_state
        if hasattr(self.network, "visual_projection"):
            # CLIP normalises and projects its class token, the first, alone; SigLIP has none.
            tokens = self.network.visual_projection(tower.post_layernorm(tokens[:, 1:]))
        maps: Tensor = tokens.transpose(1, 2).unflatten(2, (side, side))
        return maps


def _reads(network: Any, tokens: Any) -> list[str]:
    """SigLIP was trained without a mask over padding; CLIP masks it."""
    masked = network.config.model_type == "clip" and "attention_mask" in tokens
    return ["input_ids", "attention_mask"] if masked else ["input_ids"]


def _pooled(output: Any) -> Tensor:
    """Return the vectors, which older versions of transformers give without a wrapping."""
    found: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return found


def _from_pretrained(place: str) -> tuple[Any, Any, Any, str]:
    """Load both towers, the tokenizer, the image processor's settings, and what they are called.

    Raises:
        UserError: the package or the model is not there, or it has no two towers.
    """
    try:
        import transformers
        from transformers.image_processing_base import ImageProcessingMixin
    except ImportError as error:
        raise UserError(
            f"the package transformers cannot be imported ({error}); `pip install"
            " 'fewshot-video-bench[transformers]'`"
        ) from error
    try:
        name, pinned = located(place)
        config = transformers.AutoConfig.from_pretrained(name, **pinned)
        if not (hasattr(config, "vision_config") and hasattr(config, "text_config")):
            raise UserError(
                f"{place} is a model of kind {config.model_type}, which has no vision and text"
                " tower; name a CLIP or SigLIP"
            )
        network, found = transformers.AutoModel.from_pretrained(
            name, output_loading_info=True, use_safetensors=True, **pinned
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **pinned)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(
            f"no vision-language model could be loaded from {place!r}:"
            f" {str(error).splitlines()[0]}; name a model of the hub, or a folder with its"
            " config.json, model.safetensors and tokenizer"
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"{place} lacks weights, {missing[0]} and {len(missing) - 1} others, which would be"
            " random; name a model that has them"
        )
    try:
        processor = ImageProcessingMixin.get_image_processor_dict(name, **pinned)[0]
    except (OSError, ValueError):
        processor = {}
    return network.float(), tokenizer, processor, stated(name, pinned)
