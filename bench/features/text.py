"""Text features of class names, for methods that read names.

They come from the text tower of the backbone of the video features, or from a file computed
elsewhere. A method gets vectors, never a name or the index of a class.
"""

import csv
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.features.backbones import LoadedBackbone
from bench.features.store import FeatureStore
from bench.method import ConfiguredMethod, FeatureShape
from bench.pretrained import UNREADABLE, check_unpacked
from bench.runs.schema import TextIdentity
from episodes.cache import cache_folder
from episodes.datasets import Dataset
from episodes.datasets.class_names import class_names
from episodes.datasets.folder import Folder
from episodes.errors import UserError, counted
from episodes.split import Video, composed

NAMED = 3
"""Number of classes that a message names."""
SAME = 1e-4
"""Directions this close are equal up to rounding."""


@runtime_checkable
class TextBackbone(Protocol):
    """A backbone that encodes names into the space of its frame vectors."""

    prompt: str
    """Default template for a name, such as "a photo of {}"."""
    channels: int

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return float32 (texts, channels), on the CPU."""
        ...


@dataclass(frozen=True)
class TextSource:
    """The source of the text features of a run."""

    tower: TextBackbone | None
    """The text tower; None if the features come from a file."""
    key: str
    """Hash of the tower's weights, or of the file."""
    title: str
    """Name of the backbone or of the file."""
    prompt: str = "{}"
    table: Mapping[str, NDArray[np.float32]] | None = None
    """Features by name, from a file."""
    source_sha256: str = ""
    """Hash of the code of the tower."""

    @torch.no_grad()
    def features(self, names: Sequence[str]) -> Tensor:
        """Return float32 (names, channels); those of a tower are stored and encoded only once.

        Raises:
            UserError: the file lacks a name.
        """
        if self.table is not None:
            if absent := [name for name in names if name not in self.table]:
                more = f" and {counted(len(absent) - 1, 'other')}" if len(absent) > 1 else ""
                raise UserError(
                    f"{self.title} has no feature for {absent[0]!r}{more}; each class needs one"
                    f" under its name in words, and there are {', '.join(list(self.table)[:NAMED])}"
                )
            return torch.from_numpy(np.stack([self.table[name] for name in names]))
        texts = [self.prompt.replace("{}", name) for name in names]
        tower = cast(TextBackbone, self.tower)
        shape = FeatureShape(tower.channels, 1, 1, 1)
        identity = {"tower": self.key, "source_sha256": self.source_sha256}
        store = FeatureStore(cache_folder() / "text", identity, shape)
        if missing := store.missing(texts):
            start = time.perf_counter()
            encoded = tower.encode_text(missing).float().cpu().numpy()
            store.write(missing, encoded[:, :, None, None, None], time.perf_counter() - start)
        return torch.from_numpy(store.read(texts)).flatten(1)

    def identity(self, names: Sequence[str]) -> TextIdentity:
        """Return everything that determines the features of these names."""
        return TextIdentity(
            source=self.title,
            key=self.key,
            prompt=self.prompt,
            names_sha256=hashlib.sha256("\n".join(names).encode()).hexdigest(),
        )


def names_of_classes(source: Dataset, labels: Sequence[str]) -> list[str]:
    """Return the names of the classes of a data set, in the order of the labels."""
    root = source.root if isinstance(source, Folder) else None
    names = class_names(source.name, labels, root)
    return [names[label] for label in labels]


def text_of_videos(
    text: TextSource, source: Dataset, classes: Sequence[str], videos: Sequence[Video]
) -> Tensor:
    """Return the text feature of each video's class, (videos, C)."""
    features = text.features(names_of_classes(source, classes))
    place = {label: index for index, label in enumerate(classes)}
    return features[[place[video.label] for video in videos]]


def indistinct(text: TextSource, source: Dataset, classes: Sequence[str]) -> str | None:
    """Say which classes names cannot tell apart; None if there are no two.

    A tower has one feature for all names of which it knows no word, as in another alphabet.
    """
    names = names_of_classes(source, classes)
    directions = torch.nn.functional.normalize(text.features(names), dim=-1)
    # By a matrix product, torch's choice for more than 25 classes, distances of 0 may exceed SAME.
    exact = "donot_use_mm_for_euclid_dist"
    same = torch.cdist(directions, directions, compute_mode=exact) < SAME
    alike = same[same.sum(dim=1).argmax()].nonzero().flatten().tolist()
    if len(alike) < 2:
        return None
    shown = ", ".join(repr(names[index]) for index in alike[:NAMED])
    return (
        f"{text.title} has one text feature for {len(alike)} of {len(names)} classes ({shown}"
        f"{', ...' if len(alike) > NAMED else ''}): their names cannot tell them apart"
    )


def check_read(
    methods: Sequence[ConfiguredMethod], file: str | Path | None, prompt: str | None
) -> None:
    """Check that text features or a prompt, if they are given, are for one of the methods.

    Raises:
        UserError: no method reads names.
    """
    given = [name for name, value in (("--text", file), ("--prompt", prompt)) if value is not None]
    if given and not any(entry.cls.needs_text for entry in methods):
        raise UserError(
            f"{given[0]} has no effect: none of the methods reads the names of classes; leave it"
            " out, or add one that does, such as zero-shot"
        )


def needed(text: TextSource | None, method: str) -> TextSource:
    """Return the source of text features.

    Raises:
        UserError: there is none.
    """
    if text is None:
        raise UserError(
            f"method {method} reads the names of classes, and this backbone has no text tower;"
            " choose another (--backbone motion-words or clip=MODEL), or give --text FILE"
        )
    return text


def text_source(loaded: LoadedBackbone, file: Path | None, prompt: str | None) -> TextSource | None:
    """Return the source of text features; None if the backbone has no text tower.

    Args:
        loaded: the backbone of the video features.
        file: text features computed elsewhere, which take precedence.
        prompt: the template, such as "a video of {}"; None for the tower's own.

    Raises:
        UserError: the prompt has no single place for the name, or is given beside a file; or the
            file cannot be used, see `text_from_file`.
    """
    if prompt is not None and prompt.count("{}") != 1:
        raise UserError(f"--prompt {prompt!r} has no single place {{}} for the name of a class")
    if file is not None:
        if prompt is not None:
            raise UserError(f"--prompt {prompt!r} has no effect: --text {file} holds features")
        return text_from_file(file, loaded.backbone.channels)
    backbone = loaded.backbone
    if not isinstance(backbone, TextBackbone):
        return None
    used = backbone.prompt if prompt is None else prompt
    return TextSource(
        backbone, loaded.weights_sha256, backbone.name, used, source_sha256=loaded.source_sha256
    )


def text_from_file(path: Path, channels: int) -> TextSource:
    """Read text features computed elsewhere.

    Args:
        path: ``.csv`` with a name and its numbers in each line, or ``.npz`` with ``names``
            (classes,) and ``vectors`` (classes, channels).
        channels: number of channels of the video features, which text features must share.

    Raises:
        UserError: the file is missing, cannot be read, or holds vectors of another length.
    """
    try:
        content = path.read_bytes()
        names, vectors = _npz(path) if path.suffix == ".npz" else _csv(path)
    except FileNotFoundError:
        raise UserError(f"--text {path}: there is no such file") from None
    except (*UNREADABLE, csv.Error) as error:
        raise UserError(
            f"--text {path} cannot be read: {error}; it is a .csv of a name and its numbers in each"
            " line, or an .npz with names and vectors"
        ) from error
    if vectors.shape != (len(names), channels) or not np.isfinite(vectors).all():
        raise UserError(
            f"--text {path} holds {vectors.shape} for {len(names)} names; each needs a finite"
            f" vector of {channels} numbers, as long as those of the videos"
        )
    names = [composed(name) for name in names]
    table = dict(zip(names, vectors, strict=True))
    if len(table) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"--text {path} holds features of {twice!r} twice; remove one of them")
    return TextSource(None, hashlib.sha256(content).hexdigest(), path.name, table=table)


def _npz(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    check_unpacked(path)
    with np.load(path, allow_pickle=False) as file:
        return [str(name) for name in file["names"]], file["vectors"].astype(np.float32)


def _csv(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if rows and not _is_number(rows[0][-1]):
        rows = rows[1:]  # It is a header.
    vectors = np.array([[float(cell) for cell in row[1:]] for row in rows], dtype=np.float32)
    return [row[0] for row in rows], vectors


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
