"""Damage to every kind of file that is read.

Each file is damaged in many ways (a flipped bit, a file cut short, bytes overwritten or repeated)
and read. A record is a file that the program wrote and believes: there *wrong* is other content
that was believed. An input is a file that a person may well have meant so.
"""

import contextlib
import io
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from episodes.decoding.memory import notebook, write_note
from episodes.decoding.readings import Reading, Readings
from episodes.disk import registration
from episodes.disk.lists import labels_by_video, read_lists
from episodes.disk.registration import Members, Registration, write_registration
from episodes.errors import UserError
from episodes.schema import SEAL, dump
from episodes.split import SplitName
from tests.attacks.outcomes import Outcome, Tally
from tests.synthetic import answered
from tests.test_tables import RUNS

LARGE = 1000
UCF101 = replace(
    answered("otam", 0.7),
    identity=answered("otam", 0.7).identity.changed(dataset="ucf101", way=5, shot=1),
)
SHAPE = FeatureShape(3, 2, 1, 1)


@dataclass(frozen=True)
class Target:
    """Files of one kind, and how they are read."""

    name: str
    record: bool
    make: Callable[[Path], Path]
    """Writes what is read into a folder; returns the file that is damaged."""
    read: Callable[[Path], Any]
    """Reads it from the folder; None where it counts as missing."""


def _run(folder: Path) -> None:
    write_run(folder, RUNS[0])


def _read_run(folder: Path) -> Any:
    run = read_run(folder)
    rows = run.rows.to_numpy().tobytes()
    return rows, run.identity, run.declared, run.cost, run.circumstances


def _accepted(folder: Path) -> Path:
    return accept(folder, RUNS[:1], [])


def _card(folder: Path) -> None:
    shutil.copytree(WEIGHTS_FOLDER / "heads" / "mastaf" / "seed-0", folder, dirs_exist_ok=True)


def _old_card(folder: Path) -> Path:
    """As it was before cards held their own hash."""
    _card(folder)
    path = folder / "card.json"
    content = json.loads(path.read_text())
    del content[SEAL]
    path.write_text(dump(content))
    return path


def _read_card(folder: Path) -> Any:
    weights = folder / "weights.safetensors"
    card = read_card(weights)
    return card and (card, {key: one.tolist() for key, one in read_weights(weights).items()})


def _store(folder: Path) -> FeatureStore:
    return FeatureStore(folder, {"backbone": "x"}, SHAPE)


def _shard(folder: Path, suffix: str) -> Path:
    features = np.arange(18, dtype=np.float32).reshape(3, *SHAPE)
    store = _store(folder)
    store.write(["a", "b", "c"], features, 1.5)
    return next(store.folder.glob(f"*{suffix}"))


def _read_shard(folder: Path) -> Any:
    store = _store(folder)
    return None if store.missing("abc") else store.read(list("abc")).tobytes()


def _read_state(folder: Path) -> State:
    from tests.training.test_state import IDENTITY, built

    return load_state(folder, IDENTITY, *built())


def _state(folder: Path, name: str) -> Path:
    from tests.training.test_state import written

    written(folder)
    return folder / name


def copied(source: Path) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copy(source, folder))


def _weights(folder: Path) -> Path:
    path = folder / "weights.pt"
    torch.save({"state_dict": {"a": torch.arange(6.0), "b": torch.ones(2, 3)}}, path)
    return path


def _rows(folder: Path, suffix: str) -> Path:
    bank = open_bank("default", 4)
    episodes, queries = bank.episodes.labels.shape
    path = folder / f"mine{suffix}"
    table = RUNS[0].rows.iloc[: episodes * queries][["episode", "query", "prediction"]].copy()
    table["episode"] = np.repeat(np.arange(episodes), queries)
    table["query"] = np.tile(np.arange(queries), episodes)
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)
    return path


def _made(make: Callable[[Path], object], name: str) -> Callable[[Path], Path]:
    def written(folder: Path) -> Path:
        make(folder)
        return folder / name

    return written


def _failure(folder: Path) -> None:
    write_failure(folder, Failure(bank="default", method="otam", reason="why"))


def _first(folder: Path, pattern: str) -> Path:
    return next(folder.glob(pattern))


def _registered(folder: Path) -> Path:
    lists: dict[SplitName, Members] = {"test": tuple((f"c{n}", f"v{n}") for n in range(6))}
    with _config(folder):
        return write_registration(
            Registration(name="mine", root=folder / "videos", published=False, lists=lists)
        )


@contextlib.contextmanager
def _config(folder: Path) -> Iterator[None]:
    """Keep registrations and what is remembered in this folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registration.ENVIRONMENT_VARIABLE, str(folder))
        patch.setenv(cache.ENVIRONMENT_VARIABLE, str(folder))
        yield


def _read_registered(folder: Path) -> Any:
    with _config(folder):
        found = registration.registration("mine")
    return found and (found.lists, found.published)


def _videos(folder: Path) -> list[Path]:
    paths = [folder / f"{number}.mp4" for number in range(3)]
    for number, path in enumerate(paths):
        if not path.exists():
            path.write_bytes(bytes([number]))
        os.utime(path, ns=(0, 0))
    return paths


def _remembered(folder: Path) -> Path:
    """Hashes of videos, remembered: other ones would stand for features of other videos."""
    paths = _videos(folder)
    with _config(folder):
        found = notebook(f"hash\n{folder.resolve()}")
        for path in paths:
            write_note(found, {"path": path.name, "stamp": [1], "answer": path.name * 3})
    return found


def _read_remembered(folder: Path) -> Any:
    """What is remembered wrongly; what is not remembered is worked out again."""
    path = next(folder.glob("videos/*.jsonl"))
    notes = list(memory.answers_in(path).items())
    whole = [note for note in notes if note[1] == ([1], f"{note[0]}" * 3)]
    return [note for note in notes if note not in whole] or (None if len(whole) < 3 else [])


def _readings(folder: Path) -> Path:
    with _config(folder):
        known = Readings("av")
        for number in range(3):
            known.add(f"{number}" * 8, Reading("av", 10 + number))
    return next(folder.glob("videos/*.jsonl"))


def _read_readings(folder: Path) -> Any:
    with _config(folder):
        known = Readings("av")
        found = [known.get(f"{number}" * 8) for number in range(3)]
    true = [Reading("av", 10 + number) for number in range(3)]
    wrong = [one for one, right in zip(found, true, strict=True) if one not in {None, right}]
    return wrong or (None if None in found else [])


def _text_file(folder: Path, suffix: str) -> Path:
    path = folder / f"text{suffix}"
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    if suffix == ".npz":
        np.savez(path, names=np.array(["a", "b", "c"]), vectors=vectors)
    else:
        rows = [",".join([name, *map(str, row)]) for name, row in zip("abc", vectors, strict=True)]
        path.write_text("\n".join(rows))
    return path


def _read_text(folder: Path) -> Any:
    found = text_from_file(_first(folder, "text*"), 4).table
    return found and {name: vector.tolist() for name, vector in found.items()}


def _names(folder: Path) -> Path:
    path = folder / "names.csv"
    path.write_text("class,name\nopen,open a door\nclose,close a door\n")
    return path


def _list(folder: Path, name: str) -> Path:
    path = folder / name
    if path.suffix == ".json":
        path.write_text(json.dumps({f"v{number}": number % 4 for number in range(40)}))
    else:
        path.write_text("".join(f"class{n % 4}/v{n:03}.avi {n % 4}\n" for n in range(40)))
    return path


def _read_list(folder: Path) -> Any:
    return [
        sorted((key, sorted(one)) for key, one in found.classes.items())
        for found in read_lists(folder)
    ]


def _labels(folder: Path) -> Path:
    path = folder / "something-something-v2-train.json"
    path.write_text(json.dumps([{"id": n, "template": f"Putting [s] {n % 3}"} for n in range(20)]))
    return path


def _published(folder: Path) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.comparison.published.FILE", folder / "published.csv")
        paper_lines([])
        found = compare([UCF101])
        return [repr(published(one, "x")) for one in found]


def _submitted(folder: Path) -> Path:
    write_run(folder / "run", answered("otam", 0.75, episodes=40))
    pack(folder / "run", folder / "mine.zip")
    return folder / "mine.zip"


MASTAF = built_in_methods()["mastaf"]
TARGETS = [
    Target("header of a run", True, _made(_run, "run.json"), _read_run),
    Target("rows of a run", True, _made(_run, "rows.parquet"), _read_run),
    Target("note of a failure", True, _made(_failure, "failed.json"), find_failures),
    Target("record of a baseline", True, _accepted, lambda folder: len(read_baseline(folder))),
    Target("trained weights", True, _made(_card, "weights.safetensors"), _read_card),
    Target("shard of features", True, lambda folder: _shard(folder, ".npy"), _read_shard),
    Target("index of a shard", True, lambda folder: _shard(folder, ".shard.json"), _read_shard),
    Target("state of a training", True, lambda folder: _state(folder, "state.json"), _read_state),
    Target(
        "tensors of a state",
        True,
        lambda folder: _state(folder, "state-000002.safetensors"),
        _read_state,
    ),
    Target(
        "best weights so far",
        True,
        lambda folder: _state(folder, "best-000001.safetensors"),
        _read_state,
    ),
    Target("card of weights", True, _made(_card, "card.json"), _read_card),
    Target("card of weights, without a hash", False, _old_card, _read_card),
    Target(
        "weights of a backbone, named",
        False,
        copied(WEIGHTS_FOLDER / "motion.safetensors"),
        lambda folder: (
            load_backbone(
                f"motion={folder / 'motion.safetensors'}", torch.device("cpu")
            ).weights_sha256
        ),
    ),
    Target(
        "recipe of a bank",
        False,
        copied(BANK_RECIPES / "default.toml"),
        lambda folder: read_recipe(str(folder / "default.toml")),
    ),
    Target(
        "recipe of a training",
        False,
        lambda folder: Path(shutil.copy(TRAINING_RECIPES / "paper.toml", folder / "mine.toml")),
        lambda folder: read_training_recipe(str(folder / "mine.toml"), MASTAF),
    ),
    Target(
        "reference outputs",
        False,
        copied(Path(__file__).parents[1] / "golden" / "tsn_5way1shot.npz"),
        lambda folder: sorted(load_arrays(_first(folder, "*.npz"))),
    ),
    Target("checkpoint of authors", False, _weights, lambda f: read_weights(f / "weights.pt")),
    Target(
        "rows made elsewhere, CSV",
        False,
        lambda folder: _rows(folder, ".csv"),
        lambda folder: len(read_rows_file(folder / "mine.csv", open_bank("default", 4))),
    ),
    Target(
        "rows made elsewhere, Parquet",
        False,
        lambda folder: _rows(folder, ".parquet"),
        lambda folder: len(read_rows_file(folder / "mine.parquet", open_bank("default", 4))),
    ),
    Target("registration of a data set", True, _registered, _read_registered),
    Target("memory of hashes", True, _remembered, _read_remembered),
    Target("memory of readings", True, _readings, _read_readings),
    Target("published figures", False, copied(RESULTS_FOLDER / "published.csv"), _published),
    Target("list of videos", False, lambda f: _list(f, "test.txt"), _read_list),
    Target("list of videos, JSON", False, lambda f: _list(f, "test.json"), _read_list),
    Target("labels of videos", False, _labels, lambda f: dict(labels_by_video(f.iterdir()))),
    Target(
        "names of classes",
        False,
        _names,
        lambda folder: class_names("mine", ["open", "close"], folder),
    ),
    Target("text features, CSV", False, lambda f: _text_file(f, ".csv"), _read_text),
    Target("text features, npz", False, lambda f: _text_file(f, ".npz"), _read_text),
    Target(
        "declared comparisons",
        False,
        copied(RESULTS_FOLDER / "comparisons.toml"),
        lambda folder: read_family(folder / "comparisons.toml"),
    ),
    Target(
        "submission",
        True,
        _submitted,
        lambda folder: unpack(folder / "mine.zip").comparison.rows[0].accuracy,
    ),
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
        file = target.make(sound).relative_to(sound)
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
