"""Classification of videos among all training classes, as an additional loss."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.method import LabelledEpisodes


def class_entropy(
    head: nn.Module, support: Tensor, query: Tensor, episodes: LabelledEpisodes
) -> Tensor:
    """Cross-entropy of every vector of support (episodes, way, ..., C) and query, averaged.

    ``head`` is a classifier among the training classes, which ``episodes`` names.
    """
    of_query = episodes.classes.gather(1, episodes.labels)
    sides = (support, episodes.classes), (query, of_query)
    labels = [
        classes.reshape(*classes.shape, *[1] * (videos.ndim - 3)).expand(videos.shape[:-1])
        for videos, classes in sides
    ]
    logits = head(torch.cat([videos.flatten(0, -2) for videos, _ in sides]))
    return cross_entropy(logits, torch.cat([of_side.flatten() for of_side in labels]))
