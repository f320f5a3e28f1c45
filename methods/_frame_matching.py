"""What rules for matching the frames of two videos share: from their cosines to scores."""

from dataclasses import dataclass

from torch import Tensor

from bench.method import Method, Settings
from methods._precision import in_own_precision
from methods.parts.frames import Frames, encode_frames, frame_cosines, shots_side_by_side

TEMPORAL_MATCHING = (
    "Bertrand, Kalantidis, Tolias, SCIA 2023, arXiv:2303.16084; jbertrand89/temporal_matching at"
    " 4f14d68"
)

NOTHING = (
    "nothing from the authors' matching function; their features are clips of 16 frames, and"
    " their global temperature is the setting"
)


@dataclass(frozen=True)
class MatchingSettings(Settings):
    """Settings of the matching functions."""

    joint: bool = False
    """Whether the shots of a class are matched as one long video; else each shot for itself."""
    epsilon: float = 0.01
    """Added to the product of the norms in the cosine."""
    temperature: float = 1.0
    """Factor of the scores; only training feels it."""


class FrameMatching(Method):
    """Base of the rules: all cosines between frames of two videos become one number."""

    revision = 1
    source = TEMPORAL_MATCHING
    differs = NOTHING
    needs = "frames"
    order_aware = False
    Settings = MatchingSettings
    settings: MatchingSettings

    def encode(self, features: Tensor) -> Frames:
        """(videos, C, T, H, W) -> frame vectors (videos, T, C) and norms (videos, T)."""
        return encode_frames(in_own_precision(self, features))

    def adapt(self, support: Frames) -> Frames:
        """Keep the support frames: vectors (episodes, way, shot, T, C)."""
        return support

    def score(self, state: Frames, query: Frames) -> Tensor:
        """Vectors (episodes, queries, T, C) -> mean over the shots, (episodes, queries, way)."""
        cosines = frame_cosines(query, state, self.settings.epsilon)
        if self.settings.joint:
            cosines = shots_side_by_side(cosines)
        return self.settings.temperature * self.match(cosines).mean(dim=-1)

    def match(self, cosines: Tensor) -> Tensor:
        """(..., Tq, Ts) -> similarity of the two videos, (...)."""
        raise NotImplementedError
