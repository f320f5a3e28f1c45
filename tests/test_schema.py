"""What stands in files: read strictly, of every version, and rows held against their bank."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.runs.directory import Run, read_run, write_run
from episodes.errors import UserError
from episodes.schema import SEAL, sealed
from tests.synthetic import answered

RUN = answered("otam", 0.7, episodes=6)
UNKNOWN = replace(RUN, identity=RUN.identity.changed(bank="theirs", way=5))
"""On a bank that nobody here has: its labels cannot be looked up."""


def first(column: str, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.copy()
        rows.loc[0, column] = value
        return rows

    return change


class TestRows:
    @pytest.mark.parametrize("run", [RUN, UNKNOWN], ids=["known bank", "unknown bank"])
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda rows: rows.iloc[:-1], "it has 29 rows, its episodes 30 queries"),
            (lambda rows: pd.concat([rows, rows.iloc[-1:]]), "it has 31 rows"),
            (first("query", 1), "row 0 has query 1, .* 0 there"),
            (lambda rows: rows.iloc[::-1], "row 0 has "),
            (first("prediction", 5), r"row 0 predicts 5; a class of an episode is 0\.\.4"),
            (first("prediction", -1), "row 0 predicts -1"),
            (first("label", 7), "row 0 has label 7"),
            (first("margin", np.inf), "row 0 has margin inf; margins are finite"),
            (first("margin", np.nan), "row 0 has margin nan"),
        ],
    )
    def test_what_is_no_answer_to_every_query_once_is_refused(
        self, tmp_path: Path, run: Run, change: Callable[..., pd.DataFrame], words: str
    ):
        write_run(tmp_path, replace(run, rows=change(run.rows)))
        with pytest.raises(UserError, match=f"{tmp_path} is damaged: {words}.*; delete it") as why:
            read_run(tmp_path)
        assert "\n" not in str(why.value)

    def test_labels_are_those_of_the_bank(self, tmp_path: Path):
        other = (RUN.rows["label"] + 1) % 5
        for run in (RUN, UNKNOWN):
            write_run(tmp_path / run.identity.bank, replace(run, rows=RUN.rows.assign(label=other)))
        read_run(tmp_path / "theirs")
        with pytest.raises(UserError, match=r"row 0 has label \d, the bank has \d there"):
            read_run(tmp_path / "default")

    def test_margins_may_be_left_out_altogether(self, tmp_path: Path):
        write_run(tmp_path, replace(RUN, rows=RUN.rows.drop(columns="margin")))
        assert read_run(tmp_path).rows["margin"].isna().all()


def changed(path: Path, place: str, value: Any) -> None:
    """Write another value in a file of JSON, or remove it (None), and seal it anew."""
    content = json.loads(path.read_text())
    content.pop(SEAL, None)
    inner = content
    *above, key = place.split(".")
    for part in above:
        inner = inner[int(part) if part.isdigit() else part]
    if value is None:
        del inner[key]
    else:
        inner[key] = value
    path.write_text(sealed(content))


class TestRunFiles:
    @pytest.mark.parametrize(
        ("place", "value", "words"),
        [
            ("identity.wya", 5, "there is no key identity.wya; did you mean way"),
            ("colour", 1, "there is no key colour; there are schema, rows_sha256, identity"),
            ("identity.episodes", "6", "identity.episodes is '6'; it should be a valid integer"),
            ("identity.episodes", 6.5, "identity.episodes is '6.5'; it should be"),
            ("identity.training", [1], "identity.training is '.1.'; it should be an object"),
            (
                "identity.training",
                {"seeds": 1},
                "no key identity.training.seeds; did you mean seed",
            ),
            ("identity.bank", None, "identity.bank is missing"),
            ("declared.sees", "much", "declared.sees is 'much'; it should be 'one query', 'all"),
            ("declared.recipe", {"name": "x"}, "declared.recipe.dataset is missing"),
            ("cost.peak_memory_bytes", True, "cost.peak_memory_bytes is 'True'; it should be"),
            ("circumstances.fewshot-video-bench", 1, "circumstances.fewshot-video-bench is '1'"),
        ],
    )
    def test_an_unknown_key_or_a_wrong_type_ends_in_one_line(
        self, tmp_path: Path, place: str, value: Any, words: str
    ):
        write_run(tmp_path, RUN)
        changed(tmp_path / "run.json", place, value)
        with pytest.raises(
            UserError, match=f"{tmp_path} is damaged: in run.json, .*{words}"
        ) as why:
            read_run(tmp_path)
        assert "\n" not in str(why.value)
        assert str(why.value).endswith("delete it and run again")

    def test_what_is_read_is_what_was_written(self, tmp_path: Path):
        write_run(tmp_path, RUN)
        there = read_run(tmp_path)
        assert (there.identity, there.declared) == (RUN.identity, RUN.declared)
        assert there.circumstances == RUN.circumstances
        written = json.loads((tmp_path / "run.json").read_text())
        assert written["identity"] == there.identity.content()
        assert "text" not in written["identity"]
        assert written["cost"]["embed_clips_per_s"] is None

    @pytest.mark.parametrize("content", ["[]", "3", "null", "[" * 10**5, '{"schema": [3]}'])
    def test_json_of_another_kind_ends_in_one_line(self, tmp_path: Path, content: str):
        write_run(tmp_path, RUN)
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(UserError) as why:
            read_run(tmp_path)
        assert "\n" not in str(why.value)
