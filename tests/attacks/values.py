"""Files that are well formed and say what nobody would write.

Values of another type or size, values of another key, keys that are unknown, missing or given
twice, tables where numbers belong. A file that holds its own hash gets the one that fits, as if
the program had written it: the types of what it says are all that stands in the way then. What
is taken is taken at its word, so that *wrong* cannot come of it: the attack looks for tracebacks.
"""

import copy
import fcntl
import functools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.features.backbones import backbone_or_features
from bench.machine.locking import NAME, locked
from bench.runs.directory import RESULTS_FOLDER, read_run, write_run
from bench.site.submission import pack, unpack
from episodes import cache
from episodes.atomic import content_seal
from episodes.banks.bank import open_bank
from episodes.decoding import memory
from episodes.disk import facts
from episodes.errors import UserError
from episodes.schema import SEAL, sealed
from tests.attacks.files import TARGETS, Target, attack, copied
from tests.attacks.outcomes import Tally
from tests.command import call

LARGE = 1000
DEEP, ENDLESS, LONG = 300, 100_000, 5_000
PLAIN = ("true", "0", "-1", "1", "2.5", "1e308", "nan", "inf", "[]", "[[]]", "[1, 2]", "[true]")
TEXTS = ('""', '"x"', '"1"', '"../../x"', '"\\u001b[31m\\u202e"', '"\\u0000"', '"{x} %s $x$"')
HUGE = (
    *("9" * 30, "-" + "9" * 400, "9" * LONG, f'"{"x" * LONG}"'),
    *("[" * deep + "]" * deep for deep in (DEEP, ENDLESS)),
)
JSON = (*PLAIN, *TEXTS, *HUGE, "null", "NaN", "-Infinity", '"\\ud800"', "{}", '{"a": {"a": 1}}')
TOML = (*PLAIN, *TEXTS, *HUGE, "{}", "{a = {a = 1}}", "1979-05-27", "1979-05-27T07:32:00Z")
RAW = "@raw@"
"""Stands for a value that Python's JSON cannot write, until all else is written."""
Seal = Callable[[dict[str, Any]], str]


def altered_json(content: bytes, draw: random.Random, seal: Seal | None = None) -> bytes:
    """Alter an object of JSON in one place; mend its hash, if it holds one."""
    whole = json.loads(content)
    name_of_seal = SEAL if SEAL in whole else memory.SEAL
    if seal is not None:
        del whole[name_of_seal]
    inside, key = draw.choice(list(_places(whole)))
    another, name = draw.choice(list(_places(whole)))
    value = copy.deepcopy(another[name])
    match draw.randrange(7):
        case 0:
            del inside[key]
        case 1:
            inside[key] = value
        case 2 if isinstance(inside, dict):
            inside[draw.choice(["another", str(name), ""])] = value
        case 3 if isinstance(inside, dict):  # again, behind the first one
            inside[f"{RAW}{key}"] = RAW
        case _:
            inside[key] = RAW
    text = json.dumps(whole, indent=2).replace(f'"{RAW}"', draw.choice(JSON)).replace(RAW, "")
    if seal is None:
        return text.encode()
    try:
        hash_of_all = seal(json.loads(text))
    except (ValueError, RecursionError):  # no reader gets as far as the hash
        hash_of_all = ""
    return f'{text.rstrip()[:-1].rstrip()},\n  "{name_of_seal}": "{hash_of_all}"\n}}\n'.encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything in a value that can be replaced: what holds it, and its key."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, inner in items:
        yield value, key
        if inner and isinstance(inner, dict | list):
            yield from _places(inner)


def altered_lines(content: bytes, draw: random.Random, seal: Seal) -> bytes:
    """Alter one of several lines of JSON."""
    lines = [line for line in content.split(b"\n") if line]
    number = draw.randrange(len(lines))
    lines[number] = b" ".join(altered_json(lines[number], draw, seal).split(b"\n"))
    return b"\n".join(lines)


def altered_toml(content: bytes, draw: random.Random) -> bytes:
    """Alter a line of TOML."""
    lines = content.decode().splitlines()
    numbers = [n for n, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    number = draw.choice(numbers)
    key, value = lines[number].split(" = ", 1)
    match draw.randrange(8):
        case 0:
            del lines[number]
        case 1:
            lines[number] = f"{key} = {lines[draw.choice(numbers)].split(' = ', 1)[1]}"
        case 2:
            other = draw.choice(["another", lines[draw.choice(numbers)].split(" = ", 1)[0], '""'])
            lines[number] = f"{other} = {value}"
        case 3:
            lines.insert(number, draw.choice(["[default]", "[another]", f"[{key}]", f"[[{key}]]"]))
        case _:
            lines[number] = f"{key} = {draw.choice(TOML)}"
    return "\n".join(lines).encode()


def _seal(content: dict[str, Any]) -> str:
    found: str = json.loads(sealed(content))[SEAL]
    return found


BY_NAME = {target.name: replace(target, record=False) for target in TARGETS}


def _run(folder: Path) -> None:
    """A run of which everything is known, on a few episodes."""
    run = read_run(RESULTS_FOLDER / "baselines" / "default" / "default" / "mastaf")
    bank = open_bank("default", 40)
    rows = run.rows[run.rows["episode"] < len(bank.episodes)]
    identity = run.identity.changed(episodes=len(bank.episodes), bank_sha256=bank.sha256)
    write_run(folder / "run", replace(run, identity=identity, rows=rows))


def _shown(folder: Path) -> list[str]:
    read_run(folder / "run")
    return [_said("tables", folder / "run", "--format", style) for style in ("csv", "latex")]


def _options(folder: Path) -> str:
    """Of a command that stops before it computes anything, since it cannot write."""
    status, said = call("run", "--config", folder / "mine.toml", "--out", "/dev/null/x")
    if status == 2 and "Traceback" not in said:
        return said
    raise RuntimeError(f"status {status}: {said}")


def _said(*words: str | Path) -> str:
    status, said = call(*words)
    if status == 2 and "Traceback" not in said:
        raise UserError(said)
    if status:
        raise RuntimeError(f"status {status}: {said}")
    return said


def _submitted(folder: Path) -> float:
    """Pack a run whose header was altered past what `fvbench submit` checks."""
    pack(folder / "run", folder / "mine.zip")
    return unpack(folder / "mine.zip").comparison.rows[0].accuracy


def _bank(folder: Path) -> object:
    bank = open_bank(str(folder / "default.toml"), 2)
    return bank.recipe, bank.sha256


def _features(folder: Path) -> None:
    content = {"backbone": "mine", "weights_sha256": "", "pretraining": "none", "seen": ["ucf101"]}
    (folder / "features.json").write_text(json.dumps(content))
    np.savez(folder / "all.npz", names=np.array(["a/1", "b/2"]), features=np.ones((2, 7)))


def _given(folder: Path) -> object:
    loaded, given = backbone_or_features("motion", folder / "all.npz", torch.device("cpu"))
    return given and given.identity(), loaded.backbone.pretraining


def _config(folder: Path) -> None:
    lines = ("episodes = 20", "methods = 'otam'", "seed = 1", "plain = true", "time-limit = 5.0")
    (folder / "mine.toml").write_text("\n".join(lines))


def _facts(folder: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "FOLDER", folder)
        return facts.facts.__wrapped__("ucf101")


def _cached(folder: Path) -> None:
    path = folder / "features" / "1" / "identity.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"backbone": "motion", "device": "cpu", "input": {"size": 64}}))


def _parts(folder: Path) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.ENVIRONMENT_VARIABLE, str(folder))
        return [part.holds for part in cache.parts()]


def _holder(folder: Path) -> None:
    with locked(folder):
        shutil.copy(folder / NAME, folder / "copy")


def _held(folder: Path) -> str:
    """What is said of a lock's holder, which may be of another version, or gone half-way."""
    lock = folder / NAME
    lock.write_bytes((folder / "copy").read_bytes())
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            with locked(folder):
                raise RuntimeError("two hold one lock")
        except UserError as error:
            return str(error).replace(str(folder), "")


FACTS = facts.FOLDER / "ucf101.toml"
SEALED = functools.partial(altered_json, seal=_seal)
OF_NOTES = functools.partial(altered_lines, seal=lambda note: content_seal(note)[:16])
OF_REGISTRATIONS = functools.partial(altered_json, seal=content_seal)
ALTERED: tuple[tuple[Target, Callable[[bytes, random.Random], bytes]], ...] = (
    (Target("header of a run", False, _run, "run/run.json", _shown), SEALED),
    (Target("header of a submission", False, _run, "run/run.json", _submitted), SEALED),
    (BY_NAME["note of a failure"], SEALED),
    (BY_NAME["record of a baseline"], SEALED),
    (BY_NAME["state of a training"], SEALED),
    (BY_NAME["card of weights"], SEALED),
    (BY_NAME["card of weights, without a hash"], altered_json),
    (BY_NAME["index of a shard"], altered_json),
    (BY_NAME["registration of a data set"], OF_REGISTRATIONS),
    (BY_NAME["memory of hashes"], OF_NOTES),
    (BY_NAME["memory of readings"], OF_NOTES),
    (replace(BY_NAME["recipe of a bank"], read=_bank), altered_toml),
    (BY_NAME["recipe of a training"], altered_toml),
    (BY_NAME["declared comparisons"], altered_toml),
    (BY_NAME["list of videos, JSON"], altered_json),
    (BY_NAME["labels of videos"], altered_json),
    (Target("card of given features", False, _features, "features.json", _given), altered_json),
    (Target("options of a command", False, _config, "mine.toml", _options), altered_toml),
    (Target("facts of published splits", False, copied(FACTS), FACTS.name, _facts), altered_toml),
    (
        Target(
            "identity of a part of the cache", False, _cached, "features/1/identity.json", _parts
        ),
        altered_json,
    ),
    (Target("holder of a lock", False, _holder, "copy", _held), altered_json),
)


def main(variants: int) -> Iterator[Tally]:
    """Alter each kind of file in so many ways."""
    for target, alter in ALTERED:
        yield attack(target, variants, damage=alter)
