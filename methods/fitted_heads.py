"""Classifiers fitted to the support set of each episode: Baseline, Baseline Plus, Baseline++."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot, relu

from bench.method import FeatureShape, Method, Settings, register
from methods._content_order import Pooled, content_order, pool, reorder

LEAST_LENGTH = 1e-5
"""Added to a vector's length before it is brought to unit length, as in CloserLookFewShot."""

Head = tuple[Tensor, Tensor]
"""Parameters of a head, episodes first."""


@dataclass(frozen=True)
class FittingSettings(Settings):
    """Stochastic gradient descent as published."""

    epochs: int = 100
    batch: int = 4
    """Videos a step; the last step of an epoch may have fewer."""
    rate: float = 0.01
    momentum: float = 0.9
    dampening: float = 0.9
    decay: float = 1e-3
    """Of weights, added to their gradient, for every parameter."""
    seed: int = 0
    """Of the orders in which the epochs go through the support set."""


class FittedHead(Method):
    """A head fitted to each support set, all episodes of a batch at once.

    A subclass says what the head is, where it starts, and what its gradient is.
    """

    needs = "vector"
    order_aware = False
    Settings = FittingSettings
    settings: FittingSettings

    def encode(self, features: Tensor) -> Pooled:
        """(videos, C, T, H, W) -> mean vectors (videos, C), in single precision at least."""
        pooled = pool(features)
        precision = torch.promote_types(features.dtype, torch.float32)
        return Pooled(*(tensor.to(precision) for tensor in pooled))

    def adapt(self, support: Pooled) -> Head:
        """(episodes, way, shot, C) -> the fitted head."""
        episodes, way, shot, _ = support.vectors.shape
        order = content_order(support)
        classes = torch.arange(way, device=order.device).repeat_interleave(shot)
        targets = one_hot(classes, way).expand(episodes, -1, -1).to(support.vectors.dtype)
        vectors = reorder(support.vectors.flatten(1, 2), order)
        steps = epoch_orders(way * shot, self.settings.epochs, self.settings.seed)
        return self.fit(self.start(support.vectors), vectors, reorder(targets, order), steps)

    def score(self, head: Head, query: Pooled) -> Tensor:
        """(episodes, queries, C) -> logits (episodes, queries, way)."""
        return self.logits(head, self.query_form(query.vectors))

    @torch.no_grad()
    def fit(self, start: Head, vectors: Tensor, targets: Tensor, orders: Tensor) -> Head:
        """Minimise cross-entropy by gradient descent with momentum; the gradient is written out.

        Args:
            start: parameters to begin with.
            vectors: (episodes, videos, C), the support set.
            targets: (episodes, videos, way), 1 for a video's class, else 0.
            orders: int64 (epochs, videos), the order of the videos in each epoch.
        """
        head = start[0].clone(), start[1].clone()
        inputs = self.support_form(vectors)
        moments: list[Tensor] = []
        for order in orders.to(vectors.device):
            for rows in order.split(self.settings.batch):
                chosen = inputs[:, rows]
                shares = torch.softmax(self.logits(head, chosen), dim=-1)
                errors = (shares - targets[:, rows]) / len(rows)
                self._step(head, self.gradients(head, chosen, errors), moments)
        return head

    def _step(self, head: Head, gradients: Head, moments: list[Tensor]) -> None:
        """Change head and moments in place; the first step takes the gradient undampened."""
        own = self.settings
        decayed = [g.add(p, alpha=own.decay) for g, p in zip(gradients, head, strict=True)]
        if moments:
            for moment, gradient in zip(moments, decayed, strict=True):
                moment.mul_(own.momentum).add_(gradient, alpha=1 - own.dampening)
        else:
            moments.extend(decayed)
        for parameter, moment in zip(head, moments, strict=True):
            parameter.sub_(moment, alpha=own.rate)

    def support_form(self, vectors: Tensor) -> Tensor:
        """Bring support videos (..., C) to the form in which the head is fitted to them."""
        return vectors

    def query_form(self, vectors: Tensor) -> Tensor:
        """Bring queries (..., C) to the form in which the head sees them."""
        return vectors

    def start(self, support: Tensor) -> Head:
        """Parameters before the first step, for support (episodes, way, shot, C)."""
        raise NotImplementedError

    def logits(self, head: Head, inputs: Tensor) -> Tensor:
        """(episodes, videos, C) -> (episodes, videos, way)."""
        raise NotImplementedError

    def gradients(self, head: Head, inputs: Tensor, errors: Tensor) -> Head:
        """Gradients of the parameters, given those of the logits (episodes, videos, way)."""
        raise NotImplementedError


@register
class Baseline(FittedHead):
    """A linear classifier: weight (episodes, way, C) and bias (episodes, 1, way)."""

    name = "baseline"
    revision = 1
    source = (
        "Chen et al., ICLR 2019, arXiv:1904.04232, section 3.1; on videos Zhu et al., BMVC 2021,"
        " arXiv:2110.12358; code MCG-NJU/FSL-Video at 5c3c050"
    )
    differs = (
        "starts from zero, not from random weights, and epochs go through the support set in"
        " orders fixed by its content, so that the numbering of classes and shots changes nothing"
    )

    def start(self, support: Tensor) -> Head:
        """Zero: a start that is the same for all classes has no influence on their order."""
        weight = torch.zeros_like(support[:, :, 0])
        return weight, weight[:, None, :, 0]

    def logits(self, head: Head, inputs: Tensor) -> Tensor:
        """(episodes, videos, C) -> (episodes, videos, way)."""
        weight, bias = head
        return torch.baddbmm(bias, inputs, weight.mT)

    def gradients(self, head: Head, inputs: Tensor, errors: Tensor) -> Head:
        """Gradients of weight and bias, given those of the logits."""
        return errors.mT @ inputs, errors.sum(dim=1, keepdim=True)


@register
class BaselinePlus(Baseline):
    """A linear classifier that starts from the mean support video of each class."""

    name = "baseline-plus"
    revision = 1
    source = "Zhu et al., BMVC 2021, arXiv:2110.12358; code MCG-NJU/FSL-Video at 5c3c050"
    differs = (
        "epochs go through the support set in orders fixed by its content, so that the numbering"
        " of shots changes nothing; as in the code, the head is fitted to rectified unit vectors"
        " but sees the queries as they are"
    )

    def start(self, support: Tensor) -> Head:
        """Unit mean vectors, no bias."""
        weight = normalize(relu(support.mean(dim=2)), dim=-1)
        return weight, torch.zeros_like(weight[:, None, :, 0])

    def support_form(self, vectors: Tensor) -> Tensor:
        """Rectified and of unit length."""
        return normalize(relu(vectors), dim=-1)


@dataclass(frozen=True)
class CosineSettings(FittingSettings):
    """What Baseline++ adds."""

    scale: float = 2.0
    """Factor of the cosines; the authors take 2 for up to 200 classes."""


@register
class BaselinePlusPlus(FittedHead):
    """Cosines to learned directions: lengths (episodes, way, 1), directions (episodes, way, C)."""

    name = "baseline-plus-plus"
    revision = 1
    source = (
        "Chen et al., ICLR 2019, arXiv:1904.04232, section 3.2; code wyharveychen/"
        "CloserLookFewShot at e03aca8"
    )
    differs = (
        "all classes start from one random direction, not from one each, and epochs go through"
        " the support set in orders fixed by its content, so that the numbering of classes and"
        " shots changes nothing"
    )
    Settings = CosineSettings
    settings: CosineSettings
    first_direction: Tensor

    def __init__(self, shape: FeatureShape, settings: CosineSettings | None = None) -> None:
        """Draw the direction that all heads start from, as a linear layer would."""
        super().__init__(shape, settings)
        bound = shape.channels**-0.5
        direction = torch.empty(shape.channels).uniform_(-bound, bound)
        self.register_buffer("first_direction", direction)

    def start(self, support: Tensor) -> Head:
        """Give all classes the same direction, and the length that it has."""
        direction = self.first_direction.to(support.dtype).expand_as(support[:, :, 0])
        return torch.linalg.vector_norm(direction, dim=-1, keepdim=True), direction

    def support_form(self, vectors: Tensor) -> Tensor:
        """Nearly of unit length."""
        return nearly_unit(vectors)

    def query_form(self, vectors: Tensor) -> Tensor:
        """Nearly of unit length."""
        return nearly_unit(vectors)

    def logits(self, head: Head, inputs: Tensor) -> Tensor:
        """(episodes, videos, C) -> (episodes, videos, way)."""
        length, direction = head
        weight = length * normalize(direction, dim=-1)
        return self.settings.scale * (inputs @ weight.mT)

    def gradients(self, head: Head, inputs: Tensor, errors: Tensor) -> Head:
        """Gradients of lengths g and directions v, given those of the logits.

        With u = v / |v| and G the gradient of the weight g u, they are G.u for g and
        (g / |v|) (G - (G.u) u) for v.
        """
        length, direction = head
        of_weight = self.settings.scale * (errors.mT @ inputs)
        size = torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
        unit = direction / size
        along = (of_weight * unit).sum(dim=-1, keepdim=True)
        return along, (of_weight - along * unit) * (length / size)


def nearly_unit(vectors: Tensor) -> Tensor:
    """Divide vectors (..., C) by slightly more than their length."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / (lengths + LEAST_LENGTH)


def epoch_orders(videos: int, epochs: int, seed: int) -> Tensor:
    """Orders of the videos in the epochs, the same for every episode: int64 (epochs, videos)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(videos, generator=generator) for _ in range(epochs)])
