"""The report: what it holds, that it is one file, and that nothing in it can break out."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from bench.comparison.summary import compare
from bench.machine.progress import Reporter
from bench.report import errors
from bench.report.cases.outcomes import MODELS
from bench.report.charts.forest import about_differences
from bench.report.charts.style import THEMED
from bench.report.grid import Cell, Grid
from bench.report.page import render
from bench.report.provenance import provenance
from bench.report.sections import headline, ranking
from bench.runs.directory import find_runs, read_run
from bench.runs.run import Run
from bench.runs.schema import Circumstances, Declared
from episodes.banks.bank import open_bank
from episodes.errors import UserError
from tests.command import call, refused, succeeds
from tests.conftest import videos_of
from tests.synthetic import answered
from tests.test_tables import RUNS, made_run

KNOWN = [
    answered("protonet", 0.6),
    answered("otam", 0.8, seed=1),
    answered("matching-networks", 0.3, seed=2),
]
"""On a bank that can be rebuilt."""
NASTY = "<script>alert(1)</script>\"'&lt;${x}"
LINKS = ("https://arxiv.org/abs/", "https://github.com/")
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """What a page is made of: elements with their attributes, and the text of each kind."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real runs on a bank that can be rebuilt."""
    out = tmp_path_factory.mktemp("runs")
    names = ",".join(["protonet", "otam", "chance", *MODELS])
    succeeds("run", "--methods", names, "--episodes", "4", "--out", out)
    return out


@pytest.fixture(scope="module")
def real(folder: Path) -> str:
    out = folder / "report.html"
    succeeds("report", folder, "--out", out)
    return out.read_text(encoding="utf-8")


def made(*runs: Run) -> str:
    return render(compare(list(runs)))


@pytest.fixture(scope="module")
def unknown() -> str:
    """The page of runs on a bank that nobody knows."""
    return made(*RUNS)


def test_only_banks_that_everybody_has_are_verified_by_name():
    run = answered("otam", 0.7, episodes=6)
    own = run.declared.changed(recipe=open_bank("default").recipe)
    found = [provenance(compare([replace(run, declared=one)])) for one in (run.declared, own)]
    said = ["fvbench bank verify default\n" in f"{one.commands}\n" for one in found]
    assert said == [True, False]


def test_it_needs_no_other_file_and_no_network(real: str):
    page = Page(real)
    for tag, attributes in page.elements:
        if tag == "a" and (attributes["href"] or "").startswith(LINKS):
            continue  # followed by a reader who clicks, and by nobody else
        for name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:image/")), target
    assert not list(page.all("link"))
    assert not re.search(r"@import|url\((?!#)", real)
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_its_elements_are_nested_and_its_ids_unique(real: str):
    page = Page(real)
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    known = {f"#{one}" for one in ids}
    links = {attributes["href"] for attributes in page.all("a")}
    links = {link for link in links if not (link or "").startswith(LINKS)}
    used = {attributes["xlink:href"] for attributes in page.all("use")}
    clips = set(re.findall(r"url\((#[^)]*)\)", real))
    assert links | used | clips <= known


def test_all_that_the_issue_lists_is_there(real: str):
    for words in (
        "Accuracy and paired differences",
        "Accuracy against speed",
        "What the methods say about themselves",
        "Reproduce it",
        "over videos and classes",
    ):
        assert words in real, words
    confused = "Which classes are confused with which"
    assert confused not in real  # no two classes meet often in four episodes
    assert confused in made(answered("otam", 0.3, episodes=60))


def test_every_run_is_identified(real: str, folder: Path):
    for path in find_runs(folder):
        run = read_run(path)
        assert run.identity.bank_sha256 in real
        assert run.identity.source_sha256 in real
        assert run.identity.features.weights_sha256 in real
        assert run.circumstances.packages["torch"] in real
    (first, *_) = re.findall(r'<pre tabindex="0">(\{.*?\})</pre>', real, re.DOTALL)
    assert json.loads(unescape(first))["identity"]["bank"] == "default"


def test_the_table_shows_the_figures_of_the_comparison(real: str, folder: Path):
    (comparison,) = compare([read_run(path) for path in find_runs(folder)])
    for row in comparison.rows:
        assert f'<th scope="row">{row.title}</th>' in real
        assert f">{100 * row.accuracy:.1f}<" in real


def test_everything_that_is_seen_is_said(real: str):
    page = Page(real)
    for attributes in page.all("svg"):
        assert attributes["role"] == "img"
        assert attributes["aria-label"]
    assert all(attributes["alt"] for attributes in page.all("img"))
    assert all(
        attributes["aria-label"]
        for attributes in page.all("div")
        if "role" in attributes and attributes["role"] == "region"
    )
    assert next(page.all("html"))["lang"] == "en"
    heights = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert heights[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(heights))


def test_charts_take_their_colours_from_the_page(real: str):
    charts = re.findall(r'<svg class="chart".*?</svg>', real, flags=re.DOTALL)
    assert charts
    sheet = re.search(r"<style>(.*?)</style>", real, flags=re.DOTALL)[1]
    looks = dict(re.findall(r"\[data-look=(n\d+)\]\{(.*?)\}", sheet))
    for chart in charts:
        colours = "".join(looks[name] for name in re.findall(r'data-look="(n\d+)"', chart))
        assert "var(--ink)" in colours or "var(--muted)" in colours
        assert not any(colour in colours.lower() for colour in THEMED)
        assert not any(colour in chart.lower() for colour in THEMED)
        assert "DejaVu" not in chart


def test_the_page_runs_its_own_script_and_nothing_else(real: str):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', real)[1]
    policy = unescape(policy)
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        content = re.findall(rf"<{kind}>(.*?)</{kind}>", real, flags=re.DOTALL)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not any("style" in attributes for _, attributes in Page(real).elements)


@pytest.mark.usefixtures("without_charts")
def test_the_page_names_no_folder_of_the_machine_and_steers_no_terminal():
    runs = [
        replace(
            made_run("protonet", 0.5),
            declared=Declared(sees="one query", trained=None, source="a\u202eb"),
            circumstances=Circumstances(
                device="cpu",
                command="fvbench run --data '/home/a b/my videos' --out=/home/me/out",
                weights="/srv/secret/weights.safetensors",
            ),
        )
    ]
    page = render(compare(runs))
    for word in ("/home", "/srv", "secret", "\u202e"):
        assert word not in page
    assert "--out=…/out" in unescape(page)
    assert "a\\u202eb" in page


def test_names_and_paths_cannot_break_out():
    declared = Declared(sees="one query", trained=None, source=NASTY, differs=NASTY)
    around = Circumstances(device=NASTY, command=f"fvbench run --out {NASTY}", commit=NASTY)
    runs = [
        replace(
            made_run("protonet", 0.5, bank=NASTY, protocol=NASTY, settings={NASTY: NASTY}),
            declared=declared,
            circumstances=around,
        ),
        replace(made_run(NASTY, 0.7, bank=NASTY), declared=declared, circumstances=around),
    ]
    html = made(*runs)
    page = Page(html)
    assert len(list(page.all("script"))) == 1
    assert "alert(1)</script>" not in html.replace("&lt;/script&gt;", "")
    assert page.open == []


def test_the_same_runs_give_the_same_page(unknown: str):
    assert made(*RUNS) == unknown


def test_runs_on_an_unknown_bank_lose_classes_and_nothing_else(unknown: str):
    assert "Accuracy by class" not in unknown
    assert "videos and classes unknown, so that nothing is decided: no bank is called" in unknown
    assert "All methods on small" in unknown
    assert '<td class="number">reference</td>' in unknown  # to the right to its last word


@pytest.mark.usefixtures("without_charts")
def test_several_banks_have_a_section_each():
    html = made(*RUNS, made_run("otam", 0.5, bank="order"), made_run("protonet", 0.4, bank="order"))
    assert html.count("All methods on ") == 6  # caption, region and group of two tables
    assert "3 methods on the banks small and order" in html


@pytest.mark.usefixtures("without_charts")
def test_one_method_alone_has_a_report():
    html = made(RUNS[0])
    assert "1 method on the bank small" in html
    assert "Difference from" not in html
    assert "What differs between the runs" not in html


def test_the_headline_names_those_that_cannot_be_told_apart():
    (comparison,) = compare([*KNOWN, answered("otam-twin", 0.8, seed=1)])
    said = " ".join(headline(comparison))
    assert said.startswith("otam is first with")
    assert "for all 3 pairs, 1 of 3 others cannot be told apart from it: otam-twin." in said


def test_one_comparison_is_counted_as_one():
    (comparison,) = compare(KNOWN[:2])
    said = " ".join([*headline(comparison), about_differences(comparison) or ""])
    assert said.count("for 1 comparison") == 2
    assert "1 comparisons" not in said
    assert "comparison" not in (about_differences(replace(comparison, comparisons=0)) or "")


def test_the_headline_takes_no_part_of_a_letter_for_the_letter():
    (comparison,) = compare(KNOWN)
    groups = [("a", "b"), ("a", "b", "ab"), ("ab",)]
    rows = [replace(row, group=one) for row, one in zip(comparison.rows, groups, strict=True)]
    said = " ".join(headline(replace(comparison, rows=rows)))
    assert "1 of 2 others cannot be told apart from it: protonet." in said


def test_nothing_is_said_to_be_told_apart_over_episodes_alone():
    (comparison,) = compare(RUNS)
    said = " ".join(headline(comparison))
    assert "Nothing is decided over episodes alone." in said
    assert "told apart" not in said
    assert "; p" not in said


def test_the_headline_names_a_few_and_counts_the_rest():
    many = [answered(f"twin-{number}", 0.8, seed=1) for number in range(12)]
    (comparison,) = compare([*KNOWN, *many])
    assert "twin-5 and 4 more." in " ".join(headline(comparison))


def test_groups_too_many_for_letters_are_no_column():
    (comparison,) = compare(KNOWN)
    few = ranking(comparison, "x")
    rows = [replace(row, group=("z", "aa")) for row in comparison.rows]
    many = ranking(replace(comparison, rows=rows), "x")
    assert "group" in few.titles
    assert "group" not in many.titles
    assert "too many for letters" in " ".join(many.notes)


def test_names_have_the_marks_that_notes_explain():
    (plain,) = compare(RUNS)
    rows = [
        replace(row, sees="all queries" if row.method == "otam" else row.sees, order_aware=True)
        for row in plain.rows
    ]
    marked = ranking(replace(plain, rows=rows), "x")
    assert [row[0].text for row in marked.rows] == ["otam* →", "protonet →", "learned →"]
    notes = {note[0] for note in marked.notes} & {"*", "→"}
    assert notes == {"*", "→"}
    assert not {note[0] for note in ranking(plain, "x").notes} & {"*", "→"}


def test_a_cell_is_sorted_by_its_number_and_copied_as_it_stands():
    lines = [["a", "−2.1 ± 0.4"], ["b_c", Cell("1,234")]]
    grid = Grid("x", "X", ["name", "value"], lines)
    assert [row[1].number for row in grid.rows] == [-2.1, 1234.0]
    assert grid.numeric == [False, True]
    assert "| b_c" in grid.copies["Markdown"]
    assert r"b\_c" in grid.copies["LaTeX"]
    assert grid.copies["CSV"].splitlines() == ["name,value", "a,−2.1 ± 0.4", 'b_c,"1,234"']


def test_the_copy_as_csv_is_the_table_that_the_command_prints(real: str, folder: Path):
    _, said = call("tables", folder, "--format", "csv")
    copies = dict(re.findall(r'<textarea id="([^"]*)"[^>]*>(.*?)</textarea>', real, re.DOTALL))
    assert unescape(copies["bank-1-ranking-CSV"]) == said


@pytest.mark.usefixtures("without_charts")
def test_uncommitted_changes_are_said():
    run = replace(RUNS[0], circumstances=Circumstances(device="CPU", commit="abc", dirty=True))
    assert "made with uncommitted changes" in made(run)


@pytest.mark.usefixtures("without_charts")
def test_pictures_that_cannot_be_made_are_explained(folder: Path):
    runs = {run.identity.method: run for run in map(read_run, find_runs(folder))}
    fusion = runs["mastaf"]
    wrong = (fusion.rows["label"] + 1) % 5  # so that there are cases
    runs["mastaf"] = replace(
        fusion,
        rows=fusion.rows.assign(prediction=wrong.astype("int16")),
        identity=fusion.identity.changed(weights_sha256="abc"),
    )
    html = render(compare(list(runs.values())), Reporter())
    assert "No pictures: the trained weights of mastaf" in html
    assert "How often each kind of case occurs" in html


def test_training_is_drawn_where_its_curve_is(tmp_path: Path):
    weights = tmp_path / "seed-0" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    steps = "\n".join(f"{step},{2 / step},{0.5 if step % 5 == 0 else ''}" for step in range(1, 41))
    (weights.parent / "train.csv").write_text(f"step,episode,validation_accuracy\n{steps}\n")
    identity = {"weights_sha256": hashlib.sha256(b"weights").hexdigest()}
    run = made_run("learned", 0.5, **identity)
    trained = replace(run, circumstances=Circumstances(device="CPU", weights=str(weights)))
    assert "How training went" in made(RUNS[0], trained)
    for damaged in ("", "step,validation_accuracy\nx,0.5\n", "loss\n1\n"):
        (weights.parent / "train.csv").write_text(damaged)
        with pytest.raises(UserError, match=r"train\.csv is damaged"):
            made(RUNS[0], trained)
    weights.unlink()
    assert "How training went" not in made(RUNS[0], trained)


@pytest.mark.usefixtures("without_charts")
def test_published_figures_stand_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "published.csv"
    file.write_text(
        "method,venue,year,backbone,pretraining,dataset,split,way,shot,accuracy,source\n"
        "Theirs,CVPR,2020,ResNet-50,ImageNet,UCF101,ARN,5,1,77.7,table 1\n"
        "Other shot,CVPR,2020,ResNet-50,ImageNet,UCF101,ARN,5,5,88.8,table 1\n"
    )
    monkeypatch.setattr("bench.comparison.published.FILE", file)
    html = made(made_run("protonet", 0.6, dataset="ucf101", way=5, shot=1))
    assert "Published, UCF101, 5-way 1-shot" in html
    assert "Theirs" in html
    assert "these runs" in html
    assert re.findall(r'<tr class="ours">\s*<th scope="row">(.*?)</th>', html) == ["protonet"]
    assert "Other shot" not in html
    assert "Published" not in made(made_run("protonet", 0.6, dataset="rendered", way=5, shot=1))


def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_runs_are_refused(
    folder: Path, tmp_path: Path
):
    said = refused("report", folder, "--out", folder)
    assert f"is a folder; name a file in it: --out {folder / 'report.html'}" in said
    (tmp_path / "notes.md").write_text("no rows")
    said = refused("report", tmp_path / "notes.md", "--out", tmp_path / "report.html")
    assert "no rows in a .csv or .parquet file" in said


@pytest.mark.usefixtures("without_charts")
def test_a_run_leaves_its_report(folder: Path):
    said = succeeds("run", "--methods", "otam", "--episodes", "4", "--out", folder, "--report")
    assert "1 method on the bank default" in (folder / "report.html").read_text(encoding="utf-8")
    assert str(folder / "report.html") in said


@pytest.mark.usefixtures("without_charts")
def test_frames_of_own_videos_are_shown_only_where_asked(tmp_path: Path):
    own = ("--data", videos_of(tmp_path / "videos", "abcd"))
    few = ("--methods", "protonet,chance", "--episodes", "2", "--out", tmp_path / "runs")
    assert call("run", *own, *few)[0] == 0
    page = {}
    for asked in ((), ("--thumbnails",)):
        out = tmp_path / "report.html"
        succeeds("report", tmp_path / "runs", *own, "--out", out, *asked)
        page[asked] = out.read_text()
    assert "data:image/webp" not in page[()]
    assert "--thumbnails shows them" in page[()]
    assert page["--thumbnails",].count("data:image/webp") == 8
    assert "Accuracy by class" in page[()]


@pytest.mark.usefixtures("without_charts")
def test_thumbnails_end_where_there_is_no_more_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(errors, "BYTES", 10_000)
    assert call("report", folder, "--out", tmp_path / "report.html")[0] == 0
    text = (tmp_path / "report.html").read_text()
    found = re.search(r"room for frames of (\d+) of (\d+) videos", text)
    assert 0 < int(found[1]) < int(found[2])
