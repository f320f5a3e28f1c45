"""Small random models of transformers."""

from typing import Any

import torch

VIT = {
    "image_size": 64,
    "patch_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
VIDEOMAE = VIT | {"num_frames": 8}
VIVIT = VIDEOMAE | {"tubelet_size": [2, 16, 16]}
TIMESFORMER = VIT | {"num_frames": 4}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}


def make(kind: str, config: dict[str, Any], **words: Any) -> Any:
    """A model of a class of transformers."""
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, kind)
    return model(model.config_class(**config), **words)
