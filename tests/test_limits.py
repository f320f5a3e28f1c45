"""What asks for more than there is: refused in one line that names it, before memory is taken.

Every command runs in a process that may take half a gigabyte more than the tests hold.
"""

import hashlib
import json
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.runs.directory import RESULTS_FOLDER, read_run, write_run
from episodes.banks.recipe import read_recipe
from episodes.schema import SEAL, sealed
from tests.attacks.processes import load_all, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
RUN = ("run", "--no-report", "--methods", "protonet", "--out", "{out}")
TRAIN = ("train", "mastaf", "--freeze-backbone", "--out", "{out}", "--recipe", "{file}")
TABLES = ("tables", "{folder}")
MANY = 2_000_000_000
GIGABYTES = 40 << 30


def bank(**changed: int) -> Callable[[Path], Path]:
    """Write a recipe with other numbers."""

    def write(folder: Path) -> Path:
        lines = read_recipe("default").text().splitlines()
        kept = [line for line in lines if line.partition(" = ")[0] not in changed]
        path = folder / "mine.toml"
        path.write_text("\n".join([*kept, *(f"{key} = {one}" for key, one in changed.items())]))
        return path

    return write


def training(**changed: object) -> Callable[[Path], Path]:
    """Write a recipe of training."""

    def write(folder: Path) -> Path:
        path = folder / "training.toml"
        lines = [f"{key} = {one}" for key, one in changed.items()]
        path.write_text("\n".join(['base = "default"', "[default]", *lines]))
        return path

    return write


def claim_rows(path: Path, rows: int) -> None:
    """Have the metadata of a Parquet file claim another number of rows (Thrift's compact form)."""

    def number(value: int) -> bytes:
        value, found = value << 1, b"\x16"  # a field of i64, its sign in the lowest bit
        while value >= 128:
            value, found = value >> 7, found + bytes([value & 127 | 128])
        return found + bytes([value])

    content, true = path.read_bytes(), pq.ParquetFile(path).metadata.num_rows
    length = struct.unpack("<I", content[-8:-4])[0]
    footer = content[-8 - length : -8].replace(number(true), number(rows))
    path.write_bytes(content[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1")
    assert pq.ParquetFile(path).metadata.num_rows == rows


def run_of_many(folder: Path) -> Path:
    """A run whose rows claim to be many, under hashes that fit."""
    run = read_run(RESULTS_FOLDER / "baselines" / "default" / "default" / "mastaf")
    write_run(folder / "chance", run)
    rows, header = folder / "chance" / "rows.parquet", folder / "chance" / "run.json"
    claim_rows(rows, MANY)
    content = json.loads(header.read_text())
    del content[SEAL]
    content["rows_sha256"] = hashlib.sha256(rows.read_bytes()).hexdigest()
    header.write_text(sealed(content))
    return folder


def rows_of_many(folder: Path) -> Path:
    """The same without its header."""
    path = folder / "mine.parquet"
    (run_of_many(folder) / "chance" / "rows.parquet").rename(path)
    return path


def header(*shape: int) -> bytes:
    """Of an array of numpy."""
    words = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    words = words.ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(words)) + words


def bomb(folder: Path, names: str = "names", values: str = "features") -> Path:
    """An archive whose directory says that it unpacks to gigabytes, as one of zeros does."""
    path = folder / "bomb.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{names}.npy", b"")
        file.writestr(f"{values}.npy", header(10, GIGABYTES // 40))
    content = bytearray(path.read_bytes())
    for entry in re.finditer(b"PK\x01\x02", content):
        content[entry.start() + 24 : entry.start() + 28] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(content)
    return path


def lying_array(folder: Path) -> Path:
    """An array that claims more than its file holds."""
    (folder / "a").mkdir()
    (folder / "a" / "b.npy").write_bytes(header(10**12, 8) + bytes(64))
    return folder


CASES: dict[str, tuple[tuple[object, ...], Callable[[Path], Path] | None, str]] = {
    "episodes": ((*RUN, "--episodes", 10**12), None, "episodes is 1000000000000;"),
    "episodes of 2^63": ((*RUN, "--episodes", 2**63), None, "episodes is 9223372036854775808;"),
    "seed": ((*RUN, "--seed", 2**64), None, "--seed"),
    "seed of training": (("train", "mastaf", "--out", "{out}", "--seeds", 2**64), None, "--seeds"),
    "negative width": ((*RUN[:3], "mastaf[hidden=-1]", *RUN[4:]), None, "hidden of mastaf is -1"),
    "no position": ((*RUN[:3], "mastaf[positions=0]", *RUN[4:]), None, "it is at least 1"),
    "infinite setting": ((*RUN[:3], "mastaf[scale=inf]", *RUN[4:]), None, "scale of mastaf is inf"),
    "ways": ((*RUN, "--bank", "{file}"), bank(way=10**9), "a bank has at most"),
    "queries": ((*RUN, "--bank", "{file}"), bank(queries=10**12), "a bank has at most"),
    "warm-up": (TRAIN, training(warm_up_steps=-1), "warm_up_steps is -1"),
    "rate of the backbone": (TRAIN, training(backbone_learning_rate="nan"), "learning_rate is nan"),
    "steps": (TRAIN, training(steps=10**15), "a bank has at most"),
    "validation": (TRAIN, training(validation_episodes=10**12), "episodes is 1000000000000;"),
    "rows of a run": (TABLES, run_of_many, "it claims 2,000,000,000 rows"),
    "rows made elsewhere": (
        ("compare", "{file}", "--bank", "default", "--episodes", 300),
        rows_of_many,
        "it claims 2,000,000,000 rows",
    ),
    "bomb of features": (
        (*RUN, "--features", "{file}"),
        bomb,
        "bomb.npz cannot be read as features: it would unpack to",
    ),
    "bomb of text": (
        (*RUN[:3], "zero-shot", *RUN[4:], "--episodes", 2, "--text", "{file}"),
        lambda folder: bomb(folder, "names", "vectors"),
        "it would unpack to",
    ),
    "bomb of references": (("parity", "{file}"), bomb, "it would unpack to"),
    "array": ((*RUN, "--features", "{file}"), lying_array, "b.npy cannot be read"),
}


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load the program once, for all processes."""
    load_all()


@pytest.mark.parametrize("case", CASES)
def test_too_much_is_refused_in_a_line_before_memory_is_taken(case: str, tmp_path: Path):
    words, make, expected = CASES[case]
    file = make(tmp_path) if make else tmp_path
    places = {"out": tmp_path / "out", "file": file, "folder": tmp_path}
    words = tuple(str(word).format(**places) for word in words)
    command = start(words, tmp_path / "log", before=little_memory)
    assert command.wait(60) == 2, command.said()
    said = " ".join(command.said().split())
    assert expected in said
    assert "Traceback" not in said
    assert "not enough memory" not in said


def little_memory() -> None:
    """Allow half a gigabyte more of address space than the process has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (512 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
