"""Mean colours on a small grid: a backbone without weights."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d

from bench.backbone import Backbone, InputSpec


class OutsideColours(Backbone):
    """Colours, and how they change."""

    name = "outside-colours"
    revision = 1
    source = "a test, 2026"
    pretraining = "none"
    input = InputSpec(frames=4, size=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    channels = 6
    grid = (4, 4, 4)

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, 4, 32, 32) -> (videos, 6, 4, 4, 4)."""
        colours = adaptive_avg_pool3d(clips, self.grid)
        changes = colours.diff(dim=2, append=colours[:, :, -1:])
        return torch.cat([colours, changes], dim=1)
