"""Plans: the runs that a command decided on, and what they need."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.features.backbones import LoadedBackbone
from bench.features.given import GivenFeatures
from bench.features.text import TextSource
from bench.machine import distributed
from bench.machine.progress import Reporter
from bench.method import Method
from bench.pretrained import Pretrained
from bench.running.checkpoints import tuned_backbone
from bench.weights.assignment import MethodWithWeights
from episodes.banks.bank import Bank, check_contents, unusable, without
from episodes.banks.leakage import contamination
from episodes.errors import UserError, counted
from episodes.split import VideoFile

SHOWN = 20
"""Unusable videos named; `fvbench data verify --json` names all of a registered data set."""


@dataclass(frozen=True)
class Plan:
    """All runs to execute, decided in advance."""

    banks: Sequence[Bank]
    methods: Sequence[MethodWithWeights]
    backbone: LoadedBackbone
    """Embeds the videos for every method without a tuned backbone of its own."""
    device: torch.device
    batch_size: int
    seed: int
    out: Path
    time_limit: float | None = None
    """Seconds that a method may take on a bank, without computing features."""
    text: TextSource | None = None
    """Text features of class names, for methods that read them."""
    given: GivenFeatures | None = None
    """Features computed elsewhere, instead of those of the backbone."""

    def __post_init__(self) -> None:
        """Refuse methods for whose frames no features are given."""
        for chosen in self.methods if self.given is not None else ():
            if (rule := chosen.method.cls.sampling) != Method.sampling:
                raise UserError(
                    f"{chosen.method.name} samples frames by a rule of its own ({rule}), and the"
                    " given features are of other frames; leave it out, or run it on videos"
                )

    def bank_folder(self, bank: Bank) -> Path:
        """Return the folder of the runs on a bank: its own if there are several banks."""
        return self.out / bank.recipe.name if len(self.banks) > 1 else self.out

    def folder(self, bank: Bank, chosen: MethodWithWeights) -> Path:
        """Return the run directory of a method on a bank; several training seeds get their own."""
        folder = self.bank_folder(bank)
        if len({one.seed for one in self.methods} - {None}) > 1 and chosen.seed is not None:
            folder /= f"seed-{chosen.seed}"
        return folder / chosen.method.name


def alike(plan: Plan) -> Iterator[tuple[str, list[MethodWithWeights]]]:
    """Group the methods that share a backbone and a sampling rule."""
    together: dict[tuple[str, str | None], list[MethodWithWeights]] = {}
    for chosen in plan.methods:
        own = chosen.sha256 if chosen.tuned else None
        sampling = plan.backbone.sampling_for(chosen.method.cls)
        together.setdefault((sampling, own), []).append(chosen)
    for (sampling, _), group in together.items():
        yield sampling, group


def backbone_of(plan: Plan, chosen: MethodWithWeights) -> LoadedBackbone:
    """Return the backbone of a method: its own if training has tuned it."""
    if chosen.tuned and chosen.weights is not None:
        if plan.given is not None:
            raise UserError(
                f"the weights of {chosen.method.name} include a backbone, which needs videos; it"
                " cannot be run on --features"
            )
        return tuned_backbone(plan.backbone, chosen.weights, plan.device)
    return plan.backbone


def files_of(plan: Plan, bank: Bank, reporter: Reporter) -> list[VideoFile]:
    """Return the files of the videos that the bank's episodes use, or of their given features."""
    videos = [bank.split.videos[index] for index in bank.used_videos()]
    if plan.given is not None:
        plan.given.say_extra(videos)
        return plan.given.files(videos)
    source = bank.source
    with distributed.first_alone(), reporter.stage(preparing(bank)) as progress:
        files = source.files(bank.recipe.split, videos, progress)
    check_contents(bank, files)
    return files


def without_missing(bank: Bank, reporter: Reporter) -> Bank:
    """Leave out the episodes that contain a missing or damaged video, and name these videos."""
    with distributed.first_alone(), reporter.stage("open videos") as progress:
        missing = unusable(bank, progress)
    left = without(bank, missing)
    if missing:
        lines = [
            f"note: left out: {counted(left.left_out, 'episode')} of {bank.recipe.name}"
            f" with {counted(len(missing), 'video')} that cannot be used:",
            *(f"{video.label}/{video.name}: {why}" for video, why in list(missing.items())[:SHOWN]),
        ]
        if len(missing) > SHOWN:
            lines.append(f"and {len(missing) - SHOWN:,} more")
        reporter.say("\n  ".join(lines))
    return left


def contamination_of(loaded: LoadedBackbone, bank: Bank) -> str:
    """Say what a backbone has seen of a bank's classes; empty if nothing is known."""
    if not isinstance(loaded.backbone, Pretrained):
        return ""
    return contamination(loaded.backbone.seen, bank.recipe.dataset)


def preparing(bank: Bank) -> str:
    """Title of the stage in which a bank's videos are found or rendered."""
    return f"prepare {bank.source.name} videos"


def embedding(samplings: Iterable[str]) -> str:
    """Title of the stage in which videos are decoded and embedded."""
    return f"embed {', '.join(dict.fromkeys(samplings))}"


def scoring(chosen: MethodWithWeights, bank: Bank) -> str:
    """Title of the stage in which a method scores the queries of a bank."""
    return f"{chosen.method.name} on {bank.recipe.name}"
