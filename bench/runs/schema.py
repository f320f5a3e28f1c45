"""What ``run.json`` says of a run, field by field.

Runs of older versions, and rows made by other programs, lack some fields. These have their defaults
here, and are not written back.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bench.settings import Form, Needs, Sees
from episodes.banks.recipe import Recipe
from episodes.schema import Model

Speed = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""Units per second; null in a file where it is unknown, and NaN here."""


class HowTrained(Model):
    """The training behind weights, as runs and cards state it."""

    recipe: str = ""
    """Name of the training recipe."""
    seed: int | None = None
    """Seed of the training; None where all seeds are meant."""
    backbone: Literal["frozen", "tuned"] | None = None
    """Whether the backbone was fine-tuned too."""
    episodes: int | None = None
    """Training episodes in total."""
    start: str | None = None
    """The backbone's weights at the start of the training, where they are not the shipped ones."""
    sampling: str | None = None
    """Rule by which frames were sampled, where it was chosen."""
    resize: int | tuple[int, int] | None = None
    """Size to which pictures were resized, where it was chosen."""

    @property
    def of_any_seed(self) -> "HowTrained":
        """The training without its seed: the same for all trainings of one method."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"seed"}}
        return HowTrained(**given)


class Input(Model):
    """The input of a backbone."""

    frames: int
    """Frames in a clip."""
    size: int
    """Height and width in pixels."""
    mean: tuple[int | float, ...]
    """Mean of each channel, which is subtracted from pixels in [0, 1]."""
    std: tuple[int | float, ...]
    """Standard deviation of each channel, by which pixels are divided."""
    resized: int | tuple[int, int] | None = None
    """Short side, or height and width, of the picture from which the input is cut, where it is not
    ``size``."""


class FeatureIdentity(Model):
    """Everything that determines the value of a feature, except the video."""

    backbone: str
    """Name of the backbone."""
    revision: int | None = None
    """Revision of the backbone."""
    weights_sha256: str = ""
    """Hash of the backbone's weights."""
    source_sha256: str | None = None
    """Hash of the meaning of the backbone's code: comments and formatting do not count."""
    input: Input | None = None
    """The input of the backbone."""
    preprocessing: str | None = None
    """Rule by which pictures are cropped, with its version."""
    sampling: str | None = None
    """Rule by which the frames of a clip are sampled."""
    decoder: str = ""
    """The preferred decoder of videos, with its version."""
    device: str | None = None
    """Type of the device that computed the features."""
    given: bool = False
    """Whether the features were computed by another program: then there are no videos."""
    shape: tuple[int, ...] | None = None
    """Shape of given features: channels, and positions in time, height and width."""
    dtype: str = "float32"
    """Type of the stored numbers."""
    other_decoders: dict[str, int] | None = None
    """Other decoders, for videos that the preferred one misreads -> number of their videos."""

    @property
    def reader(self) -> str:
        """Name of the preferred decoder, without its version."""
        return self.decoder.partition(" ")[0]

    @property
    def resized(self) -> int | tuple[int, int] | None:
        """Size to which pictures were resized, where it was chosen."""
        return None if self.input is None else self.input.resized


class TextIdentity(Model):
    """Everything that determines the features of the names of classes."""

    source: str
    """Name of the backbone with the text tower, or of a table."""
    key: str
    """Hash of the tower's weights, or of the table."""
    prompt: str
    """The prompt into which each name is put."""
    names_sha256: str
    """Hash of the names, in order."""


class Identity(Model):
    """Everything that determines the rows of a run."""

    bank: str
    """The bank's title."""
    bank_sha256: str
    """Hash of exactly these episodes."""
    episodes: int
    """Number of episodes."""
    dataset: str | None = None
    """Name of the data set."""
    split: str | None = None
    """Split of the classes: train, val or test."""
    protocol: str | None = None
    """The rule by which queries are drawn."""
    way: int | None = None
    """Classes in an episode."""
    shot: int | None = None
    """Support videos of each class."""
    method: str
    """Name of the method, with the settings that differ from its defaults in brackets."""
    revision: int
    """Revision of the method."""
    settings: dict[str, Any] | None = None
    """Settings of the method, by name; each method declares their types."""
    form: Form | None = None
    """The form of the code that ran: the paper's, or the faster one."""
    source_sha256: str | None = None
    """Hash of the meaning of the method's code; null where its source was not available."""
    weights_sha256: str | None = None
    """Hash of the trained weights; null without any."""
    training: HowTrained | None = None
    """The training of the weights, where it is known."""
    videos_sha256: str | None = None
    """Hash of the videos' contents and of how they were decoded."""
    features: FeatureIdentity | None = None
    """The features that the method was given."""
    seed: int | None = None
    """Seed of the method's own random draws."""
    dtype: str
    """Type of the numbers in the method's arithmetic."""
    text: TextIdentity | None = None
    """The text features given to a method that reads class names."""
    harness: int | None = None
    """Revision of the program's own arithmetic, where it is not the first."""


class Declared(Model):
    """What a method declares about itself, and facts that a reader needs beside the identity."""

    idea: str = ""
    """The method in a sentence."""
    source: str = ""
    """The publication and code that it follows."""
    differs: str = ""
    """Differences from that publication and code."""
    sees: Literal[Sees, "unknown"]
    """The queries that it sees when it answers one: that query, or all of an episode."""
    needs: Literal[Needs, ""] = ""
    """The form of features that it uses."""
    needs_text: bool = False
    """Whether it is given the names of the classes."""
    order_aware: bool | None = None
    """Whether the order of a query's frames can change its answer."""
    pretraining: str = ""
    """The data on which its own weights were pretrained."""
    backbone_pretraining: str = ""
    """The data on which the backbone was pretrained."""
    contamination: str = ""
    """Classes of the bank that the pretraining may have included."""
    trained: bool | None
    """Whether its weights were trained; null where it has none."""
    training_sha256: str | None = None
    """Hash of the recipe, data and validation bank of the training (`bench.weights.cards`), in
    which its seeds agree; null where they are not known, as in older runs."""
    training_recipe_sha256: str | None = None
    """Hash of its recipe alone, in which trainings on several data sets may agree."""
    says_whether_trained: bool = True
    """Whether ``trained`` is known; rows made by other programs may not state it."""
    recipe: Recipe | None = None
    """Recipe of the bank, where it does not come with the program."""
    root: str | None = None
    """Folder of the bank's videos, where it is not a registered data set."""


class Cost(Model):
    """Speed of a run's stages, and its memory."""

    score_episodes_per_s: Speed
    """Speed of gathering, adapting and scoring, after a warm-up."""
    encode_clips_per_s: Speed
    """Speed of the method's encoding of features."""
    embed_clips_per_s: Speed
    """Speed of the backbone when the features were computed, without decoding."""
    peak_memory_bytes: int
    """Peak memory of the process, or of the GPU if there is one."""


class Circumstances(Model):
    """Facts that should not affect the rows, recorded all the same."""

    command: str = ""
    """The command as it was typed."""
    device: str
    """Description of the device."""
    machine: str | None = None
    """Architecture and system."""
    computer: str | None = None
    """Identifier of the computer: speeds can be compared on one computer only."""
    processes: int | None = None
    """Number of processes that shared the work."""
    threads: int | None = None
    """Number of torch's threads in each process."""
    python: str | None = None
    """Version of Python."""
    version: str | None = Field(default=None, alias="fewshot-video-bench")
    """Version of this program."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that can affect a figure."""
    commit: str | None = None
    """Commit of the clone."""
    dirty: bool | None = None
    """Whether files of the clone differed from that commit."""
    weights: str | None = None
    """Location of the trained weights."""


class Header(Model):
    """``run.json``: a run without its rows."""

    schema_number: int = Field(alias="schema")
    """Version of this schema."""
    rows_sha256: str
    """Hash of ``rows.parquet``."""
    identity: Identity
    """Everything that determines the rows."""
    declared: Declared
    """What the method declares about itself."""
    cost: Cost
    """Speed and memory of the run."""
    circumstances: Circumstances
    """Machine, packages and code of the run."""
    content_sha256: str | None = None
    """Hash of all other fields."""


class Failure(Model):
    """A method that gave no rows on a bank, and why: ``failed.json`` in place of a run."""

    bank: str
    """The bank's title."""
    method: str
    """Name of the method."""
    reason: str
    """The message."""
    content_sha256: str | None = None
    """Hash of all other fields."""
