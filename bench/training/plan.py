"""One training: everything that determines the resulting weights."""

import copy
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.backbone import Backbone
from bench.conformance.learning import for_training
from bench.features.backbones import LoadedBackbone
from bench.features.given import GivenFeatures
from bench.features.text import TextSource, names_of_classes, needed
from bench.machine import distributed
from bench.machine.progress import Reporter
from bench.method import ConfiguredMethod, FeatureShape
from bench.plugins.registry import source_sha256
from bench.runs.schema import HowTrained, Input
from bench.training.stream import training_stream
from bench.weights.cards import Start, TrainingIdentity, Validation
from bench.weights.recipe import TrainingRecipe
from episodes.banks.bank import Bank, contents_sha256
from episodes.datasets import dataset
from episodes.datasets.folder import Folder
from episodes.errors import UserError
from episodes.schema import plain
from episodes.split import SplitName

DRAWS = 1 << 56
"""Number of possible values of `Training.draws`."""


@dataclass(frozen=True)
class Training:
    """One training of one method, from one seed.

    Raises:
        UserError: the backbone is frozen, and the method has no weights of its own.
    """

    method: ConfiguredMethod
    seed: int
    recipe: TrainingRecipe
    validation: Bank
    backbone: LoadedBackbone
    """The backbone before training."""
    tuned: bool
    """Whether the backbone is trained too."""
    device: torch.device
    out: Path
    text: TextSource | None = None
    """Text features of class names, for methods that read them."""
    given: GivenFeatures | None = None
    """Features computed elsewhere, instead of those of the backbone, which is not tuned then."""

    def __post_init__(self) -> None:
        """Check that there is something to train."""
        if not self.tuned and not for_training(self.method).build(self.shape, self.seed).learns:
            raise UserError(
                f"{self.method.name} has no weights of its own, and the backbone is frozen; leave"
                " it out, or leave out --freeze-backbone (and --features) to train the backbone"
                " under it"
            )

    @property
    def folder(self) -> Path:
        """The folder of this training."""
        return self.out / self.method.name / f"seed-{self.seed}"

    @property
    def title(self) -> str:
        """The training in words."""
        return f"{self.method.name}, seed {self.seed}"

    @property
    def sampling(self) -> str:
        """Rule by which frames are sampled for the method."""
        return self.backbone.sampling_for(self.method.cls)

    @property
    def shape(self) -> FeatureShape:
        """Shape of the features that the method is trained on."""
        return FeatureShape(self.backbone.backbone.channels, *self.backbone.backbone.grid)

    @property
    def summary(self) -> HowTrained:
        """What a run with the trained weights says about the training.

        ``start`` names the initial weights of the backbone unless they are the shipped ones;
        ``sampling`` and ``resize`` are present if the user chose them. So trainings with different
        backbones or frames are never taken for seeds of one training.
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
        """Everything that determines the weights; a training resumes only if it is the same.

        Raises:
            UserError: the source code of the method cannot be found.
        """
        split = self.validation.split
        source = source_sha256(self.method)
        if source is None:
            raise UserError(
                f"the source code of {self.method.name} is not available, has changed since it was"
                " loaded, or finds other methods by name (REGISTRY, load_method), and the card of"
                " its weights must identify it: train from a file, import what it uses, and start"
                " again after edits"
            )
        identity = TrainingIdentity(
            method=self.method.name,
            revision=self.method.cls.revision,
            settings=plain(asdict(self.method.settings)),
            form=self.method.form,
            source_sha256=source,
            training=self.summary,
            recipe=TrainingRecipe(**self.recipe.model_dump()),  # states the defaults, too
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
        if self.given is None and isinstance(self.validation.source, Folder):
            identity = identity.changed(videos_sha256=self._videos_sha256(self.validation.source))
        if not self.method.cls.needs_text:
            return identity
        # Names of validation classes have a say in which checkpoint is kept.
        names = self._class_names("train") + self._class_names(split.name)
        return identity.changed(text=needed(self.text, self.method.name).identity(names))

    def _start(self) -> Start:
        """Identify the backbone, or the features of the used videos if those are given."""
        start = Start(name=self.backbone.backbone.name, weights_sha256=self.backbone.weights_sha256)
        if self.given is not None:
            return start.changed(features_sha256=self._features_sha256(self.given))
        return start.changed(
            source_sha256=self.backbone.source_sha256,
            input=Input(**asdict(self.backbone.backbone.input)),
            sampling=self.sampling,
        )

    def _features_sha256(self, given: GivenFeatures) -> str:
        """Hash of the features of all videos used in training or validation."""
        stream = training_stream(self.validation, self.recipe, self.seed)
        digest = hashlib.sha256()
        for split, used in (
            (stream.split, stream.used_videos()),
            (self.validation.split, self.validation.used_videos()),
        ):
            for file in given.files([split.videos[index] for index in used]):
                digest.update(file.sha256.encode())
        return digest.hexdigest()

    def _videos_sha256(self, source: Folder) -> str:
        """Hash of all of the user's own videos that may be used in training or validation."""
        splits: tuple[SplitName, ...] = ("train", self.validation.split.name)
        with distributed.first_alone(), Reporter().stage(f"hash {source.name} videos") as progress:
            files = [
                file
                for name in splits
                for file in source.files(name, source.split(name).videos, progress)
            ]
        return contents_sha256(files)

    def class_text(self) -> Tensor:
        """Return the text features of all training classes, (classes, C).

        Raises:
            UserError: there are none.
        """
        return needed(self.text, self.method.name).features(self._class_names("train"))

    def _class_names(self, split: SplitName) -> list[str]:
        """Names of a split's classes, in its order."""
        source = dataset(self.validation.split.dataset)
        return names_of_classes(source, source.split(split).classes)

    def copied_backbone(self) -> Backbone:
        """Return a copy of the backbone that training may change."""
        return copy.deepcopy(self.backbone.backbone)

    def draws(self, *words: object) -> int:
        """Return a number below `DRAWS` that depends on the training's seed and the words alone."""
        text = "\n".join(map(str, ("fewshot-video-bench training", self.seed, *words)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")

    def seeded(self, *words: object) -> None:
        """Seed torch's global generators from `draws`.

        Seeded at every pass, a resumed training draws the same numbers as an uninterrupted one, and
        so does a training in several processes. The first pass of a step has the step's own seed.
        """
        torch.manual_seed(self.draws(*words))
