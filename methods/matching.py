"""Frame matching: rules that turn the cosines between the frames of two videos into one number.

Nothing is learned (but for `Linear`): the question is how far one gets by comparing frames, and
whether their order matters. The matrix M holds the cosines of the frames of a query, in rows, with
those of a support video, in columns. The rules differ in what they read from it: the diagonal,
where frames of the same time meet; its mean or its largest entry; a weighted sum; or, as sets are
compared, for each frame the nearest one of the other video, whenever that comes.

Usually each shot of a class is matched alone and the mean counts; the joint forms put the frames of
all shots side by side, so that a frame of the query finds its nearest one in any.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from bench.method import FeatureShape, Method, PairMethod, Settings, register
from methods.parts.frames import Sides, chamfer, cosines, frame_vectors, hausdorff_distances


@dataclass(frozen=True)
class MatchingSettings(Settings):
    """Settings of all rules."""

    epsilon: float = 0.01
    """Added to the product of the norms in the cosine."""
    temperature: float = 1.0
    """Factor of the scores; only training feels it."""


@dataclass(frozen=True)
class LinearSettings(MatchingSettings):
    """Settings of `Linear`, with the authors' default temperature."""

    temperature: float = 10.0


@dataclass(frozen=True)
class ChamferSettings(MatchingSettings):
    """Settings of `Chamfer` and `JointChamfer`."""

    sides: Sides = "both"
    """Videos whose frames are each matched with the nearest one of the other video."""


@dataclass(frozen=True)
class BiMhmSettings(MatchingSettings):
    """Settings of `BiMHM`, whose authors take the plain cosine."""

    epsilon: float = 0.0


class FrameMatching(Method):
    """Base of all rules: a subclass says how it reads the matrix of cosines."""

    source = """Bertrand, Kalantidis, Tolias, SCIA 2023, arXiv:2303.16084;
    jbertrand89/temporal_matching at 4f14d68"""
    differs = """nothing from the authors' matching function; their features are clips of 16 frames,
    and their global temperature is the setting"""
    needs = "frames"
    order_aware = False
    Settings = MatchingSettings
    settings: MatchingSettings

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C)."""
        return frame_vectors(features)

    def similarity(self, query: Tensor, support: Tensor) -> Tensor:
        """Frame vectors (..., A, Tq, C) and (..., B, Ts, C) -> (..., A, B)."""
        M = cosines(query, support, self.settings.epsilon)
        return self.settings.temperature * self.match(M)

    def match(self, M: Tensor) -> Tensor:
        """Cosines (..., Tq, Ts) -> similarity (...), where Ts may be the frames of all shots."""
        raise NotImplementedError


class JointMatching(FrameMatching):
    """Base of the rules that match all shots of a class at once, as one long video."""

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, way, shot, T, C) -> frames side by side, (episodes, way, shot * T, C)."""
        return support.flatten(2, 3)

    def score(self, state: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, T, C) -> (episodes, queries, way)."""
        return self.similarity(query, state)


@register
class Diagonal(FrameMatching, PairMethod):
    """Average the cosines of frames at the same time."""

    name = "diagonal"
    order_aware = True

    def match(self, M: Tensor) -> Tensor:
        """Mean of M_tt."""
        return M.diagonal(dim1=-2, dim2=-1).mean(dim=-1)


@register
class Mean(FrameMatching, PairMethod):
    """Add up the cosines with all support frames, and average over the query's frames."""

    name = "mean"

    def match(self, M: Tensor) -> Tensor:
        """Mean over t of sum over s of M_ts."""
        return M.sum(dim=-1).mean(dim=-1)


@register
class Max(FrameMatching, PairMethod):
    """Take the cosine of the two most similar frames."""

    name = "max"

    def match(self, M: Tensor) -> Tensor:
        """Largest M_ts."""
        return M.amax(dim=(-2, -1))


@register
class JointMax(JointMatching):
    """Take the cosine of the query's and the class's most similar frames."""

    name = "max-joint"

    def match(self, M: Tensor) -> Tensor:
        """Largest M_ts, over all shots."""
        return M.amax(dim=(-2, -1))


@register
class Linear(FrameMatching, PairMethod):
    """Add up the cosines of all pairs of frames by learned weights."""

    name = "linear"
    order_aware = True
    Settings = LinearSettings

    def __init__(self, shape: FeatureShape, settings: LinearSettings | None = None) -> None:
        super().__init__(shape, settings)
        self.weights = nn.Linear(shape.frames**2, 1, bias=False)

    def match(self, M: Tensor) -> Tensor:
        """Sum over t and s of w_ts M_ts."""
        return self.weights(M.flatten(-2)).squeeze(-1)


@register
class Chamfer(FrameMatching, PairMethod):
    """Average the cosine of each frame with the frame of the other video that is most like it."""

    name = "chamfer"
    variants = {"chamfer-query": {"sides": "query"}, "chamfer-support": {"sides": "support"}}
    Settings = ChamferSettings
    settings: ChamferSettings

    def match(self, M: Tensor) -> Tensor:
        """Mean of the largest M_ts of every t, of every s, or of both."""
        return chamfer(M, self.settings.sides)


@register
class JointChamfer(JointMatching):
    """Average the cosine of each frame with its nearest among all frames of the other side."""

    name = "chamfer-joint"
    variants = {"chamfer-query-joint": {"sides": "query"}}
    Settings = ChamferSettings
    settings: ChamferSettings

    def match(self, M: Tensor) -> Tensor:
        """Mean of the largest M_ts of every t, or also of every s, over all shots."""
        return chamfer(M, self.settings.sides)


@register
class BiMHM(FrameMatching, PairMethod):
    """Bidirectional mean Hausdorff metric: minus the distances of all frames to their nearest."""

    name = "bi-mhm"
    source = "Wang et al., CVPR 2022 (HyRSM), arXiv:2204.13423; alibaba-mmai-research/HyRSM"
    differs = "nothing; on the features as they are, without HyRSM's learned relations"
    Settings = BiMhmSettings

    def match(self, M: Tensor) -> Tensor:
        """Minus the distances 1 - M_ts of every t to its nearest s, and of every s."""
        return -hausdorff_distances(1 - M)
