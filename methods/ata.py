"""Appearance and temporal alignment (ATA) of frames to class prototypes, refined in the episode."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.method import Method, Settings, register
from methods._adam import adam
from methods._prototype_alignment import Prototypes, alignment_scores, support_loss
from methods.parts.frames import frame_vectors

AUTHORS = (
    "Nguyen, Tran, Nguyen, Hua, Nguyen, ECCV 2022, arXiv:2207.10785; VinAIResearch/fsvc-ata at"
    " a6b3143, ops/ata.py, inference.py"
)


@dataclass(frozen=True)
class AtaSettings(Settings):
    """Settings of `ATA` and `TransductiveATA`."""

    steps: int = 50
    """Refinements of the prototypes in each episode."""
    scale: float = 10.0
    """Factor of the cosines between frames; the inductive refinement starts from it."""
    sigma: float = 1.0
    """Width of the expected alignment around the diagonal; 1 is sqrt(2) frames of 8."""
    learning_rate: float = 1e-3
    """Of Adam, which the inductive refinement runs."""


class _AlignedFrames(Method):
    """What both forms of ATA share."""

    revision = 1
    needs = "frames"
    order_aware = True
    Settings = AtaSettings
    settings: AtaSettings

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors of length 1, (videos, T, C)."""
        # Two bytes are too few for steps of a thousandth.
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        return normalize(frame_vectors(wide), dim=-1)

    def start(self, support: Tensor) -> Prototypes:
        """(episodes, way, shot, T, C) -> frame-wise means, and the scale to start from."""
        frames = support.mean(dim=2)
        return Prototypes(frames, frames.new_full((len(frames),), self.settings.scale))

    def class_shares(self, prototypes: Prototypes, query: Tensor) -> tuple[Tensor, Tensor]:
        """Softmax over the classes of both scores, each (episodes, queries, way)."""
        by_appearance, by_time = alignment_scores(prototypes, query, self.settings.sigma)
        return by_appearance.softmax(dim=-1), by_time.softmax(dim=-1)


@register
class ATA(_AlignedFrames):
    """Score a query by its frames' likeness to a class's frames and by how diagonal it is.

    Prototypes and scale are refined on the episode's support videos by gradient descent.
    """

    name = "ata"
    source = AUTHORS
    differs = (
        "nothing in the episode; the authors' training of the backbone with the same scores is"
        " not part of it"
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"ata-unrefined": {"steps": 0}}

    def adapt(self, support: Tensor) -> Prototypes:
        """(episodes, way, shot, T, C) -> refined prototypes, by Adam on the support videos."""
        start = self.start(support)
        with torch.inference_mode(False), torch.enable_grad():
            videos = support.clone()
            frames, scale = adam(
                lambda frames, scale: support_loss(Prototypes(frames, scale), videos),
                start,
                self.settings.learning_rate,
                self.settings.steps,
            )
        return Prototypes(frames, scale)

    def score(self, state: Prototypes, query: Tensor) -> Tensor:
        """(episodes, queries, T, C) -> sum of two shares, (episodes, queries, way)."""
        by_appearance, by_time = self.class_shares(state, query)
        return by_appearance + by_time


@register
class TransductiveATA(_AlignedFrames):
    """ATA whose prototypes are drawn towards the queries that they attract."""

    name = "ata-transductive"
    source = AUTHORS
    differs = ATA.differs
    sees = "all queries"

    def adapt(self, support: Tensor) -> Prototypes:
        """(episodes, way, shot, T, C) -> frame-wise means."""
        return self.start(support)

    def score(self, state: Prototypes, query: Tensor) -> Tensor:
        """(episodes, queries, T, C) -> shares by appearance, (episodes, queries, way)."""
        return self.class_shares(self.refine(state, query), query)[0]

    def refine(self, start: Prototypes, query: Tensor) -> Prototypes:
        """Add to the first prototypes the mean of the queries, weighted by their shares."""
        prototypes = start
        for _ in range(self.settings.steps):
            by_appearance, by_time = self.class_shares(prototypes, query)
            weights = by_appearance + by_time
            sums = torch.einsum("eqn,eqtc->entc", weights, query)
            means = sums / weights.sum(dim=1)[..., None, None]
            prototypes = Prototypes(normalize(means + start.frames, dim=-1), start.scale)
        return prototypes
