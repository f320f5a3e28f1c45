"""A prototype whose channels are weighted: a method with a module beside it, and settings."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import normalize

from bench.method import FeatureShape, Method, Settings, register

from .layers import Scale


@dataclass(frozen=True)
class OutsideSettings(Settings):
    """What may be set."""

    temperature: float = 10.0


@register
class Outside(Method):
    """Cosine to prototypes, channels weighted."""

    name = "outside"
    revision = 1
    source = "a test, 2026"
    differs = "nothing"
    needs = "vector"
    order_aware = False
    Settings = OutsideSettings

    def __init__(self, shape: FeatureShape, settings: OutsideSettings | None = None) -> None:
        """Make the weights of channels."""
        super().__init__(shape, settings)
        self.scale = Scale(shape.channels)

    def encode(self, features: Tensor) -> Tensor:
        """(videos, C, T, H, W) -> (videos, C)."""
        return features.mean(dim=(2, 3, 4))

    def adapt(self, support: Tensor) -> Tensor:
        """(episodes, way, shot, C) -> (episodes, way, C)."""
        return normalize(self.scale(support).mean(dim=2), dim=-1)

    def score(self, state: Tensor, query: Tensor) -> Tensor:
        """(episodes, queries, C) -> (episodes, queries, way)."""
        cosines = normalize(self.scale(query), dim=-1) @ state.transpose(1, 2)
        return self.settings.temperature * cosines
