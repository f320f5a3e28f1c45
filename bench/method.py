"""The contract of a method, and its registration."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from episodes.errors import UserError, unknown

Representation = Tensor | tuple[Tensor, ...]
"""What `Method.encode` makes of videos: a tensor, or a (named) tuple of tensors, videos first."""

Needs = Literal["maps", "frames", "vector"]
Sees = Literal["one query", "all queries"]
Compares = Literal["episodes", "videos at one shot", "videos"]


class FeatureShape(NamedTuple):
    """Shape of one video's feature map: channels, and positions in time, height and width."""

    channels: int
    frames: int
    height: int
    width: int


class LabelledEpisodes(NamedTuple):
    """Training episodes: the only form in which a method ever gets labels."""

    support: Representation
    """(episodes, way, shot, ...)"""
    query: Representation
    """(episodes, queries, ...)"""
    labels: Tensor
    """int64 (episodes, queries): 0..way-1."""
    classes: Tensor
    """int64 (episodes, way): which training class each way is."""


@dataclass(frozen=True)
class Settings:
    """Base of every method's settings: a frozen dataclass of plain values, part of its identity."""


class Method(nn.Module):
    """A few-shot classifier over features, for one episode and for ten thousand alike.

    A subclass declares what is named below, implements `encode`, `adapt` and `score`, and is
    registered with `register`. It is built as ``cls(shape, settings)``; parameters are drawn from
    torch's global generator, which the harness has seeded. Nothing an episode taught may be kept
    on ``self``: `adapt` returns it.

    The order of classes, of shots and of queries carries no meaning: the harness shuffles it.
    """

    name: ClassVar[str]
    revision: ClassVar[int]
    """Raised whenever a number may change."""
    source: ClassVar[str]
    """Authors, venue, year, equation."""
    differs: ClassVar[str]
    """From the source, in words; "nothing" where the authors' numbers are met."""
    sees: ClassVar[Sees] = "one query"
    """"all queries" if the score of one query depends on the others (transductive)."""
    needs: ClassVar[Needs]
    """What it makes use of: maps, one vector a frame, or one vector a video."""
    order_aware: ClassVar[bool]
    """Whether reordering the query's features in time can change its score: on the grid of the
    default backbone, for all variants. A variant of which it is not true is a class of its own."""
    pretraining: ClassVar[str] = "none"
    """Data that shipped weights of the method itself have seen."""
    sampling: ClassVar[str] = "segment-centres"
    """Which frames it wants to be shown (`episodes.sampling`)."""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Further names for the method with other settings: name -> settings that differ."""
    separate_passes: ClassVar[bool] = False
    """Whether training encodes the support videos and then the queries, each in a pass of their
    own: a live batch norm in `encode` then takes the statistics of either, not of all videos."""
    without_gradient: ClassVar[Mapping[str, str]] = {}
    """Parameters that training does not reach: pattern of their names (as in `fnmatch`) -> why."""
    authors_names: ClassVar[Mapping[str, str]] = {}
    """Authors' parameter name -> ours, for loading their checkpoints (`bench.reference`)."""
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, shape: FeatureShape, settings: Any = None) -> None:
        """Build the method for features of ``shape``; without settings, with the default ones."""
        super().__init__()
        self.shape = shape
        self.settings = self.Settings() if settings is None else settings

    @property
    def learns(self) -> bool:
        """Whether there are parameters that only training gives a sensible value."""
        return any(True for _ in self.parameters())

    @property
    def compares(self) -> Compares:
        """What the score of a query for a class depends on.

        "videos" where it is the mean over the class's shots of what the query and that shot score
        alone; "videos at one shot" where this holds for a single shot. Then the loop may score a
        pair of videos once for all episodes that have it. "episodes" is always right, and holds for
        a class with an `encode`, `adapt` or `score` of its own that does not say this anew.
        """
        return "episodes"

    @property
    def symmetric(self) -> bool:
        """Whether two videos have the same score whichever of them is the query.

        Of interest only where scores are made of pairs: then each two videos are compared once. It
        does not hold for a class with a function of its own that does not say this anew.
        """
        return False

    def encode(self, features: Tensor) -> Representation:
        """(videos, C, T, H, W) -> what is needed of each video; once for each unique video."""
        return features

    def adapt(self, support: Any) -> Any:
        """(episodes, way, shot, ...) -> whatever `score` needs to know of the support videos."""
        raise NotImplementedError

    def score(self, state: Any, query: Any) -> Tensor:
        """(episodes, queries, ...) -> (episodes, queries, way); larger is likelier."""
        raise NotImplementedError

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Named terms whose sum training minimises; the scores' cross-entropy unless overridden."""
        scores = self.score(self.adapt(episodes.support), episodes.query)
        entropy = nn.functional.cross_entropy(scores.flatten(0, 1), episodes.labels.flatten())
        return {"episode": entropy}


@dataclass(frozen=True)
class Entry:
    """A method's class with one set of settings, under the name that people type."""

    name: str
    cls: type[Method]
    settings: Settings

    def build(self, shape: FeatureShape, seed: int) -> Method:
        """Build the method in evaluation mode; the same seed draws the same parameters."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            method = self.cls(shape, self.settings)
        return method.eval()


REGISTRY: dict[str, Entry] = {}
"""Every registered method and variant by name; filled by importing the files that define them."""

NAME = r"[a-z0-9][a-z0-9+-]*"
"""What a method may be called: its name is also a folder's."""
REQUIRED = ("name", "revision", "source", "differs", "needs", "order_aware")

SomeMethod = TypeVar("SomeMethod", bound=type[Method])


def register(cls: SomeMethod) -> SomeMethod:
    """Class decorator: make a method and its variants known by their names.

    Raises:
        UserError: a declaration is missing, or a name is taken by another class.
    """
    missing = [field for field in REQUIRED if not hasattr(cls, field)]
    if missing:
        raise UserError(
            f"method class {cls.__name__} does not declare {', '.join(missing)}; every method"
            f" declares {', '.join(REQUIRED)} as class attributes"
        )
    known = {field.name for field in fields(cls.Settings)}
    for name, changed in {cls.name: {}, **vars(cls).get("variants", {})}.items():
        if not re.fullmatch(NAME, name):
            raise UserError(f"method name {name!r}: lower-case letters, digits, - and + only")
        unknown = set(changed) - known
        if unknown:
            raise UserError(
                f"variant {name} sets {', '.join(sorted(unknown))}, which {cls.__name__}.Settings"
                f" does not have; it has {', '.join(sorted(known)) or 'none'}"
            )
        _enter(Entry(name, cls, cls.Settings(**changed)))
    return cls


def _enter(entry: Entry) -> None:
    taken = REGISTRY.get(entry.name)
    if taken is not None and _place(taken.cls) != _place(entry.cls):
        raise UserError(
            f"two methods are called {entry.name}: {_place(taken.cls)} and {_place(entry.cls)};"
            " rename one of them"
        )
    REGISTRY[entry.name] = entry


def _place(cls: type[Method]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def find(name: str, among: Mapping[str, Entry]) -> Entry:
    """Return the entry called ``name``.

    Raises:
        UserError: there is none; the message lists the nearest names.
    """
    if name in among:
        return among[name]
    raise unknown("method", name, among)


def apply(representation: Representation, change: Callable[[Tensor], Tensor]) -> Representation:
    """Apply a function to every tensor of a representation, keeping its (named) tuple."""
    if isinstance(representation, Tensor):
        return change(representation)
    return _like(representation, [change(tensor) for tensor in representation])


def gather(representation: Representation, index: Tensor) -> Representation:
    """Pick videos out of a representation: ``index`` (...) -> each tensor (..., rest)."""
    return apply(representation, lambda tensor: tensor[index])


def join(representations: Sequence[Representation]) -> Representation:
    """Put representations of several lots of videos behind one another."""
    first = representations[0]
    if isinstance(first, Tensor):
        return torch.cat([part for part in representations if isinstance(part, Tensor)])
    return _like(first, [torch.cat(parts) for parts in zip(*representations, strict=True)])


def _like(representation: tuple[Tensor, ...], tensors: list[Tensor]) -> tuple[Tensor, ...]:
    """Put tensors into the same kind of (named) tuple."""
    kind = type(representation)
    return kind(*tensors) if hasattr(kind, "_fields") else kind(tensors)
