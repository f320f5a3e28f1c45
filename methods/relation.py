"""Relation networks: a small network learns to judge whether two maps belong together.

Other methods fix how a query is compared with a class, and learn features that suit it. A relation
network learns the comparison itself. The maps of a prototype and of a query are put together,
channel upon channel, and two convolutions and two linear layers make one number of them, the
relation score: they can learn what has to agree where, which no distance of averages expresses.

    r_nq = g(C(f(s_n), f(x_q)))                        eq. 1: C puts maps together, g judges them
    loss = mean_nq (r_nq - [n is the class of q])^2    eq. 2

The code bases in use differ in padding and pooling, and one leaves out the sigmoid and takes the
cross-entropy among the classes; both forms are here.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register


@dataclass(frozen=True)
class RelationSettings(Settings):
    """Differences between the code bases in use."""

    form: Literal["easyfsl", "closerlook"] = "easyfsl"
    """Pooling and padding: to 5 x 5, then 1 x 1; or by 2 each time, the rest flattened."""
    output: Literal["sigmoid", "logit"] = "sigmoid"
    """Trained by squared error to 1 or 0, or by cross-entropy among the classes."""
    width: int = 0
    """Channels after either convolution; 0 is as many as the features have."""
    hidden: int = 8
    """Width of the last layer but one."""


@register
class RelationNet(Method):
    """Convolve prototype and query together, twice, then judge them by two linear layers."""

    name = "relation-net"
    source = """Sung et al., CVPR 2018, arXiv:1711.06025, eq. 1-2; code
    sicara/easy-few-shot-learning at 8023ff4 and, as form=closerlook, wyharveychen/CloserLookFewShot
    at e03aca8"""
    differs = """prototypes are means of shots, not sums, as in both code bases; a video is its mean
    map over time; as many channels as the features have; the backbone is frozen. As published, the
    biases of the convolutions cancel in batch norm while training, and the last one in the softmax
    among classes (output=logit)"""
    needs = "maps"
    order_aware = False
    Settings = RelationSettings
    settings: RelationSettings
    variants = {"relation-net-softmax": {"form": "closerlook", "output": "logit"}}
    without_gradient = {
        "first.bias": "the batch norm behind it takes it off again",
        "second.bias": "the batch norm behind it takes it off again",
        "judge.bias": "cancels in the softmax among classes (output=logit)",
    }

    def __init__(self, shape: FeatureShape, settings: RelationSettings | None = None) -> None:
        super().__init__(shape, settings)
        width = self.settings.width or shape.channels
        if self.settings.form == "easyfsl":
            paddings = 1, 0
        else:
            paddings = (1, 1) if max(shape.height, shape.width) < 10 else (0, 0)
        self.first = nn.Conv2d(2 * shape.channels, width, 3, padding=paddings[0])
        self.first_norm = nn.BatchNorm2d(width, momentum=1.0)
        self.second = nn.Conv2d(width, width, 3, padding=paddings[1])
        self.second_norm = nn.BatchNorm2d(width, momentum=1.0)
        maps = torch.zeros(1, 1, shape.height, shape.width)
        for padding, size in zip(paddings, (5, 1), strict=True):
            maps = self.pool(fn.conv2d(maps, torch.zeros(1, 1, 3, 3), padding=padding), size)
        self.hidden = nn.Linear(width * maps.numel(), self.settings.hidden)
        self.judge = nn.Linear(self.settings.hidden, 1)

    def encode(self, features: Tensor) -> Any:
        """(videos, C, T, H, W) -> mean map over time (videos, C, H, W)."""
        return features.mean(dim=2)

    def adapt(self, support: Any) -> Tensor:
        """(episodes, way, shot, C, H, W) -> prototypes (episodes, way, C, H, W)."""
        return support.mean(dim=2)

    def score(self, prototypes: Tensor, query: Any) -> Tensor:
        """(episodes, queries, C, H, W) -> relation scores (episodes, queries, way)."""
        shape = *query.shape[:2], prototypes.shape[1], -1, -1, -1
        together = prototypes.unsqueeze(1).expand(shape), query.unsqueeze(2).expand(shape)
        return self.relate(self.first(torch.cat(together, dim=3).flatten(0, 2))).view(shape[:3])

    def relate(self, maps: Tensor) -> Tensor:
        """Judge pairs, convolved together once: (pairs, C, H', W') -> (pairs,)."""
        maps = self.pool(fn.relu(self.first_norm(maps)), 5)
        maps = self.pool(fn.relu(self.second_norm(self.second(maps))), 1)
        scores = self.judge(fn.relu(self.hidden(maps.flatten(1)))).squeeze(1)
        return scores.sigmoid() if self.settings.output == "sigmoid" else scores

    def pool(self, maps: Tensor, size: int) -> Tensor:
        """Pool to ``size``, or by 2; a side of 1 stays as it is."""
        if self.settings.form == "easyfsl":
            return fn.adaptive_max_pool2d(maps, size)
        return fn.max_pool2d(maps, [min(side, 2) for side in maps.shape[2:]])

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Squared error to 1 for the right class and 0 for the others, or cross-entropy."""
        scores = self.score(self.adapt(episodes.support), episodes.query)
        if self.settings.output == "logit":
            return {"episode": fn.cross_entropy(scores.flatten(0, 1), episodes.labels.flatten())}
        wanted = fn.one_hot(episodes.labels, scores.shape[-1]).to(scores.dtype)
        return {"relation": fn.mse_loss(scores, wanted)}
