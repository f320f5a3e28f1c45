"""CMN: the frames of a video gathered around a few learned hubs, then compared as prototypes.

The mean of a video's frames mixes everything that is in it. CMN keeps several summaries apart. Each
of J hub vectors stands for one kind of content, to which every frame belongs as far as it fits, and
the summary of a hub is what frames add to it (multi-saliency embedding):

    a_ij = softmax_j(p_i . h_j / sqrt C)        the part of frame i that hub j takes
    q_j  = sum_i a_ij (p_i - h_j)               what the frames add to hub j, brought to length 1

One linear layer makes a vector of C channels from all q_j, and a query belongs to the class whose
mean vector is nearest. The memory that gave the method its name, compound memory networks, is not
part of the code that this follows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.method import FeatureShape, Method, Settings, register
from methods.parts.frames import frame_vectors

NEAR_ZERO = 1e-8
"""Size of the hubs before training, as in the authors' code."""


@dataclass(frozen=True)
class CmnSettings(Settings):
    """Settings of CMN."""

    hubs: int = 8


@register
class Cmn(Method):
    """Describe a video by what its frames add to each of a few hubs; compare with prototypes."""

    name = "cmn"
    source = """Zhu, Yang, ECCV 2018 (Compound Memory Networks), as re-implemented in
    MCG-NJU/FSL-Video at 5c3c050 for Zhu et al., BMVC 2021, arXiv:2110.12358"""
    differs = """from the paper: no key-value memory with abstract slots, only the multi-saliency
    embedding and prototypes, as in the code named; hubs start at random near zero, not equal, so
    that training can part them; the backbone is frozen. As in the code, the bias of the merging
    layer cancels in the distances and gets no gradient"""
    needs = "frames"
    order_aware = False
    Settings = CmnSettings
    settings: CmnSettings
    without_gradient = {"merge.bias": "cancels in the distances"}

    def __init__(self, shape: FeatureShape, settings: CmnSettings | None = None) -> None:
        super().__init__(shape, settings)
        hubs, channels = self.settings.hubs, shape.channels
        self.hubs = nn.Parameter(NEAR_ZERO * torch.randn(hubs, channels))
        self.merge = nn.Linear(hubs * channels, channels)
        with torch.no_grad():
            self.merge.weight.copy_(torch.eye(channels).repeat(1, hubs))
            self.merge.bias.zero_()

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> (videos, C)."""
        frames = frame_vectors(features)
        weights = torch.softmax(frames @ self.hubs.mT / frames.shape[-1] ** 0.5, dim=-1)  # a
        added = weights.mT @ frames - weights.sum(dim=1).unsqueeze(-1) * self.hubs  # q
        return self.merge(normalize(added, dim=-1).flatten(1))

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, way, shot, C) -> prototypes (episodes, way, C)."""
        return support.mean(dim=2)

    def score(self, prototypes: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> minus squared distances (episodes, queries, way)."""
        return -(query[:, :, None] - prototypes[:, None]).square().sum(dim=-1)
