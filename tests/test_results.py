"""What is committed under results/: tables that follow from rows, weights with their cards."""

import json
import re
import subprocess
from functools import cache

import pytest
import torch

from bench.comparison.paper import RUNS
from bench.comparison.published import published_figures
from bench.features.backbones import LoadedBackbone, backbones, load_backbone
from bench.features.embedding import feature_identity
from bench.plugins.registry import built_in_methods, source_sha256
from bench.running.identity import HARNESS
from bench.runs.directory import RESULTS_FOLDER, find_runs
from bench.runs.schema import FeatureIdentity, Identity
from bench.weights.cards import WEIGHTS, WEIGHTS_FOLDER, read_card
from episodes.banks.bank import open_bank
from episodes.schema import parsed
from tests.results_page import BLOCK, PAGE, VERDICT, declared, regenerated, words, written_by_hand

ROOT = RESULTS_FOLDER.parent
CLAIMS = re.compile(
    r"\b(better|worse|best|outperforms?|beats?|gains?|gained|improves?|helps?|hurts?|loses?|lost"
    r"|wins?|superior|inferior|level with|above|below|matters?|owes?|stronger|weaker)\b",
    re.IGNORECASE,
)
"""Words that say of two methods that one is the better one, or that none is."""


def test_the_tables_follow_from_the_rows_byte_for_byte():
    text = PAGE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) >= 2
    assert regenerated(text) == text


def test_no_sentence_claims_more_than_its_p_value():
    # Verdicts stand between marks and are made of corrected p-values (the test above compares
    # them); what is written by hand says what was done and found, and judges nothing.
    text = PAGE.read_text(encoding="utf-8")
    assert len(VERDICT.findall(text)) > 10
    assert CLAIMS.findall(written_by_hand(text)) == []


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BY_HAND = re.compile(r"^```.*?^```|^\|.*?$|<!-- fvbench.*?<!-- end -->", re.DOTALL | re.MULTILINE)
"""Parts of a page that are no sentences: code, tables, what commands printed."""
JUDGED = re.compile(
    r"\b(better|worse|outperforms?|beats?|superior|inferior|stronger|weaker|wins?|loses to)\b"
)
NAMED = re.compile(
    rf"`({'|'.join(map(re.escape, sorted(built_in_methods(), key=len, reverse=True)))})`"
    r"|\b(MASTAF|OTAM|TRX|HyRSM|STRM|TA2N|ProtoNet|Chamfer\+\+|ViSiL|TEAM|MoLo|CAN|PAL|CMN)(?!\w)"
)


def unsupported(page: str) -> list[str]:
    """Sentences that judge a method without a verdict of that method in a table of the page."""
    sentences = re.split(r"(?<=[.:;!?])\s+", BY_HAND.sub("", page))
    found = []
    for sentence in sentences:
        for method in {(one or other).lower() for one, other in NAMED.findall(sentence)}:
            row = rf"^\| {re.escape(method)} .*\| *(better|worse) *\|"
            if JUDGED.search(sentence) and not re.search(row, page, re.MULTILINE):
                found.append(sentence)
    return found


def test_no_page_judges_a_method_without_a_verdict():
    assert [one for page in PAGES for one in unsupported(page.read_text(encoding="utf-8"))] == []
    page = "OTAM stands higher. TRX beats it.\n\n| otam | 72.8 | {} |\n\nOTAM is better."
    assert unsupported(page.format("better")) == ["TRX beats it."]
    assert unsupported(page.format("undecided < 5.0")) == ["TRX beats it.", "OTAM is better."]


def test_a_verdict_is_that_of_the_corrected_p_value():
    said = {pair: words(*pair) for pair in declared()}
    for pair, found in declared().items():
        told = found.p_value_corrected is not None and found.p_value_corrected < 0.05
        assert said[pair].startswith(("better", "worse")) == told
        assert found.p_value_corrected is None or found.p_value_corrected >= found.p_value


def test_weights_have_cards_and_are_small():
    files = sorted(WEIGHTS_FOLDER.glob("**/*.safetensors"))
    assert sum(path.stat().st_size for path in files) < 20_000_000
    for path in (path for path in files if path.name == WEIGHTS):
        card = read_card(path)
        assert card is not None, path
        content = json.loads((path.parent / "card.json").read_text())
        assert content["trained_on"]["split"] == "train"
        assert content["made_by"]["command"].startswith("fvbench train")
        assert content["made_by"]["dirty"] is False


def test_every_committed_run_names_the_weights_it_used():
    known = {path.parent for path in WEIGHTS_FOLDER.glob(f"**/{WEIGHTS}")}
    hashes = {json.loads((folder / "card.json").read_text())["sha256"] for folder in known}
    used = set()
    for folder in [*find_runs(RUNS), *find_runs(RESULTS_FOLDER / "names")]:
        identity = json.loads((folder / "run.json").read_text())["identity"]
        assert (identity["weights_sha256"] is None) == (identity["training"] is None)
        used.add(identity["weights_sha256"])
    assert hashes <= used, "weights are shipped that no committed run used"


def test_committed_runs_are_of_todays_code():
    """`tox run -e results`, `results-trained` and `results-real` make them anew."""

    @cache
    def of_method(name: str) -> str | None:
        return source_sha256(built_in_methods()[name])

    @cache
    def of_features(backbone: str, method: str, weights: str) -> FeatureIdentity:
        code = backbones()[backbone]  # a package that reads its weights is not needed
        loaded = LoadedBackbone(code.__new__(code), weights)
        rule = loaded.sampling_for(built_in_methods()[method].cls)
        return feature_identity(loaded, rule, torch.device("cpu"))

    @cache
    def of_weights(backbone: str) -> str:
        return load_backbone(backbone, torch.device("cpu")).weights_sha256

    @cache
    def of_episodes(bank: str, count: int) -> str:
        return open_bank(bank, count).sha256

    wrong, known = [], 0
    for folder in find_runs(RESULTS_FOLDER):
        made = parsed(Identity, json.loads((folder / "run.json").read_text())["identity"])
        name, features, how = made.method, made.features, made.training
        known += 1
        weights = features.weights_sha256  # of training, or of others, who do not change them
        if features.backbone in ("motion", "motion-words") and not (
            how and how.backbone == "tuned"
        ):
            weights = of_weights(features.backbone)
        today = made.changed(
            revision=built_in_methods()[name].cls.revision,
            source_sha256=of_method(name),
            features=of_features(features.backbone, name, weights),
        )
        if made.dataset == "rendered":  # the videos of the others are not here
            today = today.changed(bank_sha256=of_episodes(made.bank, made.episodes))
        if HARNESS > 1:
            today = today.changed(harness=HARNESS)
        if made != today:
            wrong.append(folder.relative_to(RESULTS_FOLDER).as_posix())
    assert known > 400
    assert wrong == []


def test_runs_and_weights_name_commits_of_this_history():
    """Whoever doubts a number can go to the code that made it, without changes of its own."""
    runs = [json.loads((folder / "run.json").read_text()) for folder in find_runs(RESULTS_FOLDER)]
    cards = [json.loads(path.read_text()) for path in WEIGHTS_FOLDER.rglob("*.json")]
    made = [*(run["circumstances"] for run in runs), *(card["made_by"] for card in cards)]
    assert not any(one["dirty"] for one in made)
    words = ["git", "-C", str(ROOT), "rev-list", "HEAD"]
    listed = subprocess.run(words, capture_output=True, text=True, check=False)
    if listed.returncode or (ROOT / ".git" / "shallow").exists():
        pytest.skip("no history of git, or only its end")
    assert {one["commit"] for one in made} - set(listed.stdout.split()) == set()


def test_published_figures_keep_their_sources():
    assert len(published_figures()) > 300  # each of which has a source
