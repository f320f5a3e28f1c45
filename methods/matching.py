"""Matching frames of a query to frames of support videos, by rules without an order or with one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from bench.method import FeatureShape, register
from episodes.errors import UserError
from methods._frame_matching import FrameMatching, MatchingSettings
from methods.parts.alignment import hausdorff_distances


@dataclass(frozen=True)
class OrderedSettings(MatchingSettings):
    """Settings of rules for two videos of one length, which cannot match shots jointly."""

    def __post_init__(self) -> None:
        """Refuse joint matching.

        Raises:
            UserError: joint matching is asked for.
        """
        if self.joint:
            raise UserError(
                "joint=True: frame t of several shots at once has no single partner; this rule"
                " matches shots one by one, so leave joint at False"
            )


@register
class Diagonal(FrameMatching):
    """Mean cosine of frames at the same time."""

    name = "diagonal"
    order_aware = True
    Settings = OrderedSettings

    def match(self, cosines: Tensor) -> Tensor:
        """(..., T, T) -> (...)."""
        return cosines.diagonal(dim1=-2, dim2=-1).mean(dim=-1)


@register
class Mean(FrameMatching):
    """Cosines with all support frames, summed over these, mean over the query's frames."""

    name = "mean"

    def match(self, cosines: Tensor) -> Tensor:
        """(..., Tq, Ts) -> (...)."""
        return cosines.sum(dim=-1).mean(dim=-1)


@register
class Max(FrameMatching):
    """Cosine of the two frames that are most alike."""

    name = "max"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"max-joint": {"joint": True}}

    def match(self, cosines: Tensor) -> Tensor:
        """(..., Tq, Ts) -> (...)."""
        return cosines.amax(dim=(-2, -1))


@dataclass(frozen=True)
class LinearSettings(OrderedSettings):
    """Settings of `Linear`."""

    temperature: float = 10.0
    """The authors' default."""


@register
class Linear(FrameMatching):
    """Weighted sum of the cosines of all pairs of frames; the weights are learned."""

    name = "linear"
    order_aware = True
    Settings = LinearSettings
    authors_names: ClassVar[Mapping[str, str]] = {
        "matching_function.linear.weight": "weights.weight"
    }

    def __init__(self, shape: FeatureShape, settings: LinearSettings | None = None) -> None:
        """Draw a weight for each pair of frames, as the authors do."""
        super().__init__(shape, settings)
        self.weights = nn.Linear(shape.frames**2, 1, bias=False)

    def match(self, cosines: Tensor) -> Tensor:
        """(..., T, T) -> (...)."""
        score: Tensor = self.weights(cosines.flatten(-2))
        return score.squeeze(-1)


@dataclass(frozen=True)
class ChamferSettings(MatchingSettings):
    """Settings of `Chamfer`."""

    sides: Literal["both", "query", "support"] = "both"
    """Whose frames all look for their nearest one in the other video."""


@register
class Chamfer(FrameMatching):
    """Mean cosine of each frame with the frame of the other video that is most like it."""

    name = "chamfer"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "chamfer-query": {"sides": "query"},
        "chamfer-support": {"sides": "support"},
        "chamfer-joint": {"joint": True},
        "chamfer-query-joint": {"sides": "query", "joint": True},
    }
    Settings = ChamferSettings
    settings: ChamferSettings

    def match(self, cosines: Tensor) -> Tensor:
        """(..., Tq, Ts) -> (...)."""
        of_query = cosines.amax(dim=-1).mean(dim=-1)
        of_support = cosines.amax(dim=-2).mean(dim=-1)
        kinds = {"query": of_query, "support": of_support, "both": (of_query + of_support) / 2}
        return kinds[self.settings.sides]


@dataclass(frozen=True)
class BiMhmSettings(MatchingSettings):
    """Settings of `BiMHM`."""

    epsilon: float = 0.0
    """The authors normalise plainly here."""


@register
class BiMHM(FrameMatching):
    """Bidirectional mean Hausdorff metric: minus the distances of all frames to their nearest."""

    name = "bi-mhm"
    source = "Wang et al., CVPR 2022 (HyRSM), arXiv:2204.13423; alibaba-mmai-research/HyRSM"
    differs = "nothing; on the features as they are, without HyRSM's learned relations"
    Settings = BiMhmSettings

    def match(self, cosines: Tensor) -> Tensor:
        """(..., Tq, Ts) -> (...)."""
        return -hausdorff_distances(1 - cosines)
