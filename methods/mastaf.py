"""MASTAF: maps whose positions are weighted by attention before a query and a class are compared.

A backbone turns a video into a map of L positions in time and space, each a vector of C channels.
The plain way to compare a query with a class is to average both maps and take the cosine. But what
tells two actions apart happens at a few positions, and an average drowns it. So MASTAF first gives
every position an attention weight, by how it relates to the other positions of its own map
(self-attention: what the video is about), and to those of the map that it is compared with
(cross-attention: what this query and this class have in common).

Both are read off a relation map M, the cosines of all positions of one map with all positions of
another. Averaged over the positions to be weighted, M says how strongly each position of the other
map is met; from that a small meta-learner makes a kernel. The mean of M under this kernel scores
each position, and a softmax turns scores into weights, which are added to 1 (a residual). A query
scores the cosine of the two cross-attended maps plus that of the two self-attended maps. Training
asks every position of a query to find its class (nearest-neighbour loss), and to name it among all
training classes (global loss).

Letters: N way, S shots, Q queries; P prototypes, F queries, as maps; M relations; A attention. The
numbers of equations are the paper's as far as its appendix names them; the rest follows the code.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool3d, cross_entropy, normalize, relu

from bench.method import FeatureShape, LabelledEpisodes, Method, Settings, register
from methods.parts.frames import cosines

EPSILON = 1e-12
"""Least length that a vector is divided by, as in `torch.nn.functional.normalize`."""


@dataclass(frozen=True)
class MastafSettings(Settings):
    """Options of the authors' command line, and what their ablations switch."""

    positions: int = 49
    """Most positions a map keeps; time is pooled first, then space. The authors have 1x7x7."""
    alpha: float = 1.0
    """Weight of the self branch; the cross branch has weight 1."""
    scale: float = 7.0
    """Factor of the cosines: the sharpness of the softmax in the loss."""
    temperature: float = 0.025
    """Divisor of the position scores in their softmax."""
    hidden: int = 6
    """Width of the meta-learner, at 36 positions (CAN) as at 49."""
    kernel: Literal["learned", "mean"] = "learned"
    """Kernel over positions: made by a meta-learner from the pooled relations, or these."""
    residual: bool = True
    """Whether attention is added to the map (1 + gain * softmax) or replaces it (softmax)."""
    residual_gain: float = 1.0
    """Gain in 1 + gain * softmax; positions / 49 keeps the authors' ratio on other grids."""
    branches: Literal["both", "self", "cross", "none"] = "both"
    """Attention that takes part; "none" compares the plain maps."""
    batch_norm: Literal["default", "reference"] = "default"
    """"reference" leaves it out for the self-attention of a lone query, as the authors do."""
    lamda: float = 0.5
    """Weight of the nearest-neighbour loss."""
    global_weight: float = 1.0
    """Weight of the loss of classifying among all training classes."""
    classes: int = 0
    """Training classes of the global head; 0 builds no head and leaves its loss out."""


class MetaLearner(nn.Module):
    """Makes a kernel over positions from pooled relations: w = W2 relu(BN(W1 m + b1)) + b2."""

    def __init__(self, positions: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(positions, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.expand = nn.Linear(hidden, positions)
        for layer in (self.squeeze, self.expand):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.out_features))

    def forward(self, pooled: Tensor, batch_norm: bool = True) -> Tensor:
        """Pooled relations m (..., L) -> kernel w (..., L)."""
        hidden = self.squeeze(pooled)
        if batch_norm:
            hidden = self.norm(hidden.flatten(0, -2)).reshape(hidden.shape)
        return self.expand(relu(hidden))


class Branch(NamedTuple):
    """Attention of one kind; its second axis is 1 where it does not depend on the other map."""

    weight: float
    """Factor of this branch's cosines in the score."""
    of_class: Tensor
    """A (episodes, N, Q or 1, L): over the positions of each prototype."""
    of_query: Tensor
    """A (episodes, Q, N or 1, L): over the positions of each query."""


@register
class Mastaf(Method):
    """Compare pooled maps whose positions were weighted by self- and by cross-attention."""

    name = "mastaf"
    source = """Liu, Zhang, Pirsiavash, Liu, WACV 2023, arXiv:2112.04585; code lxhit/STAF at
    10c7d9a, models/cam_r3d.py"""
    differs = """any grid, pooled to at most 49 positions (time first; the authors' is 1x7x7), so
    that the order of frames counts only where they have fewer than 25. In training as the authors';
    in evaluation batch norm is applied to the self-attention of a lone query too, where the authors
    skip it (batch_norm=reference), so that a query's scores do not depend on how many are asked.
    The backbone is frozen. Self and Cross are models of their own with scale 7; Self feeds its own
    map, Neighbor the plain map to the global head; No-Global keeps the factor 0.5 of the other
    loss"""
    needs = "maps"
    order_aware = False
    Settings = MastafSettings
    settings: MastafSettings
    without_gradient = {"learner.squeeze.bias": "the batch norm behind it takes it off again"}
    variants = {
        "mastaf-no-global": {"global_weight": 0.0},
        "mastaf-noml-mean": {"kernel": "mean"},
        "mastaf-nores": {"residual": False},
        "mastaf-self": {"branches": "self"},
        "mastaf-cross": {"branches": "cross"},
        "mastaf-neighbor": {"branches": "none"},
    }

    def __init__(self, shape: FeatureShape, settings: MastafSettings | None = None) -> None:
        super().__init__(shape, settings)
        own, self.grid = self.settings, pooled_grid(shape, self.settings.positions)
        learns = own.kernel == "learned" and own.branches != "none"
        self.learner = MetaLearner(math.prod(self.grid), own.hidden) if learns else None
        self.has_head = own.classes > 0 and own.global_weight > 0
        if self.has_head:
            self.head = nn.Linear(shape.channels, own.classes)

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> maps of L positions, (videos, L, C)."""
        if (1, *features.shape[3:]) == self.grid:
            # As below; but a GPU adds up the gradient in the same order every time.
            features = features.mean(dim=2, keepdim=True)
        else:
            features = adaptive_avg_pool3d(features, self.grid)
        return features.flatten(2).transpose(1, 2).contiguous()

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, N, S, L, C) -> P, the mean map of each class, (episodes, N, L, C)."""
        # A mean over one shot would take longer than everything that needs it.
        return support[:, :, 0] if support.shape[2] == 1 else support.mean(dim=2)

    def score(self, prototypes: Tensor, query: Tensor) -> Tensor:
        """P (episodes, N, L, C), F (episodes, Q, L, C) -> sum of cosines, (episodes, Q, N)."""
        scores = []
        for branch in self.compare(prototypes, query):
            of_class = normalize(branch.of_class @ prototypes, dim=-1).transpose(1, 2)
            of_query = normalize(branch.of_query @ query, dim=-1)
            scores.append(branch.weight * (of_query * of_class).sum(dim=-1))
        return self.settings.scale * torch.stack(scores).sum(dim=0)

    def compare(self, prototypes: Tensor, query: Tensor) -> list[Branch]:
        """P (episodes, N, L, C), F (episodes, Q, L, C) -> attention, the cross branch first.

        Self-attention comes before, as the running statistics of the batch norm depend on it.
        """
        kind, alpha = self.settings.branches, self.settings.alpha
        alone = prototypes.unsqueeze(2), query.unsqueeze(2)
        branches = []
        if kind == "none":
            branches.append(Branch(1.0, *(torch.ones_like(maps[..., 0]) for maps in alone)))
        if kind in ("both", "self"):
            # A lone map has no statistics to train with; the authors leave batch norm out always.
            reference = self.training or self.settings.batch_norm == "reference"
            lone = query.shape[1] == 1 and reference
            M_p, M_f = (cosines(maps, maps).squeeze(2) for maps in alone)
            of_class, of_query = self.attention(M_p), self.attention(M_f, not lone)  # eq. 2
            branches.append(Branch(alpha if kind == "both" else 1.0, of_class, of_query))
        if kind in ("both", "cross"):
            M = cosines(prototypes, query)
            of_class = self.attention(M)  # eq. 6
            of_query = self.attention(M.mT).transpose(1, 2)  # eq. 7
            branches.insert(0, Branch(1.0, of_class, of_query))
        return branches

    def attention(self, M: Tensor, batch_norm: bool = True) -> Tensor:
        """Weight positions by their relations: M (..., own L, other L) -> A (..., own L)."""
        m = M.mean(dim=-2)  # m_j = mean over the own positions i of M_ij
        w = m if self.learner is None else self.learner(m, batch_norm)
        s = (M * w.unsqueeze(-2)).mean(dim=-1)  # s_i = mean_j w_j M_ij
        weights = torch.softmax(s / self.settings.temperature, dim=-1)
        return 1 + self.settings.residual_gain * weights if self.settings.residual else weights

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Find the nearest class, and name the training class, at every position of a query."""
        prototypes, query = episodes.support.mean(dim=2), episodes.query
        labels, own, branches = episodes.labels, self.settings, self.compare(prototypes, query)
        nearest = self.local_scores(branches, prototypes, query)
        terms = {"nearest": own.lamda * position_entropy(nearest, labels)}
        if self.has_head:
            logits = self.global_logits(branches[0], query, labels)
            classes = episodes.classes.gather(1, labels)
            terms["global"] = own.global_weight * position_entropy(logits, classes)
        return terms

    def local_scores(self, branches: list[Branch], prototypes: Tensor, query: Tensor) -> Tensor:
        """Cosines of single positions of a query with pooled classes, (episodes, Q, N, L).

        The attention of a query's position cancels in its cosine, unless the attended vector is
        shorter than `EPSILON`: this loss teaches the attention of the classes only.
        """
        scores, lengths = [], torch.linalg.vector_norm(query, dim=-1).unsqueeze(2)
        for branch in branches:
            of_class = normalize(branch.of_class @ prototypes, dim=-1).transpose(1, 2)
            attended = branch.of_query * lengths
            products = (of_class @ query.mT) * branch.of_query
            scores.append(branch.weight * products / attended.clamp(min=EPSILON))
        return self.settings.scale * torch.stack(scores).sum(dim=0)

    def global_logits(self, branch: Branch, query: Tensor, labels: Tensor) -> Tensor:
        """Logits of the training classes at each position, (episodes, Q, training classes, L).

        A query's map is attended as for its true class, labels (episodes, Q).
        """
        # Self-attention has one entry, for all classes.
        way = labels.clamp(max=branch.of_query.shape[2] - 1)
        own = branch.of_query.take_along_dim(way[..., None, None], dim=2).squeeze(2)
        return self.head(query * own.unsqueeze(-1)).mT


def position_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, averaged over positions: (episodes, Q, classes, L), (episodes, Q) -> ()."""
    targets = labels.flatten()[:, None].expand(-1, logits.shape[-1])
    return cross_entropy(logits.flatten(0, 1), targets)


def pooled_grid(shape: FeatureShape, positions: int) -> tuple[int, int, int]:
    """Frames, height and width of a grid of no more than ``positions``; time is pooled first.

    >>> pooled_grid(FeatureShape(96, 8, 6, 6), 49), pooled_grid(FeatureShape(96, 8, 1, 1), 49)
    ((1, 6, 6), (8, 1, 1))
    >>> pooled_grid(FeatureShape(768, 8, 14, 14), 49)
    (1, 7, 7)
    """
    _, frames, height, width = shape
    if height * width <= positions:
        return min(frames, positions // (height * width)), height, width
    rows = min(height, positions, max(1, math.isqrt(positions * height // width)))
    return 1, rows, min(width, positions // rows)
