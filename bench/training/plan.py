"""One training: everything that determines the resulting weights."""

import copy
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.backbone import Backbone
from bench.features.backbones import LoadedBackbone
from bench.features.given import GivenFeatures
from bench.features.text import TextSource, names_of_classes, needed
from bench.method import ConfiguredMethod, FeatureShape
from bench.plugins.registry import source_sha256
from bench.runs.recipe import TrainingRecipe
from bench.runs.schema import HowTrained, Input
from bench.training.stream import training_stream
from bench.weights.cards import Start, TrainingIdentity, Validation
from episodes.banks.bank import Bank
from episodes.datasets import dataset
from episodes.errors import UserError
from episodes.schema import plain

DRAWS = 1 << 56
"""How many different draws there are."""


@dataclass(frozen=True)
class Training:
    """One method, trained once from one seed."""

    entry: ConfiguredMethod
    seed: int
    recipe: TrainingRecipe
    validation: Bank
    backbone: LoadedBackbone
    """What training begins with."""
    tuned: bool
    """Whether the backbone is trained too."""
    device: torch.device
    out: Path
    text: TextSource | None = None
    """What the names of classes say, for methods that read them."""
    given: GivenFeatures | None = None
    """Features computed elsewhere, in place of those of the backbone, which is not tuned then."""

    @property
    def folder(self) -> Path:
        """The folder of this training."""
        return self.out / self.entry.name / f"seed-{self.seed}"

    @property
    def title(self) -> str:
        """The training in words."""
        return f"{self.entry.name}, seed {self.seed}"

    @property
    def sampling(self) -> str:
        """Which frames of a video the method is shown."""
        return self.backbone.sampling_for(self.entry.cls)

    @property
    def shape(self) -> FeatureShape:
        """Shape of the features that the method is trained on."""
        return FeatureShape(self.backbone.backbone.channels, *self.backbone.backbone.grid)

    @property
    def summary(self) -> HowTrained:
        """What a run says of the training behind it.

        ``start`` names the backbone's weights that it began with, where they are not the shipped
        ones; ``sampling`` and ``resize`` are there if they were chosen. So trainings from
        different backbones or frames are never taken for seeds of one.
        """
        unusual: dict[str, Any] = {
            "start": None if self.backbone.shipped else self.backbone.title,
            "sampling": self.backbone.sampling,
            "resize": asdict(self.backbone.backbone.input).get("resized"),
        }
        return HowTrained(
            recipe=self.recipe.name,
            seed=self.seed,
            backbone="tuned" if self.tuned else "frozen",
            episodes=self.recipe.episodes,
            **{key: value for key, value in unusual.items() if value is not None},
        )

    def identity(self) -> TrainingIdentity:
        """Everything that determines the weights; a training resumes only if all of it agrees.

        Raises:
            UserError: the source of the method cannot be found.
        """
        split = self.validation.split
        source = source_sha256(self.entry)
        if source is None:
            raise UserError(
                f"the source of {self.entry.name} is not available, or has changed since it was"
                " loaded, and weights must name it; train from a file, and start again after edits"
            )
        identity = TrainingIdentity(
            method=self.entry.name,
            revision=self.entry.cls.revision,
            settings=plain(asdict(self.entry.settings)),
            form=self.entry.form,
            source_sha256=source,
            training=self.summary,
            recipe=self.recipe.complete,
            backbone=self._start(),
            dataset=split.dataset,
            way=self.validation.recipe.way,
            shot=self.validation.recipe.shot,
            validation=Validation(
                bank=self.validation.recipe.name,
                bank_sha256=self.validation.sha256,
                episodes=len(self.validation.episodes),
            ),
            device=self.device.type,
        )
        if not self.entry.cls.needs_text:
            return identity
        text = needed(self.text, self.entry.name).identity(self._class_names)
        return identity.changed(text=text)

    def _start(self) -> Start:
        """What made the features; if they are given, the features of the videos that are used."""
        start = Start(name=self.backbone.backbone.name, weights_sha256=self.backbone.weights_sha256)
        if self.given is not None:
            return start.changed(features_sha256=self._features_sha256(self.given))
        return start.changed(
            source_sha256=self.backbone.source_sha256,
            input=Input(**asdict(self.backbone.backbone.input)),
            sampling=self.sampling,
        )

    def _features_sha256(self, given: GivenFeatures) -> str:
        """Hash of the features of all videos that are trained or validated on."""
        stream = training_stream(self.validation, self.recipe, self.seed)
        digest = hashlib.sha256()
        for split, used in (
            (stream.split, stream.used_videos()),
            (self.validation.split, self.validation.used_videos()),
        ):
            for file in given.files([split.videos[index] for index in used]):
                digest.update(file.sha256.encode())
        return digest.hexdigest()

    def class_text(self) -> Tensor:
        """Return the text features of all training classes, (classes, C).

        Raises:
            UserError: there are none.
        """
        return needed(self.text, self.entry.name).features(self._class_names)

    @property
    def _class_names(self) -> list[str]:
        """Names of the training classes, in the order of the split."""
        source = dataset(self.validation.split.dataset)
        return names_of_classes(source, source.split("train").classes)

    def copied_backbone(self) -> Backbone:
        """Return a copy of the backbone, to be changed."""
        return copy.deepcopy(self.backbone.backbone)

    def draws(self, *words: object) -> int:
        """Return a seed, below `DRAWS`, that belongs to this training and to the words."""
        text = "\n".join(map(str, ("fewshot-video-bench training", self.seed, *words)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")

    def seeded(self, *words: object) -> None:
        """Seed torch's global generators: draws depend on step and pass, not on what went before.

        So a training that goes on after a kill draws what it would have drawn, and so does one of
        several processes. The first pass of a step has the seed of the step alone.
        """
        torch.manual_seed(self.draws(*words))
