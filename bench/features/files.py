"""Files of features: their format, and what they say of their origin.

A folder holds one file per video, ``CLASS/VIDEO.npy`` (or ``.npz`` with one array, or
``.safetensors`` with one tensor). A table is one file for all videos: ``.npz`` with ``names`` and
``features``, ``.safetensors`` with one tensor per name, or ``TABLE.npy`` with one name per line in
``TABLE.txt``. A name is ``CLASS/VIDEO`` as in the bank, with or without the suffix of the video.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import AfterValidator

from bench.pretrained import UNREADABLE, check_unpacked
from bench.weights.cards import file_sha256
from episodes.errors import UserError, shown
from episodes.schema import Model, dump, parsed, read_json

Array = NDArray[np.float32]
SUFFIXES = (".npy", ".npz", ".safetensors")
CARD = "features.json"
"""File beside the features that says which backbone computed them (`FeatureCard`)."""
NAMES = ".txt"
"""Suffix of the file of names beside a table .npy."""
Read = TypeVar("Read")


def _name(text: str) -> str:
    if "/" in text or shown(text) != text:
        raise ValueError("this is not a name")
    return text


Name = Annotated[str, AfterValidator(_name)]
"""Part of a title, which is also the name of a file."""


class FeatureCard(Model):
    """``features.json``: the origin of features; every field is optional."""

    backbone: Name = "given"
    """Name of the backbone that computed them."""
    weights_sha256: Name = ""
    """Hash of its weights; weights of methods are only used with features of the same hash."""
    pretraining: str = "not stated"
    """Data on which the backbone was pretrained."""
    seen: tuple[str, ...] | None = None
    """Data sets whose labels the backbone has seen."""
    sampling: str | None = None
    """Rule by which the frames of a clip were sampled."""
    resize: int | tuple[int, int] | None = None
    """Size to which pictures were resized, where it was chosen."""
    decoder: str | None = None
    """The preferred decoder of the videos, with its version."""
    device: str | None = None
    """Type of the device that computed them; another gives features that differ by rounding."""
    source_sha256: str | None = None
    """Hash of the backbone's code (`bench.plugins.source`)."""
    files: dict[str, str] | None = None
    """Hash of each file that this program wrote, by its path in the folder."""


def card_of(place: Path) -> FeatureCard:
    """Return the card beside a table or in a folder; one that states nothing if there is none.

    Raises:
        UserError: it cannot be read.
    """
    path = (place if place.is_dir() else place.parent) / CARD
    if not path.is_file():
        return FeatureCard()
    try:
        return parsed(FeatureCard, read_json(path))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a card of features: {error}; it has the keys"
            f" {', '.join(FeatureCard.model_fields)}"
        ) from error


def check_origin(out: Path, card: FeatureCard) -> None:
    """Refuse to write features among those of another origin, or where a table would hide them.

    Args:
        out: a folder or a table, see `write_features`.
        card: the origin of the features to write.

    Raises:
        UserError: the folder holds such features.
    """
    folder, is_folder = _folder_of(out), out.suffix not in SUFFIXES
    below = folder.rglob("*") if is_folder else folder.glob("*")
    there = sorted(path for path in below if path.suffix in SUFFIXES)
    if there and not (folder / CARD).is_file():
        raise UserError(
            f"{folder} holds {there[0].relative_to(folder)}, and no {CARD} says what made it;"
            " choose another --out, or remove it"
        )
    known = dict(card_of(folder) if there else card)
    for field, wanted in card:
        if known[field] != wanted and field != "files":
            said, own = ("none" if one is None else one for one in (known[field], wanted))
            raise UserError(
                f"{folder} holds {there[0].relative_to(folder)} of another origin: {field} is"
                f" {said} in its {CARD}, not {own}; choose another --out, or remove it"
            )
    if is_folder and (tables := [path for path in there if path.parent == folder]):
        raise UserError(
            f"{folder} holds the table {tables[0].name}, which would be read in place of the"
            " files of videos; remove it, or choose another --out"
        )


def write_features(
    out: Path, names: Sequence[str], read: Callable[[slice], Array], card: FeatureCard
) -> list[Path]:
    """Write features in the format that `opened` reads; return the files, the card last.

    The card is written first, so that a repeated command may complete an interrupted one, and again
    with the hashes of the files.

    Args:
        out: a folder, created if necessary, or a table that ends in .npz, .safetensors or .npy.
        names: CLASS/VIDEO of each video.
        read: returns float32 (videos, C, T, H, W) for a slice of the videos.
        card: the origin of the features.

    Raises:
        UserError: see `check_origin`, or the folder cannot be written.
    """
    folder, written = _folder_of(out), [out]
    if out.suffix == ".npy":
        written.append(out.with_suffix(NAMES))
    elif out.suffix not in SUFFIXES:
        written = [folder / f"{name}.npy" for name in names]
    paths = {path.relative_to(folder).as_posix(): path for path in written}
    try:
        check_origin(out, card)
        folder.mkdir(parents=True, exist_ok=True)
        others = {name: one for name, one in _hashes(folder).items() if name not in paths}
        _write_card(folder, card.changed(files=others))
        if out.suffix == ".npz":
            np.savez(out, names=np.array(names), features=read(slice(None)))
        elif out.suffix == ".safetensors":
            arrays = dict(zip(names, read(slice(None)), strict=True))
            safetensors.numpy.save_file(arrays, out)
        elif out.suffix == ".npy":
            features = read(slice(None))
            # An interrupt leaves no features beside the names of others.
            out.with_suffix(NAMES).unlink(missing_ok=True)
            np.save(out, features)
            out.with_suffix(NAMES).write_text("\n".join(names) + "\n", encoding="utf-8")
        else:
            for place, path in enumerate(written):
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, read(slice(place, place + 1))[0])
        hashes = {name: file_sha256(path) for name, path in paths.items()}
        _write_card(folder, card.changed(files=others | hashes))
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error}; choose another --out") from error
    return [*written, folder / CARD]


def _write_card(folder: Path, card: FeatureCard) -> None:
    (folder / CARD).write_text(dump(card.content()), encoding="utf-8")


def _hashes(place: Path) -> Mapping[str, str]:
    return card_of(place).files or {}


def _check_written(path: Path, folder: Path, hashes: Mapping[str, str]) -> None:
    """Refuse a file that is not the one that this program wrote there."""
    name = path.relative_to(folder).as_posix()
    if name in hashes and path.is_file() and hashes[name] != _guarded(path, file_sha256):
        raise UserError(
            f"{path} is not the file that was written with {CARD}: its sha256 differs; export it"
            f" again or, if you changed it, remove its line from {folder / CARD}"
        )


def _folder_of(out: Path) -> Path:
    return out.parent if out.suffix in SUFFIXES else out


def opened(place: Path) -> tuple[Callable[[str], NDArray[Any]], list[str]]:
    """Open a folder or a table; return a function that reads features by name, and the names.

    Raises:
        UserError: it is missing, or cannot be read.
    """
    if place.is_dir():
        tables = [path for path in sorted(place.iterdir()) if path.suffix in SUFFIXES]
        if len(tables) > 1:
            raise UserError(f"{place} holds {len(tables)} tables; name one: --features {tables[0]}")
        if not tables:
            return _of_folder(place)
        place = tables[0]
    if not place.is_file():
        raise UserError(f"--features {place}: there is no such file or folder")
    if place.suffix not in SUFFIXES:
        raise UserError(f"--features {place}: a table of features ends in {', '.join(SUFFIXES)}")
    for path in (place, place.with_suffix(NAMES)):
        _check_written(path, place.parent, _hashes(place))
    arrays = _guarded(place, _table)
    return arrays.__getitem__, list(arrays)


def _of_folder(place: Path) -> tuple[Callable[[str], NDArray[Any]], list[str]]:
    paths: dict[str, Path] = {}
    for path in (one for suffix in SUFFIXES for one in sorted(place.glob(f"*/**/*{suffix}"))):
        other = paths.setdefault(path.relative_to(place).with_suffix("").as_posix(), path)
        if other != path:
            raise UserError(f"{place}: {other.name} and {path.name} are the same video; remove one")
    hashes = _hashes(place)

    def read(name: str) -> NDArray[Any]:
        _check_written(paths[name], place, hashes)
        return _guarded(paths[name], _single)

    return read, list(paths)


def _table(path: Path) -> dict[str, NDArray[Any]]:
    arrays = _arrays(path, mapped=True)
    if path.suffix == ".safetensors":
        return arrays
    if path.suffix == ".npz":
        if missing := {"names", "features"} - arrays.keys():
            raise ValueError(f"it holds no {' and no '.join(sorted(missing))}")
        names, features = arrays["names"], arrays["features"]
    else:
        lines = path.with_suffix(NAMES)
        if not lines.is_file():
            raise ValueError(
                f"a table .npy needs {lines.name} beside it, with one name per line for each row"
            )
        names = np.array(lines.read_text(encoding="utf-8-sig").splitlines())
        (features,) = arrays.values()
    if names.ndim != 1 or len(names) != len(features):
        raise ValueError(f"names are {names.shape}, features {features.shape}")
    if repeated := len(names) - len(set(map(str, names))):
        raise ValueError(f"{repeated} of its names occur twice")
    return dict(zip(map(str, names), features, strict=True))


def _single(path: Path) -> NDArray[Any]:
    arrays = _arrays(path)
    if len(arrays) != 1:
        raise ValueError(f"it holds {len(arrays)} arrays, not one")
    return next(iter(arrays.values()))


def _arrays(path: Path, mapped: bool = False) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name; a single .npy is mapped into memory where asked for."""
    if path.suffix == ".safetensors":
        return dict(safetensors.numpy.load_file(path))
    if path.suffix == ".npy":
        return {"": np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)}
    check_unpacked(path)
    with np.load(path, allow_pickle=False) as content:
        return dict(content)


def _guarded(path: Path, read: Callable[[Path], Read]) -> Read:
    try:
        return read(path)
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as features: {error}") from error
