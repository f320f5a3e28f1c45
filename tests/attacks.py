"""Damage to every kind of file that is read: the small form is a test, this is the large one too.

    python -m tests.attacks 1000

damages each file in so many ways (a flipped bit, a file cut short, bytes overwritten or repeated)
and counts what reading it then does:

named: refused with one message, or counted as missing. harmless: the same content is read.
wrong: other content is read and believed. unforeseen: another exception than the one message.

A record is a file that the program wrote and believes: there wrong must be 0. An input is a file
that a person may well have meant so: there only what is unforeseen counts.
"""

import contextlib
import io
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.comparison.rows_file import read_rows_file
from bench.conformance.parity import load_arrays
from bench.features.backbones import load_backbone
from bench.features.store import FeatureStore
from bench.gate.baseline import accept, read_baseline
from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.running.checkpoints import read_weights
from bench.runs.directory import Failure, find_failures, read_run, write_failure, write_run
from bench.training.recipe import read_training_recipe
from bench.training.recipe_file import FOLDER as TRAINING_RECIPES
from bench.training.state import State, load_state
from bench.weights.cards import read_card
from bench.weights.paths import WEIGHTS_FOLDER
from episodes.banks.bank import open_bank
from episodes.banks.recipe import FOLDER as BANK_RECIPES
from episodes.banks.recipe import read_recipe
from episodes.errors import UserError
from tests.test_tables import RUNS

SHAPE = FeatureShape(3, 2, 1, 1)
Outcome = str


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


def _copied(source: Path) -> Callable[[Path], Path]:
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
    write_failure(folder, Failure("default", "otam", "why"))


def _first(folder: Path, pattern: str) -> Path:
    return next(folder.glob(pattern))


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
    Target("card of weights, without a hash", False, _made(_card, "card.json"), _read_card),
    Target(
        "weights of a backbone, named",
        False,
        _copied(WEIGHTS_FOLDER / "motion.safetensors"),
        lambda folder: (
            load_backbone(
                f"motion={folder / 'motion.safetensors'}", torch.device("cpu")
            ).weights_sha256
        ),
    ),
    Target(
        "recipe of a bank",
        False,
        _copied(BANK_RECIPES / "default.toml"),
        lambda folder: read_recipe(str(folder / "default.toml")),
    ),
    Target(
        "recipe of a training",
        False,
        _copied(TRAINING_RECIPES / "paper.toml"),
        lambda folder: read_training_recipe(str(folder / "paper.toml"), MASTAF),
    ),
    Target(
        "reference outputs",
        False,
        _copied(Path(__file__).parent / "golden" / "tsn_5way1shot.npz"),
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


def attack(target: Target, variants: int, seed: int = 0) -> tuple[Counter[Outcome], list[str]]:
    """Damage a file in many ways; return what came of it, and what was wrong or unforeseen."""
    draw = random.Random(seed)  # noqa: S311 - it damages files
    outcomes, faults = Counter[Outcome](), []
    with tempfile.TemporaryDirectory() as name:
        sound = Path(name) / "sound"
        sound.mkdir()
        file = target.make(sound).relative_to(sound)
        expected = target.read(sound)
        content = (sound / file).read_bytes()
        folder = Path(name) / "damaged"
        shutil.copytree(sound, folder)
        for number in range(variants):
            # Reading may remove what is damaged.
            shutil.copytree(sound, folder, dirs_exist_ok=True)
            (folder / file).write_bytes(damaged(content, draw))
            outcome, words = _outcome(target, folder, expected)
            outcomes[outcome] += 1
            if outcome in {"wrong", "unforeseen"}:
                faults.append(f"{target.name}, variant {number}: {words}")
    return outcomes, faults


def _outcome(target: Target, folder: Path, expected: Any) -> tuple[Outcome, str]:
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            found = target.read(folder)
    except UserError as error:
        # A parser may show the place on lines of its own; that is for people, and no traceback.
        return ("named", "") if "Traceback" not in str(error) else ("unforeseen", str(error))
    except Exception as error:
        return "unforeseen", f"{type(error).__name__}: {error}"
    if found is None:
        return "named", ""
    same = _plain(found) == _plain(expected)
    return ("harmless" if same else "wrong" if target.record else "another input"), "other content"


def _plain(value: Any) -> str:
    return repr(value)


def main(variants: int) -> Iterator[str]:
    """Lines of the table that `docs/reliability.md` has."""
    kinds = ("named", "harmless", "another input", "wrong", "unforeseen")
    yield f"| file | variants | {' | '.join(kinds)} |"
    yield f"|---|{'---:|' * (len(kinds) + 1)}"
    total: Counter[Outcome] = Counter()
    for target in TARGETS:
        outcomes, faults = attack(target, variants)
        total += outcomes
        cells = " | ".join(f"{outcomes[kind]:,}" for kind in kinds)
        yield f"| {target.name} | {outcomes.total():,} | {cells} |"
        for fault in faults[:5]:
            print(fault, file=sys.stderr)  # noqa: T201
    cells = " | ".join(f"{total[kind]:,}" for kind in kinds)
    yield f"| all | {total.total():,} | {cells} |"


if __name__ == "__main__":
    for line in main(int(sys.argv[1])):
        print(line, flush=True)  # noqa: T201
