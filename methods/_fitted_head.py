"""A head fitted to the support set of each episode, all episodes of a batch at once."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bench.method import Method, Settings
from methods.parts.content_order import Pooled, content_order, pool, reorder

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


def epoch_orders(videos: int, epochs: int, seed: int) -> Tensor:
    """Orders of the videos in the epochs, the same for every episode: int64 (epochs, videos)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(videos, generator=generator) for _ in range(epochs)])
