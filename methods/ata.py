"""ATA: are the frames of a query similar to those of a class, and do they come in the same order?

Every class is a sequence of prototype frames, the mean of its shots frame by frame. Two things
speak for a class, each as a probability over the classes. By appearance, every frame of the query
finds a similar frame there, in whatever order. In time, the frames it finds lie where they would in
a video of the same speed: the attention of the query's frames is close to a diagonal.

One to five videos make poor prototypes, so these are refined in the episode: `ATA` minimises a loss
on the support videos, `TransductiveATA` draws prototypes towards the queries that they attract.

Letters: N way, S shots, Q queries; P prototype frames, Z scaled cosines of frames, A attention;
i a frame of the video, j one of the class.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.method import Method, Settings, register
from methods.parts.frames import frame_vectors

SHARPNESS = 5.0
"""Factor of both scores before the softmax over the classes."""
TINY = 1e-12
"""Added in logarithms."""


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
    """Learning rate of Adam in the inductive refinement."""


class Prototypes(NamedTuple):
    """Prototype frames P (episodes, N, T, C), and the scale of their cosines (episodes,)."""

    frames: Tensor
    scale: Tensor


class AlignedFrames(Method):
    """Base of both forms of ATA: frames, first prototypes, and both scores."""

    source = """Nguyen, Tran, Nguyen, Hua, Nguyen, ECCV 2022, arXiv:2207.10785;
    VinAIResearch/fsvc-ata at a6b3143, ops/ata.py, inference.py"""
    differs = """nothing in the episode; the authors' training of the backbone with the same scores
    is not part of it"""
    needs = "frames"
    order_aware = True
    Settings = AtaSettings
    settings: AtaSettings

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors of length 1, (videos, T, C)."""
        return normalize(frame_vectors(features), dim=-1)

    def adapt(self, support: Tensor) -> Prototypes:
        """(episodes, N, S, T, C) -> frame-wise means, and the scale to start from."""
        frames = support.mean(dim=2)
        return Prototypes(frames, frames.new_full((len(frames),), self.settings.scale))

    def probabilities(self, prototypes: Prototypes, query: Tensor) -> Tensor:
        """Softmax over the classes of appearance and of time, (2, episodes, Q, N)."""
        Z = scaled_cosines(prototypes, query)
        scores = torch.stack([appearance(Z), temporal(Z, self.settings.sigma)])
        return (SHARPNESS * scores).softmax(dim=-1)


@register
class ATA(AlignedFrames):
    """Match frames by appearance and in time, with prototypes refined on the support videos."""

    name = "ata"
    variants = {"ata-unrefined": {"steps": 0}}

    def adapt(self, support: Tensor) -> Prototypes:
        """(episodes, N, S, T, C) -> prototypes and scale after some steps of Adam."""
        with torch.inference_mode(False), torch.enable_grad():
            videos = support.clone().detach()
            refined = Prototypes(*(one.clone().requires_grad_() for one in super().adapt(videos)))
            # Adam acts on every number by itself, so that all episodes are refined at once.
            adam = torch.optim.Adam(refined, lr=self.settings.learning_rate)
            for _ in range(self.settings.steps):
                adam.zero_grad()
                support_loss(refined, videos).sum().backward()
                adam.step()
        return Prototypes(refined.frames.detach(), refined.scale.detach())

    def score(self, prototypes: Prototypes, query: Tensor) -> Tensor:
        """(episodes, Q, T, C) -> sum of both probabilities, (episodes, Q, N)."""
        return self.probabilities(prototypes, query).sum(dim=0)


@register
class TransductiveATA(AlignedFrames):
    """ATA whose prototypes are drawn towards the queries that they attract."""

    name = "ata-transductive"
    sees = "all queries"

    def score(self, prototypes: Prototypes, query: Tensor) -> Tensor:
        """(episodes, Q, T, C) -> probabilities by appearance, (episodes, Q, N)."""
        return self.probabilities(self.refine(prototypes, query), query)[0]

    def refine(self, start: Prototypes, query: Tensor) -> Prototypes:
        """Add to the first prototypes the mean of the queries, weighted by their probabilities."""
        prototypes = start
        for _ in range(self.settings.steps):
            weights = self.probabilities(prototypes, query).sum(dim=0)
            sums = torch.einsum("eqn,eqtc->entc", weights, query)
            means = sums / weights.sum(dim=1)[..., None, None]
            prototypes = Prototypes(normalize(means + start.frames, dim=-1), start.scale)
        return prototypes


def scaled_cosines(prototypes: Prototypes, videos: Tensor) -> Tensor:
    """Z: frames i of videos (episodes, V, T, C), frames j of classes -> (episodes, V, N, T, T)."""
    products = torch.einsum("evic,enjc->evnij", videos, prototypes.frames)
    return products * prototypes.scale[:, None, None, None, None]


def appearance(Z: Tensor) -> Tensor:
    """Smooth maximum over j, averaged over i: mean_i log sum_j exp Z_ij."""
    return Z.logsumexp(dim=-1).mean(dim=-1)


def temporal(Z: Tensor, sigma: float) -> Tensor:
    """Agreement of the attention with that expected in time: 2 - mean_i KL(A_i || expected).

    Expected is a normal distribution around the same time, of variance 2 squared frames of 8.
    """
    A, frames = Z.softmax(dim=-1), Z.shape[-1]
    time = torch.arange(frames, dtype=Z.dtype, device=Z.device) / frames
    distance = (time[:, None] - time) / math.sqrt(2 / 64)
    expected = (-distance.square() / (2 * sigma**2)).softmax(dim=-1)
    divergence = (A * (A / expected + TINY).log()).sum(dim=-1)
    return 2 - divergence.mean(dim=-1)


def support_loss(prototypes: Prototypes, support: Tensor) -> Tensor:
    """Loss that the refinement minimises: (episodes, N, S, T, C) -> (episodes,).

    Cross-entropy of the support videos by appearance; plus 0.1 times the entropy of each frame's
    attention over its own class, for it to be sure; minus the entropy of the attention averaged
    over the frames, for it to reach the whole video.
    """
    Z = scaled_cosines(prototypes, support.flatten(1, 2)).unflatten(1, support.shape[1:3])
    cross = -appearance(Z).log_softmax(dim=-1).diagonal(dim1=1, dim2=3).mean(dim=(1, 2))
    A = Z.diagonal(dim1=1, dim2=3).softmax(dim=3)  # of the own class: (episodes, S, T, T, N)
    single = entropy(A, dim=3).mean(dim=(1, 2, 3))
    together = entropy(A.mean(dim=2), dim=2).mean(dim=(1, 2))
    return cross + 0.1 * single - together


def entropy(attention: Tensor, dim: int) -> Tensor:
    """Entropy along ``dim``, which is removed."""
    return -(attention * (attention + TINY).log()).sum(dim=dim)
