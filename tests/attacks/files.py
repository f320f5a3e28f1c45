"""Damage to every kind of file that is read.

Each file is damaged in many ways (a flipped bit, a file cut short, bytes overwritten or repeated)
and read. A record is a file that the program wrote and believes: there *wrong* is other content
that was believed. An input is a file that a person may well have meant so.
"""

import contextlib
import io
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.commands.arguments import read_family
from bench.comparison.gate.baseline import accept, read_baseline
from bench.comparison.paper import paper_lines
from bench.comparison.rows_file import read_rows_file
from bench.comparison.summary import compare
from bench.conformance.parity import load_arrays
from bench.features.backbones import load_backbone
from bench.features.store import FeatureStore
from bench.features.text import text_from_file
from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.report.published import published
from bench.running.checkpoints import read_weights
from bench.runs.directory import RESULTS_FOLDER, find_failures, read_run, write_failure, write_run
from bench.runs.schema import Failure
from bench.site.submission import pack, unpack
from bench.training.recipe import FOLDER as TRAINING_RECIPES
from bench.training.recipe import read_training_recipe
from bench.training.state import State, load_state
from bench.weights.cards import WEIGHTS_FOLDER, read_card
from episodes import cache
from episodes.banks.bank import open_bank
from episodes.banks.recipe import FOLDER as BANK_RECIPES
from episodes.banks.recipe import read_recipe
from episodes.datasets.class_names import class_names
from episodes.decoding import memory
from episodes.decoding.memory import journal, write_entry
from episodes.decoding.readings import Reading, Readings
from episodes.disk import registration
from episodes.disk.lists import labels_by_video, read_lists
from episodes.disk.registration import Members, Registration, write_registration
from episodes.errors import UserError
from episodes.schema import SEAL, dump
from episodes.split import SplitName
from tests.attacks.outcomes import Outcome, Tally
from tests.synthetic import answered, with_identity
from tests.test_tables import RUNS
from tests.training.test_state import IDENTITY, built, written

LARGE = 1000
UCF101 = with_identity(answered("otam", 0.7), dataset="ucf101", way=5, shot=1)
SHAPE = FeatureShape(3, 2, 1, 1)


@dataclass(frozen=True)
class Target:
    """Files of one kind, and how they are read."""

    name: str
    record: bool
    make: Callable[[Path], object]
    """Writes what is read into a folder."""
    file: str
    """The one that is damaged, as a pattern below the folder."""
    read: Callable[[Path], Any]
    """Reads it from the folder; None where it counts as missing."""


def _run(folder: Path) -> None:
    write_run(folder, RUNS[0])


def _read_run(folder: Path) -> Any:
    run = read_run(folder)
    rows = run.rows.to_numpy().tobytes()
    return rows, run.identity, run.declared, run.cost, run.circumstances


def _failure(folder: Path) -> None:
    write_failure(folder, Failure(bank="default", method="otam", reason="why"))


def _card(folder: Path) -> None:
    shutil.copytree(WEIGHTS_FOLDER / "heads" / "mastaf" / "seed-0", folder, dirs_exist_ok=True)


def _old_card(folder: Path) -> None:
    """As it was before cards held their own hash."""
    _card(folder)
    content = json.loads((folder / "card.json").read_text())
    del content[SEAL]
    (folder / "card.json").write_text(dump(content))


def _read_card(folder: Path) -> Any:
    weights = folder / "weights.safetensors"
    card = read_card(weights)
    return card and (card, {key: one.tolist() for key, one in read_weights(weights).items()})


def _store(folder: Path) -> FeatureStore:
    return FeatureStore(folder, {"backbone": "x"}, SHAPE)


def _shard(folder: Path) -> None:
    _store(folder).write(list("abc"), np.arange(18, dtype=np.float32).reshape(3, *SHAPE), 1.5)


def _read_shard(folder: Path) -> Any:
    store = _store(folder)
    return None if store.missing("abc") else store.read(list("abc")).tobytes()


def _read_state(folder: Path) -> State:
    return load_state(folder, IDENTITY, *built())


def copied(source: Path, name: str = "") -> Callable[[Path], object]:
    return lambda folder: shutil.copy(source, folder / name)


def _weights(folder: Path) -> None:
    tensors = {"a": torch.arange(6.0), "b": torch.ones(2, 3)}
    torch.save({"state_dict": tensors}, folder / "weights.pt")


def _read_backbone(folder: Path) -> str:
    named = f"motion={folder / 'motion.safetensors'}"
    return load_backbone(named, torch.device("cpu")).weights_sha256


def _rows(folder: Path) -> None:
    table = answered("otam", 0.7, episodes=4).rows[["episode", "query", "prediction"]]
    table.to_csv(folder / "mine.csv", index=False)
    table.to_parquet(folder / "mine.parquet", index=False)


def _read_rows(path: Path) -> int:
    return len(read_rows_file(path, open_bank("default", 4)))


@contextlib.contextmanager
def _config(folder: Path) -> Iterator[None]:
    """Keep registrations and what is remembered in this folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registration.ENVIRONMENT_VARIABLE, str(folder))
        patch.setenv(cache.ENVIRONMENT_VARIABLE, str(folder))
        yield


def _registered(folder: Path) -> None:
    lists: dict[SplitName, Members] = {"test": tuple((f"c{n}", f"v{n}") for n in range(6))}
    with _config(folder):
        write_registration(
            Registration(name="mine", root=folder / "videos", published=False, lists=lists)
        )


def _read_registered(folder: Path) -> Any:
    with _config(folder):
        found = registration.registration("mine")
    return found and (found.lists, found.published)


def _remembered(folder: Path) -> None:
    """Hashes of videos, remembered: other ones would stand for features of other videos."""
    with _config(folder):
        found = journal("hash\nsomewhere")
        for name in "abc":
            write_entry(found, {"path": name, "stamp": [1], "answer": name * 3})


def _read_remembered(folder: Path) -> Any:
    """What is remembered wrongly; what is not remembered is worked out again."""
    notes = list(memory.answers_in(next(folder.glob("videos/*.jsonl"))).items())
    whole = [note for note in notes if note[1] == ([1], f"{note[0]}" * 3)]
    return [note for note in notes if note not in whole] or (None if len(whole) < 3 else [])


READINGS = {f"{number}" * 8: Reading("av", 10 + number) for number in range(3)}


def _readings(folder: Path) -> None:
    with _config(folder):
        known = Readings("av")
        for sha256, reading in READINGS.items():
            known.add(sha256, reading)


def _read_readings(folder: Path) -> Any:
    with _config(folder):
        known = Readings("av")
        found = {sha256: known.get(sha256) for sha256 in READINGS}
    wrong = [one for sha256, one in found.items() if one not in {None, READINGS[sha256]}]
    return wrong or (None if None in found.values() else [])


def _text(folder: Path) -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.savez(folder / "text.npz", names=np.array(["a", "b", "c"]), vectors=vectors)
    rows = [",".join([name, *map(str, row)]) for name, row in zip("abc", vectors, strict=True)]
    (folder / "text.csv").write_text("\n".join(rows))


def _read_text(path: Path) -> Any:
    found = text_from_file(path, 4).table
    return found and {name: vector.tolist() for name, vector in found.items()}


def _names(folder: Path) -> None:
    (folder / "names.csv").write_text("class,name\nopen,open a door\nclose,close a door\n")


def _lists(folder: Path) -> None:
    (folder / "test.json").write_text(json.dumps({f"v{n}": n % 4 for n in range(40)}))
    lines = (f"class{n % 4}/v{n:03}.avi {n % 4}\n" for n in range(40))
    (folder / "test.txt").write_text("".join(lines))


def _read_list(path: Path) -> Any:
    return [
        sorted((key, sorted(one)) for key, one in found.classes.items())
        for found in read_lists(path)
    ]


LABELS = "something-something-v2-train.json"


def _labels(folder: Path) -> None:
    entries = [{"id": n, "template": f"Putting [s] {n % 3}"} for n in range(20)]
    (folder / LABELS).write_text(json.dumps(entries))


def _published(folder: Path) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.comparison.published.FILE", folder / "published.csv")
        paper_lines([])
        found = compare([UCF101])
        return [repr(published(one, "x")) for one in found]


def _submitted(folder: Path) -> None:
    write_run(folder / "run", answered("otam", 0.75, episodes=40))
    pack(folder / "run", folder / "mine.zip")


def _read_submitted(folder: Path) -> float:
    return unpack(folder / "mine.zip").comparison.rows[0].accuracy


MASTAF = built_in_methods()["mastaf"]
GOLDEN = Path(__file__).parents[1] / "golden" / "tsn_5way1shot.npz"
BACKBONE = WEIGHTS_FOLDER / "motion.safetensors"
FAMILY = RESULTS_FOLDER / "comparisons.toml"
PUBLISHED = RESULTS_FOLDER / "published.csv"
BANK, PAPER = BANK_RECIPES / "default.toml", TRAINING_RECIPES / "paper.toml"
TARGETS = [
    Target("header of a run", True, _run, "run.json", _read_run),
    Target("rows of a run", True, _run, "rows.parquet", _read_run),
    Target("note of a failure", True, _failure, "failed.json", find_failures),
    Target(
        *("record of a baseline", True, lambda f: accept(f, RUNS[:1], []), "accepted.json"),
        lambda f: len(read_baseline(f)),
    ),
    Target("trained weights", True, _card, "weights.safetensors", _read_card),
    Target("shard of features", True, _shard, "**/*.npy", _read_shard),
    Target("index of a shard", True, _shard, "**/*.shard.json", _read_shard),
    Target("state of a training", True, written, "state.json", _read_state),
    Target("tensors of a state", True, written, "state-000002.safetensors", _read_state),
    Target("best weights so far", True, written, "best-000001.safetensors", _read_state),
    Target("card of weights", True, _card, "card.json", _read_card),
    Target("card of weights, without a hash", False, _old_card, "card.json", _read_card),
    Target("weights of a backbone, named", False, copied(BACKBONE), BACKBONE.name, _read_backbone),
    Target(
        *("recipe of a bank", False, copied(BANK), BANK.name),
        lambda f: read_recipe(str(f / BANK.name)),
    ),
    Target(
        *("recipe of a training", False, copied(PAPER, "mine.toml"), "mine.toml"),
        lambda f: read_training_recipe(str(f / "mine.toml"), MASTAF),
    ),
    Target(
        *("reference outputs", False, copied(GOLDEN), GOLDEN.name),
        lambda f: sorted(load_arrays(f / GOLDEN.name)),
    ),
    Target(
        *("checkpoint of authors", False, _weights, "weights.pt"),
        lambda f: read_weights(f / "weights.pt"),
    ),
    Target(
        *("rows made elsewhere, CSV", False, _rows, "mine.csv"),
        lambda f: _read_rows(f / "mine.csv"),
    ),
    Target(
        *("rows made elsewhere, Parquet", False, _rows, "mine.parquet"),
        lambda f: _read_rows(f / "mine.parquet"),
    ),
    Target("registration of a data set", True, _registered, "**/mine.json", _read_registered),
    Target("memory of hashes", True, _remembered, "videos/*.jsonl", _read_remembered),
    Target("memory of readings", True, _readings, "videos/*.jsonl", _read_readings),
    Target("published figures", False, copied(PUBLISHED), PUBLISHED.name, _published),
    Target("list of videos", False, _lists, "test.txt", lambda f: _read_list(f / "test.txt")),
    Target(
        *("list of videos, JSON", False, _lists, "test.json"), lambda f: _read_list(f / "test.json")
    ),
    Target(
        "labels of videos", False, _labels, LABELS, lambda f: dict(labels_by_video(f.iterdir()))
    ),
    Target(
        *("names of classes", False, _names, "names.csv"),
        lambda f: class_names("mine", ["open", "close"], f),
    ),
    Target("text features, CSV", False, _text, "text.csv", lambda f: _read_text(f / "text.csv")),
    Target("text features, npz", False, _text, "text.npz", lambda f: _read_text(f / "text.npz")),
    Target(
        *("declared comparisons", False, copied(FAMILY), FAMILY.name),
        lambda f: read_family(f / FAMILY.name),
    ),
    Target("submission", True, _submitted, "mine.zip", _read_submitted),
]


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Damage a file's bytes in one way."""
    place = draw.randrange(max(1, len(content)))
    other = bytearray(content)
    match draw.randrange(8):
        case 0:
            return content[:place]
        case 1:
            length = draw.choice([1, 4, 64, 4096])
            return content[:place] + draw.randbytes(length) + content[place + length :]
        case 2:
            length = draw.choice([1, 16, 512])
            return content[:place] + bytes(length) + content[place + length :]
        case 3:
            return content[:place] + content[place : place + 32] + content[place:]
        case _:
            other[place] ^= 1 << draw.randrange(8)
            return bytes(other)


def attack(
    target: Target,
    variants: int,
    seed: int = 0,
    damage: Callable[[bytes, random.Random], bytes] = damaged,
) -> Tally:
    """Damage a file in many ways."""
    draw = random.Random(seed)  # noqa: S311 - it damages files
    tally = Tally(target.name)
    with tempfile.TemporaryDirectory() as name:
        sound = Path(name) / "sound"
        sound.mkdir()
        target.make(sound)
        file = next(sound.glob(target.file)).relative_to(sound)
        expected = repr(target.read(sound))
        content = (sound / file).read_bytes()
        for number in range(variants):
            # Each in a folder of its own: what was read of a file may be remembered by its name.
            folder = Path(name) / f"damaged-{number}"
            shutil.copytree(sound, folder)
            (folder / file).write_bytes(damage(content, draw))
            outcome, words = _outcome(target, folder, expected)
            tally.add(outcome, f"variant {number}: {words}")
            shutil.rmtree(folder)
    return tally


def _outcome(target: Target, folder: Path, expected: str) -> tuple[Outcome, str]:
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            found = target.read(folder)
    except UserError as error:
        # A parser may show the place on lines of its own; that is for people, and no traceback.
        return ("named", "") if "Traceback" not in str(error) else ("traceback", str(error))
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    if found is None:
        return "named", ""
    if repr(found) == expected:
        return "harmless", ""
    return ("wrong" if target.record else "another input"), "other content"


def main(variants: int) -> Iterator[Tally]:
    """Damage a file of each kind in so many ways."""
    for target in TARGETS:
        yield attack(target, variants)
