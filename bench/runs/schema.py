"""What ``run.json`` says of a run, field by field.

A field that a run does not have was left out by who wrote it: an older program, or rows from
elsewhere. It then has its default here, and is not written back.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bench.method import Form, Needs, Sees
from episodes.banks.recipe import Recipe
from episodes.schema import Model

Speed = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""Units per second; null in a file where it is unknown, and NaN here."""


class HowTrained(Model):
    """The training behind weights, as runs and cards tell it."""

    recipe: str = ""
    """Name of the training recipe."""
    seed: int | None = None
    """Of the training; None where all seeds are meant."""
    backbone: Literal["frozen", "tuned"] | None = None
    """Whether the backbone was trained too."""
    episodes: int | None = None
    """Training episodes in total."""
    start: str | None = None
    """The backbone's weights that training began with, where they are not the shipped ones."""
    sampling: str | None = None
    """Which frames were shown, if that was chosen."""
    resize: int | tuple[int, int] | None = None
    """To what pictures were resized, if that was chosen."""

    @property
    def of_any_seed(self) -> "HowTrained":
        """Without the seed: the same for all trainings of one method."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"seed"}}
        return HowTrained(**given)


class Input(Model):
    """What a backbone is shown."""

    frames: int
    """Frames in a clip."""
    size: int
    """Height and width in pixels."""
    mean: tuple[int | float, ...]
    """For each channel, of pixels in [0, 1]; taken off."""
    std: tuple[int | float, ...]
    """For each channel; divided by."""
    resized: int | tuple[int, int] | None = None
    """Short side, or height and width, of the picture out of which the input is cut, where that is
    not ``size``."""


class FeatureIdentity(Model):
    """Everything that determines the value of a feature, except the video."""

    backbone: str
    """Name of the backbone."""
    revision: int | None = None
    """Of the backbone."""
    weights_sha256: str = ""
    """Of the backbone's weights."""
    source_sha256: str | None = None
    """Of what the backbone's code means."""
    input: Input | None = None
    """What the backbone is shown."""
    preprocessing: str | None = None
    """How pictures are cut, and the version of that."""
    sampling: str | None = None
    """Which frames of a video make a clip."""
    decoder: str = ""
    """The preferred reader of videos, with its version."""
    device: str | None = None
    """Kind of device that computed them."""
    given: bool = False
    """Whether they were computed elsewhere: then there are no videos."""
    shape: tuple[int, ...] | None = None
    """Of given features: channels, and positions in time, height and width."""
    dtype: str = "float32"
    """Of the stored numbers."""
    other_decoders: dict[str, int] | None = None
    """Readers of videos that the preferred one misreads -> how many they read."""

    @property
    def reader(self) -> str:
        """Name of the preferred reader, without its version."""
        return self.decoder.partition(" ")[0]

    @property
    def resized(self) -> int | tuple[int, int] | None:
        """To what pictures were resized, if that was chosen."""
        return None if self.input is None else self.input.resized


class TextIdentity(Model):
    """Everything that determines the features of the names of classes."""

    source: str
    """Name of the backbone with the text tower, or of a table."""
    key: str
    """Hash of the tower's weights, or of the table."""
    prompt: str
    """What a name is put into."""
    names_sha256: str
    """Of the names, in order."""


class Identity(Model):
    """Everything that determines the rows of a run."""

    bank: str
    """The bank's title."""
    bank_sha256: str
    """Hash of exactly these episodes."""
    episodes: int
    """How many there are."""
    dataset: str | None = None
    """Name of the data set."""
    split: str | None = None
    """Whose classes are asked for: train, val or test."""
    protocol: str | None = None
    """How queries are drawn."""
    way: int | None = None
    """Classes in an episode."""
    shot: int | None = None
    """Support videos of each class."""
    method: str
    """Name of the method, settings that differ from its own in brackets."""
    revision: int
    """Of the method."""
    settings: dict[str, Any] | None = None
    """The method's own, by name; each method declares its kinds."""
    form: Form | None = None
    """Whether the paper's or the faster form ran."""
    source_sha256: str | None = None
    """Of what the method's code means; null where its source was not available."""
    weights_sha256: str | None = None
    """Of the trained weights; null without any."""
    training: HowTrained | None = None
    """How they were trained, where that is known."""
    videos_sha256: str | None = None
    """Of the videos' hashes and how they were read."""
    features: FeatureIdentity | None = None
    """What the method looked at."""
    seed: int | None = None
    """Of the method's own draws."""
    dtype: str
    """Of the arithmetic."""
    text: TextIdentity | None = None
    """What a method that reads names was given."""


class Declared(Model):
    """What a method says about itself, and what a reader needs beside the identity."""

    idea: str = ""
    """The method in a sentence."""
    source: str = ""
    """The publication and code that it follows."""
    differs: str = ""
    """How it differs from them."""
    sees: Literal[Sees, "unknown"]
    """Whether it answers one query at a time."""
    needs: Literal[Needs, ""] = ""
    """The form of features that it makes use of."""
    needs_text: bool = False
    """Whether it is given what the classes are called."""
    order_aware: bool | None = None
    """Whether the order of frames can change its answer."""
    pretraining: str = ""
    """What its own weights have seen before training."""
    backbone_pretraining: str = ""
    """What the backbone's weights have seen."""
    contamination: str = ""
    """Which of the bank's classes they may have seen."""
    trained: bool | None
    """Whether its weights were trained; null where it has none."""
    says_whether_trained: bool = True
    """False where that is not stated: rows from elsewhere."""
    recipe: Recipe | None = None
    """Of a bank that does not come with the program."""
    root: str | None = None
    """Folder of that bank's videos, where no name is registered for it."""


class Cost(Model):
    """What a run took, stage by stage."""

    score_episodes_per_s: Speed
    """Gather, adapt and score, after a warm-up."""
    encode_clips_per_s: Speed
    """The method's own encoding of features."""
    embed_clips_per_s: Speed
    """The backbone, when the features were made; decoding not counted."""
    peak_memory_bytes: int
    """Peak memory."""


class Circumstances(Model):
    """What should not decide the rows, and is kept anyway."""

    command: str = ""
    """What was typed."""
    device: str
    """What computed, in words."""
    machine: str | None = None
    """Architecture and system."""
    computer: str | None = None
    """Tells one computer from another; speeds compare on one alone."""
    processes: int | None = None
    """Processes that shared the work."""
    threads: int | None = None
    """Of torch, in each."""
    python: str | None = None
    """Version of Python."""
    version: str | None = Field(default=None, alias="fewshot-video-bench")
    """Version of this program."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Versions of packages that can matter to a figure."""
    commit: str | None = None
    """Of a clone."""
    dirty: bool | None = None
    """Whether files of the clone were changed since."""
    weights: str | None = None
    """Where the trained weights were."""


class Header(Model):
    """``run.json``: a run without its rows."""

    schema_number: int = Field(alias="schema")
    """Version of this form."""
    rows_sha256: str
    """Of ``rows.parquet``."""
    identity: Identity
    """Everything that determines the rows."""
    declared: Declared
    """What the method says about itself."""
    cost: Cost
    """What the run took."""
    circumstances: Circumstances
    """What it was made on."""
    content_sha256: str | None = None
    """Of all other fields."""


class Failure(Model):
    """A method that gave no rows on a bank, and why: ``failed.json`` in place of a run."""

    bank: str
    """The bank's title."""
    method: str
    """Name of the method."""
    reason: str
    """The message."""
    content_sha256: str | None = None
    """Of all other fields."""
