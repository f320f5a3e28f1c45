"""``fvbench run`` end to end, on real video files."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.runs.directory import read_run, write_run
from episodes.cache import cache_folder
from tests.command import call, forked, fresh, predictions, refused, same, succeeds

SMALL = ("run", "--episodes", "4", "--methods")
METHODS = "chance,single-frame,protonet,diagonal,chamfer,otam,mastaf,matching-networks"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to compare others with."""
    out = tmp_path_factory.mktemp("first")
    succeeds(*SMALL, METHODS, "--out", out)
    return out


def test_every_method_leaves_a_run_directory(first: Path):
    assert sorted(path.name for path in first.iterdir()) == sorted(
        [*METHODS.split(","), "summary.json"]
    )
    for name in METHODS.split(","):
        assert len(pd.read_parquet(first / name / "rows.parquet")) == 20
        header = json.loads((first / name / "run.json").read_text())
        assert header["identity"]["method"] == name
        assert {"machine", "packages", "command", "commit", "dirty"} <= set(header["circumstances"])


def test_summary_agrees_with_the_rows(first: Path):
    summary = json.loads((first / "summary.json").read_text())
    assert summary["bank"] == "default"
    for row in summary["rows"]:
        rows = pd.read_parquet(first / row["method"] / "rows.parquet")
        assert row["accuracy"] == pytest.approx((rows["label"] == rows["prediction"]).mean())
        assert (row["episodes"], row["queries"]) == (4, 20)


def test_hash_seed_threads_and_batch_size_change_no_row(first: Path, tmp_path: Path):
    # Features are made anew as well, from the videos that the first run rendered.
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "datasets").symlink_to(cache_folder() / "datasets")
    words = ("--methods", "chance,otam,mastaf", "--batch-size", "1", "--cache", cache)
    environment = {"PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "2"}
    fresh("run", "--episodes", "2", *words, "--out", tmp_path / "out", **environment)
    before = predictions(first)
    for name, found in predictions(tmp_path / "out").items():
        assert list(found) == list(before[name][: len(found)])


def test_the_order_of_methods_does_not_matter(first: Path, tmp_path: Path):
    call(*SMALL, ",".join(reversed(METHODS.split(","))), "--out", tmp_path)
    assert same(predictions(first), predictions(tmp_path))


def test_a_finished_run_is_reused(first: Path):
    written = (first / "otam" / "rows.parquet").stat().st_mtime_ns
    assert call(*SMALL, METHODS, "--out", first)[0] == 0
    assert (first / "otam" / "rows.parquet").stat().st_mtime_ns == written


def test_another_seed_is_another_run(first: Path, tmp_path: Path):
    call(*SMALL, "chance,protonet", "--out", tmp_path, "--seed", "1")
    mine, before = predictions(tmp_path), predictions(first)
    assert (mine["chance"] != before["chance"]).any()
    assert (mine["protonet"] == before["protonet"]).all()


def test_a_run_of_something_else_is_not_replaced(first: Path):
    before = (first / "otam" / "rows.parquet").read_bytes()
    said = refused("run", "--methods", "otam", "--episodes", "3", "--out", first)
    assert "choose another --out" in said
    assert (first / "otam" / "rows.parquet").read_bytes() == before


def test_a_run_on_another_device_is_not_replaced(tmp_path: Path):
    call(*SMALL, "chance", "--out", tmp_path)
    run = read_run(tmp_path / "chance")
    features = run.identity.features.changed(device="cuda")
    elsewhere = replace(run, identity=run.identity.changed(features=features))
    write_run(tmp_path / "chance", elsewhere)
    for options in ((), ("--dry-run",)):
        said = refused(*SMALL, "chance", "--out", tmp_path, "--device", "cpu", *options)
        assert "a run with device cuda, not cpu; choose --device cuda or another --out" in said
    assert read_run(tmp_path / "chance").identity == elsewhere.identity


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path):
    (tmp_path / "otam").mkdir()
    (tmp_path / "otam" / "thesis.txt").write_text("mine")
    assert "thesis.txt, which no run wrote" in refused(*SMALL, "otam", "--out", tmp_path)


def test_an_out_that_is_a_file_is_refused_before_the_work(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    said = refused(*SMALL, "otam", "--out", tmp_path / "file")
    assert said.startswith("error: ")


@pytest.mark.parametrize(
    ("name", "value"), [("source_sha256", lambda _: "changed"), ("HARNESS", 2)]
)
def test_a_changed_method_or_harness_is_run_again(tmp_path: Path, monkeypatch, name: str, value):
    call(*SMALL, "otam", "--out", tmp_path)
    before = read_run(tmp_path / "otam").identity
    written = (tmp_path / "otam" / "rows.parquet").stat().st_mtime_ns
    monkeypatch.setattr(f"bench.running.identity.{name}", value)
    assert call(*SMALL, "otam", "--out", tmp_path)[0] == 0
    assert (tmp_path / "otam" / "rows.parquet").stat().st_mtime_ns > written
    assert read_run(tmp_path / "otam").identity != before


def test_two_banks_give_one_table(tmp_path: Path):
    words = ("--bank", "default,default-order", "--out", tmp_path)
    text = call(*SMALL, "protonet,otam", *words)[1]
    assert sum(line.startswith("otam →") for line in text.splitlines()) == 1
    assert (tmp_path / "default-order" / "otam" / "run.json").is_file()
    assert (tmp_path / "default" / "summary.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--methods", "protonat"), "did you mean protonet"),
        (("--methods", ","), "names no method"),
        (("--bank", "defalt"), "did you mean default"),
        (("--backbone", "moton"), "did you mean motion"),
        (("--device", "tpu"), "not one of auto, cpu, cuda"),
        (("--episodes", "0"), "episodes is 0"),
        (("--bank", "default,default"), "names a bank twice"),
        (("--bank", ""), "no bank is called ''"),
        (("--methods", "otam", "--reference", "protonet"), "protonet does not run; these do: otam"),
        (("--methods", "otam", "--reference", "protnet"), "no method is called 'protnet'"),
        (("--methods", "otam", "--plugin", "absent.py"), "no such file or folder"),
    ],
)
def test_a_mistake_gives_one_message_and_status_2(
    words: tuple[str, ...], message: str, tmp_path: Path
):
    said = refused("run", *words, "--out", tmp_path)
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert "use --device cpu" in refused("run", "--device", "cuda", "--out", tmp_path)


def _wait_until(happened: Callable[[], bool], runs: Callable[[], bool]) -> None:
    """Wait for something that happens before the run ends, however quickly that follows."""
    deadline = time.monotonic() + 120
    while not happened():
        assert runs() or happened(), "the run ended without it"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_that_is_killed_at_every_stage_goes_on_where_it_was(first: Path, tmp_path: Path):
    out, cache = tmp_path / "out", tmp_path / "cache"
    signs: list[Callable[[], bool]] = [
        lambda: len(list(cache.glob("datasets/*/*/*/*_g*"))) >= 5,
        lambda: len(list(cache.glob("features/*/identity.json"))) >= 1,
        (out / "chance" / "run.json").exists,  # the first of eight
    ]
    for happened in signs:
        process = forked(*SMALL, METHODS, "--out", out, "--cache", cache, folder=tmp_path)
        _wait_until(happened, process.is_alive)
        process.kill()
        process.join()
    finished = {path: path.stat().st_mtime_ns for path in out.glob("*/run.json")}
    assert call(*SMALL, METHODS, "--out", out, "--cache", cache)[0] == 0
    assert same(predictions(first), predictions(out))
    assert all(path.stat().st_mtime_ns == time_ for path, time_ in finished.items())


def test_ctrl_c_says_how_to_go_on(tmp_path: Path):
    out, cache = tmp_path / "out", tmp_path / "cache"
    # A shell that started the tests in the background has told them to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # Many episodes, so that there is enough left to interrupt.
        words = ("run", "--methods", "protonet", "--episodes", "200", "--out", out)
        words = (*words, "--cache", cache)
        process = forked(*words, folder=tmp_path)
        _wait_until(lambda: bool(list(cache.glob("datasets/*/*/*/*_g*"))), process.is_alive)
    finally:
        signal.signal(signal.SIGINT, before)
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(timeout=60)
    said = (tmp_path / "stderr").read_text()
    assert process.exitcode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("**/*.unfinished*"))
