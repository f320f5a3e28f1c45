"""Classifiers fitted to the support set of each episode: Baseline, Baseline Plus, Baseline++."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu

from bench.method import FeatureShape, register
from methods._fitted_head import FittedHead, FittingSettings, Head

LEAST_LENGTH = 1e-5
"""Added to a vector's length before it is brought to unit length, as in CloserLookFewShot."""


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
