"""What to cite: as methods, backbones and data sets state it, and no fact more."""

import re
from pathlib import Path

from bench import __version__
from bench.plugins.registry import built_in_methods
from bench.report.sources import bibliography, links, of_method, publications
from bench.runs.directory import find_runs
from tests.command import succeeds

ROOT = Path(__file__).parents[1]


def entries(text: str) -> dict[str, dict[str, str]]:
    found = re.findall(r"^@\w+\{(\S+),\n(.*?)^\}$", text, flags=re.DOTALL | re.MULTILINE)
    return {key: dict(re.findall(r"^  (\w+) = \{(.*)\},$", body, re.M)) for key, body in found}


def test_committed_runs_are_cited_whole():
    folder = ROOT / "results" / "real" / "motion" / "egogestar-5w1s-test"
    said = succeeds("cite", folder)
    found = entries(said)
    assert found["cao2020:1906.11415"] == {
        "author": "Cao and Ji and Cao and Chang and Niebles",
        "booktitle": "CVPR",
        "year": "2020",
        "eprint": "1906.11415",
        "archiveprefix": "arXiv",
        "url": "https://arxiv.org/abs/1906.11415",
    }
    assert found["garg2018"]["title"].startswith("{DrawInAir")
    assert found["fewshot-video-bench"]["version"] == __version__
    for run in find_runs(folder):
        assert f"% method {run.name}: " in said
    named = {key for line in re.findall(r"^% .*: (.*)$", said, re.M) for key in line.split(", ")}
    assert found.keys() <= named


def test_every_built_in_method_states_what_can_be_cited():
    ours = {"chance", "single-frame", "text-prototype"}
    for name, entry in built_in_methods().items():
        if entry.cls.__module__.startswith("methods.") and entry.cls.name not in ours:
            assert publications(entry.cls.source), name
            assert links(entry.cls.source), name


def test_a_source_that_is_no_publication_is_told_in_its_words():
    said = bibliography([of_method("mine", "Özil, own work,\n2026")])
    assert said.startswith("% method mine: Özil, own work, 2026\n")


def test_two_papers_of_one_year_are_two_and_one_told_twice_is_one():
    texts = (
        "Zhu et al., BMVC 2021, arXiv:2101.08085",
        "Zhu, Wang, BMVC 2021, arXiv:2110.12358",
        "after Zhu et al., BMVC 2021, arXiv:2110.12358",
    )
    assert [one.key for one in publications(*texts)] == ["zhu2021:2101.08085", "zhu2021:2110.12358"]
    assert publications(*texts)[1].authors == ("Zhu", "Wang")
