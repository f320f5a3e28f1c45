"""The contract of a backbone as rules, each tested on one synthetic clip.

A network that puts its tokens back on the grid in the wrong order still gives maps of the right
shape, but methods then compare the wrong positions or moments. So the rules change a corner of the
clip, or the frames at one end, and look where the maps change.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bench.backbone import Backbone, InputSpec
from bench.conformance.rule import Breach, Breaches, breaches_of
from bench.pretrained import content_sha256
from bench.settings import NAME

ROUNDING = 1e-4
"""Largest change of a feature that counts as rounding, as a fraction of the largest feature:
kernels may sum in another order."""
LEAST_COSINE = 0.99
"""Lowest cosine similarity between maps in bfloat16, which has 8 bits, and in float32."""


class BackboneUnderTest:
    """A loaded backbone under examination, and its maps of one clip."""

    def __init__(self, backbone: Backbone) -> None:
        """Examine a backbone as `load_backbone` returns it, in evaluation mode."""
        self.backbone = backbone

    def clip(self, videos: int = 1) -> Tensor:
        """Return clips of faint noise, the same every time: (videos, 3, frames, size, size)."""
        spec = self.backbone.input
        noise = torch.Generator().manual_seed(1)
        return 0.1 * torch.randn((videos, 3, spec.frames, spec.size, spec.size), generator=noise)

    @torch.no_grad()
    def maps(self, clips: Tensor) -> Tensor:
        """(videos, 3, frames, size, size) -> (videos, C, T, H, W)."""
        maps: Tensor = self.backbone(clips)
        return maps

    @cached_property
    def plain(self) -> Tensor:
        """Maps of the clip, (1, C, T, H, W)."""
        return self.maps(self.clip())

    def change(self, clips: Tensor) -> Tensor:
        """Return how much each position of the maps differs from `plain`, (T, H, W)."""
        return (self.maps(clips) - self.plain).abs().sum(dim=(0, 1))


def declarations(subject: BackboneUnderTest) -> Breaches:
    """It declares its name, source, pretraining, revision, input, channels and grid."""
    backbone = subject.backbone
    for word in ("name", "source", "pretraining"):
        if not (isinstance(getattr(backbone, word, None), str) and getattr(backbone, word)):
            none = " ('none' if it saw nothing)" if word == "pretraining" else ""
            yield f"it does not state its {word} as text{none}"
    if not isinstance(getattr(backbone, "revision", None), int):
        yield "it states no revision, a whole number that is raised whenever a feature may change"
    spec = getattr(backbone, "input", None)
    if not isinstance(spec, InputSpec):
        yield "it states no input, a bench.backbone.InputSpec"
    elif not isinstance(spec.mean, tuple) or not isinstance(spec.std, tuple):
        yield "mean and std of its input are not tuples"
    if not isinstance(getattr(backbone, "channels", None), int):
        yield "it states no channels, a whole number"
    grid = getattr(backbone, "grid", None)
    if not (isinstance(grid, tuple) and len(grid) == 3 and all(one > 0 for one in grid)):
        yield f"its grid is {grid!r}; it is three whole numbers: positions in time, height, width"
    if not re.fullmatch(NAME, str(getattr(backbone, "name", ""))):
        yield f"its name is {getattr(backbone, 'name', '')!r}: lower-case letters, digits, - and +"


def shape(subject: BackboneUnderTest) -> Breaches:
    """Its maps have the declared shape, in float32, finite, and not all the same."""
    backbone, maps = subject.backbone, subject.plain
    declared = (1, backbone.channels, *backbone.grid)
    if maps.shape != declared:
        yield f"maps have shape {tuple(maps.shape)}, declared is {declared}"
        return
    if maps.dtype != torch.float32:
        yield f"maps are {maps.dtype}, not float32"
    if not maps.is_contiguous():
        yield "maps are not contiguous in memory: end forward() with .contiguous()"
    if not maps.isfinite().all():
        yield "maps hold NaN or infinity"
    if torch.equal(subject.maps(2 - subject.clip()), maps):
        yield "another clip has the same maps"


def space(subject: BackboneUnderTest) -> Breaches:
    """A change in a corner of the clip changes that corner of the maps most."""
    _, height, width = subject.backbone.grid
    if min(height, width) < 2:
        return
    size = subject.backbone.input.size
    side = size // height
    for name, (down, right) in {
        "upper left": (0, 0),
        "upper right": (0, 1),
        "lower left": (1, 0),
    }.items():
        top, left = down * (size - side), right * (size - side)
        clip = subject.clip()
        clip[..., top : top + side, left : left + side] += 2.0
        change = subject.change(clip).sum(dim=0)
        found = divmod(int(change.argmax()), width)
        wanted = (down * (height - 1), right * (width - 1))
        off = [abs(one - other) for one, other in zip(found, wanted, strict=True)]
        # Receptive fields overlap: any position in the right quarter of the map will do.
        if off[0] > max(1, (height - 1) // 2) or off[1] > max(1, (width - 1) // 2):
            yield (
                f"a bright spot in the {name} corner changes row {found[0]}, column {found[1]} of"
                f" {height} x {width} most: tokens are on the grid in the wrong order"
            )


def time(subject: BackboneUnderTest) -> Breaches:
    """Changed frames at either end of the clip change that end of the maps more."""
    steps, frames = subject.backbone.grid[0], subject.backbone.input.frames
    if steps == 1:
        return
    count = max(frames // steps, 1)
    shares = []
    for part in (slice(0, count), slice(-count, None)):
        clip = subject.clip()
        clip[:, :, part] += 1.0
        change = subject.change(clip).sum(dim=(1, 2))
        shares.append(change / change.sum().clamp(min=1e-30))
    early, late = shares
    if early[0] <= late[0] or late[-1] <= early[-1]:
        yield (
            f"{early[0]:.0%} of the change from the first frames is in the first of {steps} steps,"
            f" and {late[0]:.0%} of that from the last frames: time is reversed, or mixed"
        )


def batch(subject: BackboneUnderTest) -> Breaches:
    """The maps of a clip do not depend on the other clips of its batch."""
    together = subject.maps(torch.cat([subject.clip(), 1 - subject.clip()]))[:1]
    yield from _unless_near("another clip in the batch", together, subject.plain)


def memory_format(subject: BackboneUnderTest) -> Breaches:
    """The memory layout of a clip changes nothing."""
    maps = subject.maps(subject.clip().to(memory_format=torch.channels_last_3d))
    yield from _unless_near("another memory layout", maps, subject.plain)


def evaluation(subject: BackboneUnderTest) -> Breaches:
    """It is in evaluation mode: deterministic, without changes to its weights or its input."""
    backbone, clip = subject.backbone, subject.clip()
    weights, state = content_sha256(backbone.state_dict()), torch.get_rng_state()
    if not torch.equal(subject.maps(clip), subject.plain):
        yield "the same clip has other maps the second time"
    if content_sha256(backbone.state_dict()) != weights:
        yield "its weights or statistics change as it processes clips"
    if not torch.equal(torch.get_rng_state(), state):
        yield "it draws from torch's global generator"
    if not torch.equal(clip, subject.clip()):
        yield "it changes the clip in place"
    if training := [name or "itself" for name, one in backbone.named_modules() if one.training]:
        yield f"{training[0]} is in training mode, one of {len(training)} such modules"


def half_precision(subject: BackboneUnderTest) -> Breaches:
    """Its maps in bfloat16 are nearly parallel to those in float32."""
    with torch.autocast("cpu", torch.bfloat16):
        maps = subject.maps(subject.clip()).float()
    cosine = torch.nn.functional.cosine_similarity(maps.flatten(), subject.plain.flatten(), dim=0)
    if not cosine > LEAST_COSINE:
        yield f"the cosine between maps in bfloat16 and in float32 is {cosine:.3f}"


BACKBONE_RULES: tuple[Callable[[BackboneUnderTest], Breaches], ...] = (
    declarations,
    shape,
    space,
    time,
    batch,
    memory_format,
    evaluation,
    half_precision,
)
"""Every rule; a backbone that breaks one of the first two cannot be tested on the others."""


@dataclass(frozen=True)
class BackboneReport:
    """The result of an examination."""

    backbone: str
    maps: str
    """Their shape, in words; empty if the backbone gives no proper maps."""
    pretraining: str
    rules: int
    """Number of rules that were examined."""
    breaches: Sequence[Breach]

    def lines(self) -> list[str]:
        """One line for a backbone that keeps all rules, else one for each breach."""
        if self.breaches:
            return [f"{self.backbone} breaks {rule}: {words}" for rule, words in self.breaches]
        return [
            f"{self.backbone}: ok, {self.rules} rules; maps {self.maps};"
            f" pretraining: {self.pretraining}"
        ]

    def record(self) -> dict[str, Any]:
        """The report as JSON values."""
        breaches = [one._asdict() for one in self.breaches]
        return vars(self) | {"ok": not self.breaches, "breaches": breaches}


def examine_backbone(name: str, backbone: Backbone) -> BackboneReport:
    """Examine every rule; only the first ones if the backbone gives no proper maps."""
    subject, found = BackboneUnderTest(backbone), list[Breach]()
    for examined, rule in enumerate(BACKBONE_RULES, start=1):
        found += [Breach(rule.__name__, words) for words in breaches_of(rule, subject)]
        if found and examined <= 2:
            pretraining = str(getattr(backbone, "pretraining", ""))
            return BackboneReport(name, "", pretraining, examined, found)
    maps = " x ".join(map(str, (backbone.channels, *backbone.grid)))
    return BackboneReport(name, maps, backbone.pretraining, examined, found)


def _unless_near(what: str, found: Tensor, expected: Tensor) -> Breaches:
    share = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
    if not share <= ROUNDING:
        yield f"{what} changes features by {share:.2g} of the largest one, more than {ROUNDING:g}"
