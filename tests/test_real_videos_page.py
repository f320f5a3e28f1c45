"""The page about real videos: its tables follow from committed rows, without any video."""

import json
from pathlib import Path

import pandas as pd
import pytest

from bench.runs.directory import find_runs
from tests.results_page import BLOCK, regenerated

pytestmark = pytest.mark.usefixtures("own_config")  # a reader has no copy of the data sets
ROOT = Path(__file__).parents[1]
ROWS, PAGE = ROOT / "results" / "real", ROOT / "docs" / "real-videos.md"


def test_the_tables_follow_from_the_rows_byte_for_byte():
    """It reads some hundred runs: seconds, for the page's every figure."""
    text = PAGE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) >= 4
    assert regenerated(text) == text
    assert "videos and classes unknown" not in text


def test_rows_hold_no_margins_and_no_names_of_videos():
    for folder in find_runs(ROWS):
        rows = pd.read_parquet(folder / "rows.parquet")
        assert list(rows) == ["episode", "query", "label", "prediction"]
        assert all(kind.kind == "i" for kind in rows.dtypes)


def test_runs_were_made_from_a_commit_with_the_shipped_weights():
    for folder in find_runs(ROWS):
        made = json.loads((folder / "run.json").read_text())
        assert made["circumstances"]["dirty"] is False
        command = made["circumstances"]["command"]
        assert command.startswith("fvbench run ")
        assert " /" not in command
