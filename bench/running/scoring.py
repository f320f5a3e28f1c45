"""Scoring some episodes with a method: gather, adapt, score."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from bench.method import Method, NamedSupport, Representation, TextMethod, apply
from episodes.errors import UserError

CPU = torch.device("cpu")


def score(
    method: Method,
    videos: Representation,
    support: Tensor,
    query: Tensor,
    device: torch.device = CPU,
    text: Tensor | None = None,
) -> Tensor:
    """Return the scores of a batch of episodes, (episodes, queries, way), with checked shape.

    Args:
        method: the method.
        videos: representations of all videos.
        support: (episodes, way, shot) indices.
        query: (episodes, queries) indices.
        device: where to compute.
        text: text feature of each video's class, (videos, C), for a method that reads names.
    """
    state = adapted(method, pick(videos, support, device), support, device, text)
    scores = method.score(state, pick(videos, query, device))
    return checked(method, scores, (*query.shape, support.shape[1]))


def adapted(
    method: Method,
    shown: Representation,
    support: Tensor,
    device: torch.device,
    text: Tensor | None,
) -> Any:
    """Adapt a method to the support; only a `TextMethod` gets text features of class names.

    Raises:
        ValueError: the method needs text features, and none were given.
    """
    if not isinstance(method, TextMethod):
        return method.adapt(shown)
    if text is None:
        raise ValueError(f"{method.name} reads names of classes; none were given")
    # From the support alone: the class name of a query is its label.
    names = cast(Tensor, pick(text, support[:, :, 0], device))
    return method.adapt(NamedSupport(shown, names))


def checked(method: Method, scores: Tensor, expected: Sequence[int]) -> Tensor:
    """Return scores after checking their type and shape.

    Raises:
        UserError: the type or shape is wrong.
    """
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        kind = scores.dtype if isinstance(scores, Tensor) else type(scores).__name__
        raise UserError(
            f"method {method.name} gave scores of type {kind}; a score is a floating-point number:"
            " correct its score()"
        )
    if scores.shape != torch.Size(expected):
        raise UserError(
            f"method {method.name} gave scores of shape {tuple(scores.shape)}; (episodes, queries,"
            f" way) is {tuple(expected)}: correct its score()"
        )
    return scores


def pick(videos: Representation, index: Tensor, device: torch.device) -> Representation:
    """Gather videos on the device that holds them, and move them to the one that computes."""
    home = tensors(videos)[0].device
    flat = index.flatten().to(home, non_blocking=True)

    def picked(tensor: Tensor) -> Tensor:
        # index_select copies whole rows; indexing with a tensor takes half as long again.
        rows = tensor.index_select(0, flat).reshape(*index.shape, *tensor.shape[1:])
        return brought(rows, device)

    return apply(videos, picked)


def brought(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device without waiting for the copy, even from the host to a GPU."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def tensors(representation: Representation) -> tuple[Tensor, ...]:
    """Return the tensors of a representation."""
    return (representation,) if isinstance(representation, Tensor) else tuple(representation)
