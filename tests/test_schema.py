"""What stands in files: read strictly, of every version, and rows held against their bank."""

import importlib.util
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.comparison.frame import Summary
from bench.comparison.gate.baseline import BaselineRecord, read_baseline
from bench.comparison.summary import compare, write_summary
from bench.features.files import FeatureCard
from bench.runs.directory import RESULTS_FOLDER, read_run, write_run
from bench.runs.run import Run
from bench.throughput.record import StageSpeeds
from bench.weights.backbone_card import BackboneCard
from bench.weights.cards import Card, read_card
from episodes.banks.recipe import FOLDER as RECIPES
from episodes.disk.registration import Registration, registration, write_registration
from episodes.errors import UserError
from episodes.schema import SEAL, Model, parsed, read_json, read_toml, sealed
from tests.synthetic import answered, with_identity

_SPEC = importlib.util.spec_from_file_location(
    "schemas", Path(__file__).parents[1] / "docs" / "schemas.py"
)
assert _SPEC
schemas = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(schemas)

RUN = answered("otam", 0.7, episodes=6)
UNKNOWN = with_identity(RUN, bank="theirs", way=5)
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
            (lambda rows: rows.iloc[[*range(5, 30), *range(5)]], "row 0 has episode 1, .* 0 there"),
            (lambda rows: rows.iloc[:-5], "its rows are of 5 episodes, run.json says 6"),
            (lambda rows: rows.iloc[:0], "its rows are of 0 episodes, run.json says 6"),
            (first("query", 32_767), "(it has 30 rows, its|row 0 has query 32767)"),
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
            ("identity.training", [1], "identity.training is .1.; it should be an object"),
            ("identity.training", {"seeds": 1}, "training.seeds; did you mean seed"),
            ("identity.bank", None, "identity.bank is missing"),
            ("declared.sees", "much", "declared.sees is 'much'; it should be 'one query', 'all"),
            ("declared.recipe", {"name": "x"}, "recipe.dataset, .*recipe.sampler are missing"),
            ("circumstances.fewshot-video-bench", 1, "circumstances.fewshot-video-bench is 1;"),
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
        pd.testing.assert_frame_equal(there.rows, RUN.rows)
        assert (there.identity, there.declared) == (RUN.identity, RUN.declared)
        assert there.circumstances == RUN.circumstances
        written = json.loads((tmp_path / "run.json").read_text())
        assert written["identity"] == there.identity.content()
        assert "text" not in written["identity"]
        assert written["cost"]["embed_clips_per_s"] is None

    def test_a_damaged_number_of_the_schema_opens_no_seal(self, tmp_path: Path):
        """One bit makes a 2 of a 3, and the files of schema 2 had no seal."""
        write_run(tmp_path, RUN)
        path = tmp_path / "run.json"
        path.write_text(path.read_text().replace('"schema": 3', '"schema": 2'))
        with pytest.raises(UserError, match="its own hash differs"):
            read_run(tmp_path)

    @pytest.mark.parametrize("content", ["[]", "3", "null", "[" * 10**5, '{"schema": [3]}'])
    def test_json_of_another_kind_ends_in_one_line(self, tmp_path: Path, content: str):
        write_run(tmp_path, RUN)
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(UserError) as why:
            read_run(tmp_path)
        assert "\n" not in str(why.value)


FILES = Path(__file__).parent / "files"
"""A file of each kind in each form that was ever committed."""


class TestVersions:
    @pytest.mark.parametrize("path", sorted(FILES.parent.glob("runs/schema-*/*")), ids=str)
    def test_a_run_of_every_schema_is_read(self, path: Path):
        written = json.loads((path / "run.json").read_text())
        assert written["schema"] == int(path.parent.name.removeprefix("schema-"))
        run = read_run(path)
        assert run.identity.content() == {"training": None} | written["identity"]
        for part in ("declared", "cost", "circumstances"):
            assert getattr(run, part).content() == written[part]

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("card", Card),
            ("card-without-seal", Card),
            ("backbone-card", BackboneCard),
            ("backbone-card-of-words", BackboneCard),
            ("accepted-without-seal", BaselineRecord),
            ("features-without-sampling", FeatureCard),
        ],
    )
    def test_every_form_of_other_files_is_read_and_given_back(self, name: str, kind: type[Model]):
        content = read_json(FILES / f"{name}.json")
        assert parsed(kind, content).content() == content

    @pytest.mark.usefixtures("own_config")
    def test_registration_of_before_it_had_a_seal_is_read(self, tmp_path: Path):
        folder = tmp_path / "config" / "datasets"
        folder.mkdir(parents=True)
        shutil.copy(FILES / "registration-without-seal.json", folder / "mine.json")
        found = registration("mine")
        assert found
        assert (found.root, found.published) == (Path("/data/mine"), False)
        assert found.lists == {"test": (("wave", "a.mp4"), ("wave", "b.mp4"))}

    def test_throughput_of_before_forms_were_named_is_read(self):
        rows = json.loads((FILES / "throughput-without-form.json").read_text())
        found = parsed(StageSpeeds, {"rows": rows}).rows
        assert [one.content() for one in found] == rows
        assert found[0].form is None

    def test_all_that_is_committed_is_of_these_forms(self):
        """Runs are read by the tests of the pages that they stand on."""
        for path in RESULTS_FOLDER.glob("weights/**/*.json"):
            kind = Card if path.name == "card.json" else BackboneCard
            assert parsed(kind, read_json(path)).content() == read_json(path)
        for path in RESULTS_FOLDER.glob("throughput/*.json"):
            parsed(StageSpeeds, {"rows": json.loads(path.read_text())})


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("name", "kind", "place", "value", "words"),
        [
            ("card", Card, "training.sed", 0, "there is no key training.sed; did you mean seed"),
            ("backbone-card", BackboneCard, "bytes", [], "bytes is ..; it should be"),
            ("backbone-card", BackboneCard, "recipe.shifted", 3, "no key recipe.backbone.shifted"),
            ("backbone-card-of-words", BackboneCard, "recipe.scale", "1", "scale is '1'; it sh"),
            ("backbone-card-of-words", BackboneCard, "recipe.dropout", 0.1, "key recipe.words.dr"),
        ],
    )
    def test_an_unknown_key_or_a_wrong_type_is_named(
        self, tmp_path: Path, name: str, kind: type[Model], place: str, value: Any, words: str
    ):
        path = Path(shutil.copy(FILES / f"{name}.json", tmp_path))
        changed(path, place, value)
        content = read_json(path)
        del content[SEAL]
        with pytest.raises(ValueError, match=words) as why:
            parsed(kind, content)
        assert "\n" not in str(why.value)

    def test_a_card_names_file_and_key(self, tmp_path: Path):
        folder = next(RESULTS_FOLDER.glob("weights/heads/mastaf/seed-*"))
        shutil.copytree(folder, tmp_path / "seed-0")
        changed(tmp_path / "seed-0" / "card.json", "trained_on.data", "x")
        with pytest.raises(UserError, match=r"card.json is .*there is no key trained_on.data;.*; "):
            read_card(tmp_path / "seed-0" / "weights.safetensors")

    def test_an_accepted_baseline_names_file_and_key(self, tmp_path: Path):
        write_run(tmp_path / "otam", RUN)
        (tmp_path / "accepted.json").write_text('{"runs": {}, "history": [], "note": "mine"}')
        with pytest.raises(UserError, match=r"accepted.json is damaged: there is no key note; "):
            read_baseline(tmp_path)

    def test_a_summary_is_what_its_type_says(self, tmp_path: Path):
        write_summary(tmp_path, compare([RUN, answered("protonet", 0.5, episodes=6)])[0])
        content = read_json(tmp_path / "summary.json")
        assert parsed(Summary, content).bank == "default"
        del content["rows"][0]["encode_clips_per_s"]  # as older programs wrote it
        assert math.isnan(parsed(Summary, content).rows[0].encode_clips_per_s)
        content["rows"][0]["accurcy"] = 1.0
        with pytest.raises(ValueError, match=r"there is no key rows.0.accurcy"):
            parsed(Summary, content)


@pytest.mark.usefixtures("own_config")
def test_schemas_have_what_files_have_that_do_not_state_their_name(tmp_path: Path):
    mine = Registration(name="mine", root=tmp_path, published=False, lists={})
    file, schema = read_json(write_registration(mine)), json.loads(schemas.text("registration"))
    assert file.keys() == schema["properties"].keys() >= set(schema["required"])
    file, schema = read_toml(RECIPES / "default.toml"), json.loads(schemas.text("bank-recipe"))
    assert set(schema["required"]) <= file.keys() <= schema["properties"].keys()


def test_json_schemas_of_the_documentation_are_current():
    """``python docs/schemas.py`` writes them."""
    for name in schemas.KINDS:
        there = (schemas.FOLDER / f"{name}.json").read_text(encoding="utf-8")
        assert there == schemas.text(name), name
