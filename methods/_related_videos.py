"""HyRSM's videos once their own frames were related, and what their frames are trained with."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.method import LabelledEpisodes
from methods._inter_relation import Tokens


class Videos(NamedTuple):
    """Videos after their own frames were related."""

    frames: Tensor
    """(..., T, C); (..., 0, C) where no classifier of frames asks for them."""
    mapped: Tensor
    """(..., T, C): the frames' part of the 1 x 1 convolution over [frame, relation token]."""
    squares: Tensor
    """(..., T): squared lengths of these, in four bytes at least."""
    token: Tensor
    query: Tensor
    key: Tensor
    reads: Tensor
    """These four are `Tokens` of the mean of the frames."""

    @property
    def tokens(self) -> Tokens:
        """What the videos of an episode tell each other."""
        return Tokens(*self[3:])


def frame_loss(head: nn.Module, episodes: LabelledEpisodes) -> Tensor:
    """Mean cross-entropy of every frame of every video among the training classes."""
    support, query = episodes.support[0], episodes.query[0]
    frames = torch.cat([support.flatten(0, 3), query.flatten(0, 2)])
    of_support = episodes.classes[..., None, None].expand(support.shape[:4])
    of_query = episodes.classes.gather(1, episodes.labels)[..., None].expand(query.shape[:3])
    labels = torch.cat([of_support.flatten(), of_query.flatten()])
    return cross_entropy(head(frames), labels)
