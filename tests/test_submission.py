"""Submissions: what was packed is believed only as far as it can be worked out again."""

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.runs.directory import read_run, write_run
from bench.runs.run import Run
from bench.runs.schema import Circumstances
from bench.site.submission import pack, unpack
from episodes.banks.bank import open_bank
from episodes.errors import UserError
from episodes.schema import check_seal
from tests.command import call, refused, succeeds
from tests.conftest import videos_of
from tests.synthetic import answered, with_identity

HOME = "/home/ada/secret"


def a_run(name: str = "otam", episodes: int = 40) -> Run:
    """A run of the default bank whose answers are right three times in four."""
    around = Circumstances(device="CPU", command=f"fvbench run --data {HOME}/clips")
    return replace(answered(name, 0.75, episodes=episodes), circumstances=around)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", a_run())
    pack(tmp_path / "run", tmp_path / "run.zip")
    return tmp_path / "run.zip"


def members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(file: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(packed: Path, tmp_path: Path):
    write_run(tmp_path / "elsewhere" / "deep" / "otam", a_run())
    pack(tmp_path / "elsewhere", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_no_folder_of_the_machine_is_in_it(packed: Path, tmp_path: Path):
    everything = b"".join(members(packed).values())
    assert HOME.encode() not in everything
    assert str(tmp_path).encode() not in everything
    header = json.loads(members(packed)["run.json"])
    check_seal(header)
    assert header["circumstances"]["command"] == "fvbench run --data …/clips"


def test_what_comes_out_is_what_went_in(packed: Path):
    found = unpack(packed)
    assert found.run.identity == a_run().identity
    pd.testing.assert_frame_equal(found.run.rows, a_run().rows)
    rows = a_run().rows
    right = (rows["label"] == rows["prediction"]).mean()
    assert found.comparison.rows[0].accuracy == pytest.approx(right)


def test_a_run_of_one_episode_is_accepted_without_an_interval(tmp_path: Path):
    write_run(tmp_path / "run", a_run(episodes=1))
    pack(tmp_path / "run", tmp_path / "run.zip")
    low, high = unpack(tmp_path / "run.zip").comparison.rows[0].interval
    assert np.isnan(low)
    assert np.isnan(high)
    made_up = members(tmp_path / "run.zip")["figures.json"].replace(b"null", b"0.5")
    write_members(tmp_path / "run.zip", members(tmp_path / "run.zip") | {"figures.json": made_up})
    with pytest.raises(UserError, match=r"low 0\.5, its rows give nan"):
        unpack(tmp_path / "run.zip")


def test_an_identity_that_names_a_folder_is_not_packed(tmp_path: Path):
    run = a_run()
    identity = run.identity.changed(settings={"table": f"{HOME}/table.csv"})
    write_run(tmp_path / "run", replace(run, identity=identity))
    with pytest.raises(UserError, match="names a folder of this machine, /home/ada"):
        pack(tmp_path / "run", tmp_path / "run.zip")


def test_several_runs_are_not_one_submission(tmp_path: Path):
    for name in ("otam", "mean"):
        write_run(tmp_path / name, a_run(name))
    with pytest.raises(UserError, match="holds 2 runs"):
        pack(tmp_path, tmp_path / "run.zip")


def rewritten(change: Callable[[Run], Run]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Members of a run that was changed and written as a run is, hashes and seal and all."""

    def make(contents: dict[str, bytes]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            write_run(Path(folder), change(a_run()))
            return contents | {
                name: (Path(folder) / name).read_bytes() for name in ("run.json", "rows.parquet")
            }

    return make


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def huge_table(contents: dict[str, bytes]) -> dict[str, bytes]:
    table = io.BytesIO()
    pd.DataFrame({"episode": [0], "path": ["x" * 1000]}).to_parquet(table)
    return contents | {"rows.parquet": table.getvalue()}


def only_the_easiest(run: Run) -> Run:
    """The run as if the other episodes had lacked a video."""
    right = (run.rows["label"] == run.rows["prediction"]).groupby(run.rows["episode"]).mean()
    bank = open_bank("default", run.identity.episodes).only(np.flatnonzero(right == 1))
    rows = run.rows[run.rows["episode"].isin(bank.numbers)].reset_index(drop=True)
    stated = {"bank": bank.title, "bank_sha256": bank.sha256, "episodes": len(bank.episodes)}
    return replace(run, rows=rows, identity=run.identity.changed(**stated))


HOSTILE = {
    "a path that climbs": (
        lambda found: {"../run.json": found["run.json"], **found},
        "holds '../run.json'",
    ),
    "one member more": (lambda found: {**found, "setup.py": b"x"}, "and nothing else"),
    "one member fewer": (lambda found: {"run.json": found["run.json"]}, "and nothing else"),
    "a member that unpacks to much": (
        lambda found: {**found, "run.json": b" " * (1 << 21)},
        "unpacks to more than 1,048,576 bytes",
    ),
    "a changed header": (
        lambda found: {**found, "run.json": found["run.json"].replace(b"otam", b"best")},
        "its own hash differs",
    ),
    "changed rows": (
        lambda found: {**found, "rows.parquet": flipped(found["rows.parquet"], 10)},
        "not the one that was written",
    ),
    "rows with columns of their own": (huge_table, "'path' of .* is not a column of rows"),
    "nested without end": (lambda found: {**found, "run.json": b"[" * 10**5}, "can be read"),
    "figures nested without end": (
        lambda found: {**found, "figures.json": b"[" * 10**5},
        "holds no figures",
    ),
    "figures that its rows do not give": (
        lambda found: {**found, "figures.json": found["figures.json"].replace(b"0.7", b"0.9")},
        "states .* 0.9.* its rows give 0.7",
    ),
    "a figure beyond all numbers": (
        lambda found: {
            **found,
            "figures.json": b'{"queries": 1%s, "intervals": {}}' % (b"0" * 400),
        },
        "holds no figures",
    ),
    "no figures": (lambda found: {**found, "figures.json": b"{}"}, "holds no figures"),
    "another label": (
        rewritten(lambda run: replace(run, rows=run.rows.assign(label=run.rows["prediction"]))),
        r"has label \d, the bank has",
    ),
    "episodes far away": (
        rewritten(lambda run: replace(run, rows=run.rows.assign(episode=run.rows.episode + 2**30))),
        "beyond 1,000,000",
    ),
    "a lie about the bank": (
        rewritten(lambda run: with_identity(run, shot=5)),
        "says shot 5, its bank default has 1",
    ),
    "a lie about the classes": (
        rewritten(lambda run: with_identity(run, split="train")),
        "says split 'train', its bank default has 'test'",
    ),
    "episodes of its own under the name of a bank": (
        rewritten(lambda run: with_identity(run, bank_sha256="0" * 64)),
        "sha256 000000000000…, are those of the bank default, which has others",
    ),
    "the easiest episodes": (
        rewritten(only_the_easiest),
        r"leaves out \d+ episodes of default for which no video is missing",
    ),
    "better answers than the figures say": (
        rewritten(lambda run: replace(run, rows=run.rows.assign(prediction=run.rows["label"]))),
        "its rows give 1.0",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_what_it_says_is_refused_in_a_line(name: str, packed: Path):
    change, words = HOSTILE[name]
    write_members(packed, change(members(packed)))
    status, said = call("verify", packed)
    assert status == 1
    assert len(said.strip().splitlines()) == 1
    assert said.startswith("refused: ")
    assert re.search(words, said), said


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_damaged_anywhere_raises_nothing_else(packed: Path, method: int):
    contents = members(packed)
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    whole = packed.read_bytes()
    for place in range(30, 130, 5):  # in the first member
        packed.write_bytes(flipped(whole, place))
        with suppress(UserError):  # a byte that nothing reads may change
            unpack(packed)


def test_a_bank_that_nobody_has_is_not_judged(tmp_path: Path, packed: Path):
    other = rewritten(lambda run: with_identity(run, bank="theirs"))
    write_members(packed, other(members(packed)))
    with pytest.raises(UserError, match="cannot be drawn here"):
        unpack(packed)


def test_answers_are_made_anew_where_asked(tmp_path: Path):
    out = tmp_path / "run"
    assert call("run", "--methods", "chance", "--episodes", "4", "--out", out)[0] == 0
    assert call("submit", out, "--out", tmp_path / "honest.zip")[0] == 0
    said = succeeds("verify", tmp_path / "honest.zip", "--rerun", "2", "--seed", "1")
    assert "of 10 queries of 2 episodes (--seed 1), 0 answered differently" in said

    run = read_run(out / "chance")
    write_run(out / "chance", replace(run, declared=run.declared.changed(sees="all queries")))
    assert call("submit", out, "--out", tmp_path / "lies.zip")[0] == 0
    status, said = call("verify", tmp_path / "lies.zip", "--rerun", "2")
    assert (status, "the method: sees\n" in said) == (1, True)

    write_run(out / "chance", replace(run, rows=run.rows.assign(prediction=run.rows["label"])))
    assert call("submit", out, "--out", tmp_path / "invented.zip")[0] == 0
    for option in ("--seed", "--weights", "--backbone", "--device"):
        said = refused("verify", tmp_path / "honest.zip", option, "1")
        assert f"{option}: for --rerun" in said
    assert call("verify", tmp_path / "invented.zip")[0] == 0  # its figures do follow from its rows
    status, said = call("verify", tmp_path / "invented.zip", "--rerun", "4")
    assert status == 1
    assert "DIFFERS" in said


def test_a_run_on_own_videos_is_packed_and_checked_with_them(tmp_path: Path):
    own = ("--data", videos_of(tmp_path / "videos", "abcd"))
    few = ("--methods", "chance", "--episodes", "3", "--out", tmp_path / "run")
    assert call("run", *own, *few)[0] == 0
    file, site = tmp_path / "run.zip", tmp_path / "site"
    assert call("submit", tmp_path / "run", *own, "--out", file)[0] == 0
    succeeds("verify", file, *own, "--rerun", "2")
    assert "; --data FOLDER says" in refused("verify", file)  # nobody else has these videos
    assert "`fvbench submit` makes one" in refused("verify", tmp_path / "run")
    assert call("publish", file, *own, "--out", site)[0] == 0
