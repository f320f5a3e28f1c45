"""The contract of a method, and its registration."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, TypeVar, final

import torch
from torch import Tensor, nn

from bench.settings import (
    NAME,
    Form,
    Needs,
    Sees,
    canonical,
    is_of_kind,
    kind_in_words,
    parted,
    read_settings,
)
from episodes.decoding.sampling import clip_count
from episodes.errors import UserError, unknown

Representation = Tensor | tuple[Tensor, ...]
"""The result of `Method.encode`: a tensor, or a (named) tuple of tensors, videos first."""


class FeatureShape(NamedTuple):
    """Shape of one video's feature map: channels, and positions in time, height and width."""

    channels: int
    frames: int
    height: int
    width: int


class NamedSupport(NamedTuple):
    """The support that a `TextMethod` adapts to."""

    videos: Any
    """(episodes, way, shot, ...) of each tensor that `encode` returns."""
    text: Tensor
    """(episodes, way, C): text features of the class names."""


class LabelledEpisodes(NamedTuple):
    """Training episodes, the only form in which a method gets labels."""

    support: Any
    """(episodes, way, shot, ...), as `adapt` takes it."""
    query: Any
    """(episodes, queries, ...)"""
    labels: Tensor
    """int64 (episodes, queries): 0..way-1."""
    classes: Tensor
    """int64 (episodes, way): training class of each way."""
    class_text: Tensor | None = None
    """(training classes, C): text features of all training classes, for a `TextMethod`."""


@dataclass(frozen=True)
class Settings:
    """Base of all settings: a frozen dataclass of plain values, part of a method's identity."""


class Method(nn.Module):
    """A few-shot classifier over features, for any number of episodes at once.

    A subclass declares the attributes below, implements `encode`, `adapt` and `score`, and is
    registered with `register`. It is built as ``cls(shape, settings)``; its parameters are drawn
    from torch's global generator, which the harness has seeded. Whatever is learned from an episode
    is returned by `adapt`, never kept on ``self``.

    The order of classes, shots and queries carries no meaning: the harness shuffles it.
    """

    name: ClassVar[str]
    revision: ClassVar[int] = 1
    """Raised whenever a score may change."""
    source: ClassVar[str]
    """Authors, venue, year, equation; line breaks count as spaces."""
    differs: ClassVar[str]
    """Differences from the source, in words; "nothing" if it reproduces the authors' numbers. Line
    breaks count as spaces."""
    sees: ClassVar[Sees] = "one query"
    """"all queries" if the score of a query depends on the other queries (transductive)."""
    needs: ClassVar[Needs]
    """The input that it uses: maps, one vector per frame, or one vector per video."""
    order_aware: ClassVar[bool]
    """Whether reordering the query's features in time can change its score, on the grid of the
    default backbone and for all variants. A variant that differs in this is a class of its own."""
    pretraining: ClassVar[str] = "none"
    """Data that shipped weights of the method itself have seen."""
    sampling: ClassVar[str] = "segment-centres"
    """Rule by which frames are sampled for it (`episodes.decoding.sampling`)."""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Names of variants -> settings that differ from the defaults."""
    separate_passes: ClassVar[bool] = False
    """Whether training encodes support videos and queries in separate passes, so that live batch
    norms in `encode` compute the statistics of each separately."""
    without_gradient: ClassVar[Mapping[str, str]] = {}
    """Parameters that get no gradient in training: pattern of names (as in `fnmatch`) -> reason."""
    needs_text: ClassVar[bool] = False
    """Whether it reads the class names of an episode; true of a `TextMethod`."""
    accelerates: ClassVar[str]
    """Name of the method of which this class is a faster form. Only a subclass of that method's
    class that gives the same scores, losses and gradients declares it (`methods/fast/`)."""
    Settings: ClassVar[type[Settings]] = Settings

    def __init_subclass__(cls, **words: Any) -> None:
        """Join the lines of `source` and of `differs`."""
        super().__init_subclass__(**words)
        for said in {"source", "differs"} & vars(cls).keys():
            setattr(cls, said, " ".join(vars(cls)[said].split()))

    def __init__(self, shape: FeatureShape, settings: Any = None) -> None:
        """Build the method for features of ``shape``, by default with the default settings."""
        super().__init__()
        self.shape = shape
        self.settings = self.Settings() if settings is None else settings

    @property
    def learns(self) -> bool:
        """Whether the method has parameters, which need training."""
        return any(True for _ in self.parameters())

    def encode(self, features: Tensor) -> Representation:
        """(videos, C, T, H, W) -> representations, computed once for each unique video."""
        return features

    def adapt(self, support: Any) -> Any:
        """(episodes, way, shot, ...) -> the state for `score`; by default, the support itself."""
        return support

    def score(self, state: Any, query: Any) -> Tensor:
        """(episodes, queries, ...) -> (episodes, queries, way); larger is likelier."""
        raise NotImplementedError

    def loss(self, episodes: LabelledEpisodes) -> dict[str, Tensor]:
        """Named terms of the training loss; by default, the cross-entropy of the scores."""
        scores = self.score(self.adapt(episodes.support), episodes.query)
        entropy = nn.functional.cross_entropy(scores.flatten(0, 1), episodes.labels.flatten())
        return {"episode": entropy}


class PairMethod(Method):
    """A method that compares a query with one support video at a time.

    Its score for a class is the mean similarity between the query and the shots of that class. A
    subclass implements `similarity`, and `encode` if it likes. Since it never sees an episode, the
    harness may compute the similarity of two videos once for all episodes.
    """

    def __init_subclass__(cls, **words: Any) -> None:
        """Refuse a subclass with an `adapt` or a `score` of its own.

        Raises:
            UserError: it has one.
        """
        super().__init_subclass__(**words)
        for name in ("adapt", "score"):
            if getattr(cls, name) is not getattr(PairMethod, name):
                raise UserError(
                    f"{cls.__name__} derives from PairMethod and has its own {name}(); the score of"
                    " a PairMethod is the mean of similarity() over the shots: derive from Method"
                )

    def similarity(self, query: Any, support: Any) -> Tensor:
        """Compare each query with each support video; larger means more alike.

        Args:
            query: (..., A, rest) of each tensor that `encode` returns.
            support: (..., B, rest).

        Returns:
            (..., A, B)
        """
        raise NotImplementedError

    @final
    def adapt(self, support: Representation) -> Representation:
        """Keep the support videos as they are."""
        return support

    @final
    def score(self, state: Representation, query: Representation) -> Tensor:
        """Average the similarities over the shots of each class."""
        episodes, way, shot = _first(state).shape[:3]
        shown = apply(state, lambda tensor: tensor.flatten(1, 2))
        similarities: Tensor = self.similarity(query, shown)
        expected = (episodes, _first(query).shape[1], way * shot)
        if similarities.shape != expected:
            raise UserError(
                f"method {self.name} gave similarities of shape {tuple(similarities.shape)};"
                f" (episodes, queries, support videos) is {expected}: correct its similarity()"
            )
        by_class: Tensor = similarities.unflatten(-1, (way, shot))
        return by_class.mean(dim=-1)


class TextMethod(Method):
    """A method that also reads the names of the classes.

    The names are given as text features in the space of the frame vectors, one vector per class, in
    the order of the classes. Neither the name nor the index of a class reaches the method.
    """

    needs_text = True

    def adapt(self, support: NamedSupport) -> Any:
        """Return the state that `score` needs of the support videos and their class names."""
        raise NotImplementedError


@dataclass(frozen=True)
class ConfiguredMethod:
    """The class of a method with its settings, under the name that a user types."""

    name: str
    cls: type[Method]
    """The method as its paper has it, with all declarations."""
    settings: Settings
    fast: type[Method] | None = None
    """Its faster form, which is built instead, unless there is none or the user wants none."""
    given: tuple[tuple[str, Any], ...] = ()
    """Settings that the user wrote in brackets behind the name, as part of it."""

    @property
    def registered(self) -> str:
        """The name without settings in brackets."""
        return self.name.partition("[")[0]

    @property
    def form(self) -> Form:
        """The form that is built."""
        return "plain" if self.fast is None else "fast"

    @property
    def plain(self) -> "ConfiguredMethod":
        """The method without its faster form."""
        return replace(self, fast=None)

    @property
    def built(self) -> type[Method]:
        """The class that is built."""
        return self.fast or self.cls

    def build(self, shape: FeatureShape, seed: int) -> Method:
        """Build the method in evaluation mode; the same seed draws the same parameters."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            method = self.built(shape, self.settings)
        return method.eval()


REGISTRY: dict[str, ConfiguredMethod] = {}
"""Every registered method and variant by name; filled by importing the files that define them."""

REQUIRED = ("name", "source", "differs", "needs", "order_aware")
KINDS = {
    "needs": Needs,
    "sees": Sees,
    "order_aware": bool,
    "needs_text": bool,
    "revision": int,
    "pretraining": str,
}
"""Types of declarations that runs state."""

SomeMethod = TypeVar("SomeMethod", bound=type[Method])


def register(cls: SomeMethod) -> SomeMethod:
    """Class decorator: register a method and its variants by name.

    A class that declares `Method.accelerates` becomes the faster form of that method and its
    variants, instead of a method of its own.

    Raises:
        UserError: a declaration is missing or of another type, a setting is no plain value, a name
            is taken by another class, no sampling rule has the declared name, or a faster form does
            not derive from the method that it accelerates.
    """
    if "accelerates" in vars(cls):
        _accelerate(cls)
        return cls
    missing = [field for field in REQUIRED if not hasattr(cls, field)]
    if missing:
        raise UserError(
            f"method class {cls.__name__} does not declare {', '.join(missing)}; every method"
            f" declares {', '.join(REQUIRED)} as class attributes"
        )
    clip_count(cls.sampling)
    for field, kind in KINDS.items():
        if not is_of_kind(value := getattr(cls, field), kind):
            raise UserError(f"{field} of {cls.__name__} is {value!r}; {kind_in_words(kind)}")
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
        settings = cls.Settings(**changed)
        for key, value in asdict(settings).items():
            try:
                json.dumps(value)
            except (TypeError, ValueError) as error:
                raise UserError(
                    f"setting {key} of method {name} cannot be written into run.json: {error};"
                    " settings are numbers, text, True, False, None, or tuples of these"
                ) from error
        _enter(ConfiguredMethod(name, cls, settings))
    return cls


def _accelerate(fast: type[Method]) -> None:
    """Register a class as the faster form of the method that it accelerates, and its variants."""
    entry = REGISTRY.get(fast.accelerates)
    if entry is None or not issubclass(fast, entry.cls):
        known = "is not registered" if entry is None else f"is {_place(entry.cls)}"
        raise UserError(
            f"{fast.__name__} declares accelerates = {fast.accelerates!r}, which {known}; a faster"
            " form derives from the class of the method that it accelerates"
        )
    for name, one in REGISTRY.items():
        if one.cls is entry.cls:
            REGISTRY[name] = replace(one, fast=fast)


def _enter(entry: ConfiguredMethod) -> None:
    taken = REGISTRY.get(entry.name)
    if taken is not None and _place(taken.cls) != _place(entry.cls):
        raise UserError(
            f"two methods are called {entry.name}: {_place(taken.cls)} and {_place(entry.cls)};"
            " rename one of them"
        )
    REGISTRY[entry.name] = entry


def _place(cls: type[Method]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def find(name: str, among: Mapping[str, ConfiguredMethod]) -> ConfiguredMethod:
    """Return the method called ``name``, with the settings of ``NAME[SETTING=VALUE]`` if given.

    Raises:
        UserError: there is no such method (the message lists similar names), it has no such
            setting, or the setting takes no such value.
    """
    registered, written = (name, {}) if name in among else parted(name)
    if registered not in among:
        raise unknown("method", registered, among)
    entry = among[registered]
    if not written:
        return entry
    given = read_settings(registered, entry.settings, written)
    return replace(
        entry,
        name=canonical(registered, entry.settings, given),
        settings=replace(entry.settings, **given),
        given=tuple(given.items()),
    )


def apply(representation: Representation, change: Callable[[Tensor], Tensor]) -> Representation:
    """Apply a function to every tensor of a representation, keeping its (named) tuple."""
    if isinstance(representation, Tensor):
        return change(representation)
    return _like(representation, [change(tensor) for tensor in representation])


def gather(representation: Representation, index: Tensor) -> Representation:
    """Pick videos out of a representation: ``index`` (...) -> each tensor (..., rest)."""
    return apply(representation, lambda tensor: tensor[index])


def join(representations: Sequence[Representation]) -> Representation:
    """Concatenate representations along the videos."""
    first = representations[0]
    if isinstance(first, Tensor):
        return torch.cat([part for part in representations if isinstance(part, Tensor)])
    return _like(first, [torch.cat(parts) for parts in zip(*representations, strict=True)])


def _first(representation: Representation) -> Tensor:
    """Return the first tensor of a representation."""
    return representation if isinstance(representation, Tensor) else representation[0]


def _like(representation: tuple[Tensor, ...], tensors: list[Tensor]) -> tuple[Tensor, ...]:
    """Put tensors into the same kind of (named) tuple."""
    kind = type(representation)
    return kind(*tensors) if hasattr(kind, "_fields") else kind(tensors)
