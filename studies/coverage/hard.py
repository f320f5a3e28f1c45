"""Worlds that are hard for intervals: few or unequal classes, accuracies near 0 or 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.statistics.units import design_of
from episodes.banks.recipe import Protocol
from studies.coverage.coverage import Study
from studies.coverage.worlds import Logits, make_bank, place_of


@dataclass(frozen=True)
class Hard:
    """A world, and the split and protocol on which it is tried."""

    world: Logits
    sizes: Sequence[int] = (30,) * 24
    """Videos of each class."""
    shot: int = 1
    protocol: Protocol = "standard"

    def study(self, episodes: int) -> Study:
        """Draw the episodes."""
        split, drawn = make_bank(self.sizes, episodes, self.shot, self.protocol)
        return Study(place_of(split, drawn), design_of(split, drawn), self.world)


RARE_GAIN = Logits(middle=0.0, shared=0.98, gaining=0.1, gain=3.0)
"""The methods differ only in a few classes, of which a sample may contain none."""
TEN, SIX = (30,) * 10, (30,) * 6
CASES: Mapping[str, Hard] = {
    "24 classes": Hard(Logits()),
    "10 classes": Hard(Logits(), TEN),
    "6 classes": Hard(Logits(), SIX),
    "10 classes, heavy tails": Hard(Logits(tails=2.5), TEN),
    "10 classes of 6 to 120 videos": Hard(Logits(), (6, 6, 8, 10, 15, 20, 30, 60, 90, 120)),
    "24 classes, a gain in a tenth": Hard(Logits(gaining=0.1, gain=2.0)),
    "10 classes, a gain in a tenth": Hard(Logits(gaining=0.1, gain=2.0), TEN),
    "24 classes, alike but for a gain in a tenth": Hard(RARE_GAIN),
    "10 classes, alike but for a gain in a tenth": Hard(RARE_GAIN, TEN),
    "24 classes near 95%": Hard(Logits(middle=4.0)),
    "10 classes near 95%": Hard(Logits(middle=4.0), TEN),
    "24 classes near 95%, a twentieth hard": Hard(Logits(middle=4.5, hard=0.05, depth=5.0)),
    "10 classes near 95%, a twentieth hard": Hard(Logits(middle=4.5, hard=0.05, depth=5.0), TEN),
    "24 classes near chance": Hard(Logits(middle=-1.5)),
    "24 classes, one-class": Hard(Logits(), protocol="one-class"),
    "24 classes, 5-shot": Hard(Logits(), shot=5),
}
HARDEST = (
    "24 classes",
    "10 classes",
    "24 classes, a gain in a tenth",
    "24 classes, alike but for a gain in a tenth",
    "10 classes, alike but for a gain in a tenth",
    "24 classes near 95%",
    "24 classes near 95%, a twentieth hard",
)
"""Cases in which a second opinion is worth its time, and two in which none is needed."""
