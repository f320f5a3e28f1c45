"""Relation networks: a small convolutional network judges each pair of class and query."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, mse_loss, one_hot, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods._map_pooling import pool_by_two, pool_to
from methods._precision import in_own_precision


@dataclass(frozen=True)
class RelationSettings(Settings):
    """Where the code bases in use differ."""

    form: Literal["easyfsl", "closerlook"] = "easyfsl"
    """Pooling and padding: to 5 x 5, then 1 x 1; or by 2 each time, the rest flattened."""
    output: Literal["sigmoid", "logit"] = "sigmoid"
    """Trained by squared error to 1 or 0, or by cross-entropy among the classes."""
    width: int = 0
    """Channels after either convolution; 0 is as many as the features have."""
    hidden: int = 8
    """Width of the last layer but one."""


class Sides(NamedTuple):
    """The first convolution of a map, as the one and as the other half of a pair."""

    of_class: Tensor
    """(..., C, H', W')"""
    of_query: Tensor
    """(..., C, H', W')"""


@register
class RelationNet(Method):
    """Convolve prototype and query together, twice, then judge them by two linear layers.

    The first convolution sees both maps side by side, so that it is a sum of one over each map:
    that one is taken once for each video.
    """

    name = "relation-net"
    revision = 1
    source = (
        "Sung et al., CVPR 2018, arXiv:1711.06025, eq. 1-2; code sicara/easy-few-shot-learning at"
        " 8023ff4 and, as form=closerlook, wyharveychen/CloserLookFewShot at e03aca8"
    )
    differs = (
        "prototypes are means of shots, not sums, as in both code bases; a video is its mean map"
        " over time; as many channels as the features have; the backbone is frozen. As published,"
        " the biases of the convolutions cancel in batch norm while training, and the last one in"
        " the softmax among classes (output=logit)"
    )
    needs = "maps"
    order_aware = False
    Settings = RelationSettings
    settings: RelationSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "relation-net-softmax": {"form": "closerlook", "output": "logit"},
    }
    without_gradient: ClassVar[Mapping[str, str]] = {
        "first.bias": "the batch norm behind it takes it off again",
        "second.bias": "the batch norm behind it takes it off again",
        "judge.bias": "cancels in the softmax among classes (output=logit)",
    }
    authors_names: ClassVar[Mapping[str, str]] = {}

    def __init__(self, shape: FeatureShape, settings: RelationSettings | None = None) -> None:
        """Build the network; batch norms keep the statistics of the last batch, as published."""
        super().__init__(shape, settings)
        form, width = self.settings.form, self.settings.width or shape.channels
        self.first = nn.Conv2d(2 * shape.channels, width, 3, padding=self._paddings()[0])
        self.first_norm = nn.BatchNorm2d(width, momentum=1.0)
        self.second = nn.Conv2d(width, width, 3, padding=self._paddings()[1])
        self.second_norm = nn.BatchNorm2d(width, momentum=1.0)
        self.hidden = nn.Linear(width * self._positions_left(), self.settings.hidden)
        self.judge = nn.Linear(self.settings.hidden, 1)
        self.authors_names = {  # type: ignore[misc]
            f"relation_module.{theirs}.{name}": f"{ours}.{name}"
            for ours, theirs in AUTHORS_MODULES[form].items()
            for name in getattr(self, ours).state_dict()
            if name != "num_batches_tracked"
        }

    def encode(self, features: Tensor) -> Sides:
        """(videos, C, T, H, W) -> both halves of the first convolution (videos, C, H', W')."""
        maps = in_own_precision(self, features).mean(dim=2)
        of_class, of_query = self.first.weight.chunk(2, dim=1)
        padding = self._paddings()[0]
        return Sides(
            conv2d(maps, of_class, padding=padding),
            conv2d(maps, of_query, self.first.bias, padding=padding),
        )

    def adapt(self, support: Sides) -> Tensor:
        """(episodes, way, shot, ...) -> (episodes, way, C, H', W'): means are linear, too."""
        return support.of_class.mean(dim=2)

    def score(self, prototypes: Tensor, query: Sides) -> Tensor:
        """(episodes, queries, ...) -> relation scores (episodes, queries, way)."""
        pairs = prototypes[:, None] + query.of_query[:, :, None]
        maps = self._pool(relu(self.first_norm(pairs.flatten(0, 2))), 5)
        maps = self._pool(relu(self.second_norm(self.second(maps))), 1)
        scores: Tensor = self.judge(relu(self.hidden(maps.flatten(1))))
        scores = scores.reshape(pairs.shape[:3])
        return scores.sigmoid() if self.settings.output == "sigmoid" else scores

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Squared error to 1 for the right class and 0 for the others, or cross-entropy."""
        support, query = cast(Sides, episodes.support), cast(Sides, episodes.query)
        scores = self.score(self.adapt(support), query)
        if self.settings.output == "logit":
            return {"episode": cross_entropy(scores.flatten(0, 1), episodes.labels.flatten())}
        wanted = one_hot(episodes.labels, scores.shape[-1]).to(scores.dtype)
        return {"relation": mse_loss(scores, wanted)}

    def _paddings(self) -> tuple[int, int]:
        """Padding of the two convolutions."""
        if self.settings.form == "easyfsl":
            return 1, 0
        return (1, 1) if max(self.shape.height, self.shape.width) < 10 else (0, 0)

    def _pool(self, maps: Tensor, size: int) -> Tensor:
        """Pool to ``size``, or by 2; a side of 1 stays as it is."""
        return pool_to(maps, size) if self.settings.form == "easyfsl" else pool_by_two(maps)

    def _positions_left(self) -> int:
        """Positions of a map that is left for the linear layers."""
        if self.settings.form == "easyfsl":
            return 1
        maps = torch.zeros(1, 1, self.shape.height, self.shape.width)
        for padding in self._paddings():
            maps = self._pool(conv2d(maps, torch.zeros(1, 1, 3, 3), padding=padding), 1)
        return maps.numel()


MODULES = ("first", "first_norm", "second", "second_norm", "hidden", "judge")
AUTHORS_MODULES: Mapping[str, Mapping[str, str]] = {
    form: dict(zip(MODULES, theirs, strict=True))
    for form, theirs in (
        ("easyfsl", ("0.0", "0.1", "1.0", "1.1", "3", "5")),
        ("closerlook", ("layer1.C", "layer1.BN", "layer2.C", "layer2.BN", "fc1", "fc2")),
    )
}
"""Form -> our module -> its name there."""
