"""Fitted heads: an ordinary classifier, fitted anew to the support set of every episode.

The plainest answer to a few-shot task, and a strong one: take features as they are, put a linear
layer on them, and train it on the few support videos by gradient descent, as one would on any data
set. `Baseline` starts the layer from zero; `BaselinePlus` starts each class from the direction of
its mean video, so that before the first step it is a prototype; `BaselinePlusPlus` compares
directions only: its scores are cosines between a video and a learned vector of each class.

The order of classes and shots in an episode carries no meaning, but gradient descent goes through
the support set in some order. So the videos are sorted by their content first, and the orders of
the epochs are drawn once for all episodes.

Letters: z a video, W and b a linear layer; a direction v and its length g in place of W.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, relu

from bench.method import FeatureShape, Method, Settings, register
from methods.parts.content_order import Pooled, content_order, pool, reorder

Head = tuple[Tensor, Tensor]
"""Parameters of a head, episodes first."""
LEAST_LENGTH = 1e-5
"""Added to a vector's length before it is brought to unit length, as in CloserLookFewShot."""


@dataclass(frozen=True)
class FittingSettings(Settings):
    """Stochastic gradient descent as published."""

    epochs: int = 100
    batch: int = 4
    """Videos in a step; the last step of an epoch may have fewer."""
    rate: float = 0.01
    momentum: float = 0.9
    dampening: float = 0.9
    decay: float = 1e-3
    """Weight decay, for every parameter."""
    seed: int = 0
    """Seed of the orders in which the epochs go through the support set."""


@dataclass(frozen=True)
class CosineSettings(FittingSettings):
    """Settings of `BaselinePlusPlus`."""

    scale: float = 2.0
    """Factor of the cosines; the authors take 2 for up to 200 classes."""


class FittedHead(Method):
    """Fit a head to each support set; a subclass states the head and its start."""

    needs = "vector"
    order_aware = False
    Settings = FittingSettings
    settings: FittingSettings

    def start(self, support: Tensor) -> Head:
        """Parameters before the first step, for support videos (episodes, way, shot, C)."""
        raise NotImplementedError

    def logits(self, head: Head, z: Tensor) -> Tensor:
        """(episodes, videos, C) -> (episodes, videos, way)."""
        raise NotImplementedError

    def support_form(self, vectors: Tensor) -> Tensor:
        """Bring support videos (..., C) to the form in which the head is fitted to them."""
        return vectors

    def encode(self, features: Tensor) -> Pooled:
        """(videos, C, T, H, W) -> mean vectors (videos, C), and what they are sorted by."""
        return pool(features)

    def adapt(self, support: Pooled) -> Head:
        """(episodes, way, shot, C) -> the fitted head."""
        order, shot = content_order(support), support.vectors.shape[2]
        vectors = reorder(support.vectors.flatten(1, 2), order)
        orders = epoch_orders(order.shape[1], self.settings.epochs, self.settings.seed)
        return self.fit(self.start(support.vectors), vectors, order // shot, orders)

    def score(self, head: Head, query: Pooled) -> Tensor:
        """(episodes, queries, C) -> logits (episodes, queries, way)."""
        return self.logits(head, query.vectors)

    def fit(self, start: Head, vectors: Tensor, labels: Tensor, orders: Tensor) -> Head:
        """Minimise the cross-entropy of support videos (episodes, videos, C), all episodes at once.

        ``labels`` (episodes, videos) are their classes, ``orders`` (epochs, videos) their orders.
        """
        own = self.settings
        with torch.inference_mode(False), torch.enable_grad():
            inputs = self.support_form(vectors).detach().clone()
            first, second = (one.detach().clone().requires_grad_() for one in start)
            sgd = torch.optim.SGD((first, second), own.rate, own.momentum, own.dampening, own.decay)
            for order in orders.to(inputs.device):
                for rows in order.split(own.batch):
                    logits = self.logits((first, second), inputs[:, rows]).flatten(0, 1)
                    # The mean of each episode; their sum, as each episode has a head of its own.
                    loss = cross_entropy(logits, labels[:, rows].flatten(), reduction="sum")
                    sgd.zero_grad()
                    (loss / len(rows)).backward()
                    sgd.step()
        return first.detach(), second.detach()


@register
class Baseline(FittedHead):
    """A linear classifier: W (episodes, way, C) and b (episodes, 1, way)."""

    name = "baseline"
    source = """Chen et al., ICLR 2019, arXiv:1904.04232, section 3.1; on videos Zhu et al., BMVC
    2021, arXiv:2110.12358; code MCG-NJU/FSL-Video at 5c3c050"""
    differs = """starts from zero, not from random weights, and epochs go through the support set in
    orders fixed by its content, so that the numbering of classes and shots changes nothing"""

    def start(self, support: Tensor) -> Head:
        """Zero for all classes, so that their order has no influence."""
        weight = torch.zeros_like(support[:, :, 0])
        return weight, weight[:, None, :, 0]

    def logits(self, head: Head, z: Tensor) -> Tensor:
        """W z + b."""
        W, b = head
        return torch.baddbmm(b, z, W.mT)


@register
class BaselinePlus(Baseline):
    """A linear classifier that starts from the mean support video of each class."""

    name = "baseline-plus"
    source = "Zhu et al., BMVC 2021, arXiv:2110.12358; code MCG-NJU/FSL-Video at 5c3c050"
    differs = """epochs go through the support set in orders fixed by its content, so that the
    numbering of shots changes nothing; as in the code, the head is fitted to rectified unit vectors
    but sees the queries as they are"""

    def start(self, support: Tensor) -> Head:
        """Unit mean vectors, no bias."""
        weight = normalize(relu(support.mean(dim=2)), dim=-1)
        return weight, torch.zeros_like(weight[:, None, :, 0])

    def support_form(self, vectors: Tensor) -> Tensor:
        """Rectify, and bring to unit length."""
        return normalize(relu(vectors), dim=-1)


@register
class BaselinePlusPlus(FittedHead):
    """Cosines to learned directions: g (episodes, way, 1) and v (episodes, way, C)."""

    name = "baseline-plus-plus"
    source = """Chen et al., ICLR 2019, arXiv:1904.04232, section 3.2; code
    wyharveychen/CloserLookFewShot at e03aca8"""
    differs = """all classes start from one random direction, not from one each, and epochs go
    through the support set in orders fixed by its content, so that the numbering of classes and
    shots changes nothing"""
    Settings = CosineSettings
    settings: CosineSettings
    first_direction: Tensor

    def __init__(self, shape: FeatureShape, settings: CosineSettings | None = None) -> None:
        super().__init__(shape, settings)
        bound = shape.channels**-0.5
        direction = torch.empty(shape.channels).uniform_(-bound, bound)
        self.register_buffer("first_direction", direction)

    def start(self, support: Tensor) -> Head:
        """Give all classes the same direction v, and the length g that it has."""
        direction = self.first_direction.to(support.dtype).expand_as(support[:, :, 0])
        return torch.linalg.vector_norm(direction, dim=-1, keepdim=True), direction

    def encode(self, features: Tensor) -> Pooled:
        """(videos, C, T, H, W) -> mean vectors, divided by slightly more than their length."""
        vectors, rank = pool(features)
        lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        return Pooled(vectors / (lengths + LEAST_LENGTH), rank)

    def logits(self, head: Head, z: Tensor) -> Tensor:
        """Scale * z . (g v / |v|)."""
        g, v = head
        lengths = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        return self.settings.scale * (z @ v.mT) * (g / lengths).mT


def epoch_orders(videos: int, epochs: int, seed: int) -> Tensor:
    """Orders of the videos in the epochs, the same for every episode: int64 (epochs, videos)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(videos, generator=generator) for _ in range(epochs)])
