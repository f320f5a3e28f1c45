"""Several processes as one job: the same rows as one process, and what happens when one dies."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.distributed
import torch.multiprocessing
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from typer.main import get_command

from bench.__main__ import SPEAKS_LATER, app
from bench.machine.distributed import PATIENCE, joined
from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.running import pairs
from bench.running.loop import encode
from episodes.errors import UserError
from tests.command import call, job, predictions, refused
from tests.synthetic import CPU, NOTHING, random_features

# Four batches, the last one half full: three processes have unequal shares.
SIZES = ("--bank", "default", "--episodes", "7", "--batch-size", "2", "--device", "cpu")
DIES = """
import os
from bench.method import register
from tests.synthetic import MeanVectors

@register
class Dies(MeanVectors):
    name = "dies"

    def score(self, state, query):
        if os.environ.get("DIE") == os.environ.get("RANK"):
            os._exit(3)
        return query @ state.mT
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    assert call("run", *SIZES, "--methods", "protonet,otam", "--out", folder)[0] == 0
    return folder


@pytest.mark.parametrize("processes", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_any_number_of_processes_writes_the_same_rows(processes, alone, tmp_path):
    words = ("--methods", "protonet,otam", "--out", tmp_path, "--no-report")
    finished = job(processes, "run", *SIZES, *words)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("protonet") == 2  # in the table and its caption: printed once
    assert len(predictions(tmp_path)) == 2
    for rows in alone.glob("*/rows.parquet"):
        assert (tmp_path / rows.parent.name / "rows.parquet").read_bytes() == rows.read_bytes()


def test_a_process_that_dies_stops_the_job_and_costs_only_what_was_not_finished(
    tmp_path, monkeypatch
):
    plugin = tmp_path / "dies.py"
    plugin.write_text(DIES)
    out = tmp_path / "out"
    words = ("--methods", "protonet,dies", "--plugin", plugin, "--out", out, "--no-report")
    # What torchrun does once it has read its own options, with copies of this process.
    standalone = {"run_id": "test", "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    config = LaunchConfig(1, 1, 2, start_method="fork", max_restarts=0, **standalone)
    launch = elastic_launch(config, get_command(app).main)
    monkeypatch.setenv("DIE", "1")
    stopped = torch.multiprocessing.get_context("fork").Process(
        target=launch, args=([*map(str, ("run", *SIZES, *words))],)
    )
    stopped.start()
    stopped.join(240)
    assert stopped.exitcode == 1
    monkeypatch.delenv("DIE")
    assert set(predictions(out)) == {"protonet"}
    before = (out / "protonet" / "run.json").stat().st_mtime_ns
    again = job(2, "run", *SIZES, *words)
    assert again.returncode == 0, again.stderr
    assert set(predictions(out)) == {"protonet", "dies"}
    assert (out / "protonet" / "run.json").stat().st_mtime_ns == before


def tables() -> dict[str, torch.Tensor]:
    """Scores of all pairs of 130 videos: three blocks, of which the last is not full."""
    torch.set_num_threads(1)
    shape, found = FeatureShape(12, 4, 2, 2), {}
    for name in ("otam", "otam-paper"):
        method = built_in_methods()[name].build(shape, seed=0)
        videos = encode(method, random_features(130), CPU)
        found[name] = pairs.similarities(method, videos, CPU, NOTHING)
    return found


def tables_of_a_process(rank: int, processes: int, folder: Path) -> None:
    words = {"init_method": f"file://{folder}/meeting", "rank": rank, "world_size": processes}
    torch.distributed.init_process_group("gloo", **words)
    safetensors.torch.save_file(tables(), folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


def test_pairs_have_the_same_scores_in_every_one_of_two_processes(tmp_path):
    torch.multiprocessing.start_processes(
        tables_of_a_process, (2, tmp_path), nprocs=2, start_method="fork"
    )
    for name, expected in tables().items():
        for rank in range(2):
            found = safetensors.torch.load_file(tmp_path / f"{rank}.safetensors")
            assert torch.equal(found[name], expected)


def test_the_first_process_says_why_all_are_refused_before_torchrun_ends_the_others(
    monkeypatch: pytest.MonkeyPatch,
):
    waited: list[float] = []
    monkeypatch.setattr("bench.__main__.time.sleep", waited.append)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for rank, expected in (("0", []), ("1", [SPEAKS_LATER])):
        monkeypatch.setenv("RANK", rank)
        assert "no bank is called 'nothing'" in refused("bank", "show", "nothing")
        assert waited == expected


@pytest.mark.parametrize("minutes", ["", "60.5", "0", "-1"])
def test_a_patience_that_is_no_number_of_minutes(
    minutes: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv(PATIENCE, minutes)
    assert call("list", "banks")[0] == 0
    monkeypatch.setattr("bench.machine.distributed.started_by_torchrun", lambda: True)
    with pytest.raises(UserError, match="whole number of minutes"), joined(tmp_path):
        pass
