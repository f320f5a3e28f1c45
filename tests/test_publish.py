"""The leaderboard: pages from rows alone, every link of theirs leads somewhere."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.runs.directory import read_run, write_run
from bench.runs.run import Run
from bench.runs.schema import Circumstances
from bench.site.board import board, run_id
from bench.site.pages import write_site
from episodes.atomic import write_text
from episodes.errors import UserError
from tests.command import call, succeeds
from tests.synthetic import trained, with_identity
from tests.test_submission import a_run
from tests.test_tables import RUNS, made_run

pytestmark = pytest.mark.usefixtures("without_charts")
ROOT = Path(__file__).parents[1]
ALIKE = ("клипы-5w1s", "видео-5w1s", "my_bank", "my-bank", "My-bank")
NASTY = "<img src=x onerror=alert(1)>"


def links(page: Path) -> list[str]:
    found = re.findall(r'href="([^"]+)"', page.read_text(encoding="utf-8"))
    return [one for one in found if not one.startswith(("https://", "#"))]


def some_runs() -> list[Run]:
    """Two banks, one of real videos; a method with two training seeds, one of foreign code."""
    seeds = [trained(made_run("learned", 0.6, seed=one), one, backbone=None) for one in (0, 1)]
    told = {"source": f"{NASTY}, arXiv:1906.11415; owner/name at 3687f3a", "idea": NASTY}
    foreign = made_run("theirs", 0.7, "real", seed=7, dataset="ucf101", settings={"layers": 3})
    return [
        *(with_identity(one, dataset="rendered") for one in RUNS[:2]),
        *seeds,
        replace(foreign, declared=foreign.declared.changed(**told, needs="maps")),
        made_run("otam", 0.5, "real", seed=8, dataset="ucf101"),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, board(some_runs()), "Ours")
    return folder


def test_there_is_a_page_for_every_bank_method_and_run(site: Path):
    names = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    expected = {"index.html", "banks/small.html", "banks/real.html"}
    expected |= {f"methods/{name}.html" for name in ("protonet", "otam", "learned", "theirs")}
    expected |= {f"runs/{run_id(run)}.html" for run in some_runs()}
    assert names == expected


def test_every_page_can_be_reached_from_the_first(site: Path):
    seen, todo = set[Path](), [site / "index.html"]
    while todo:
        page = todo.pop().resolve()
        if page not in seen:
            seen.add(page)
            todo += [page.parent / link for link in links(page)]
    assert seen == {page.resolve() for page in site.rglob("*.html")}


def test_words_of_strangers_do_nothing(site: Path):
    page = (site / "methods" / "theirs.html").read_text()
    assert NASTY not in page
    assert "&lt;img src=x" in page
    assert 'href="https://github.com/owner/name/tree/3687f3a"' in page
    assert "@inproceedings" not in page  # nothing is stated but a number


def test_a_method_page_has_all_its_rows_its_idea_and_what_to_cite(site: Path):
    page = (site / "methods" / "otam.html").read_text()
    assert {"../banks/small.html", "../banks/real.html"} <= set(links(site / "methods/otam.html"))
    assert page.count("../runs/") == 2
    learned = (site / "methods" / "learned.html").read_text()
    assert learned.count("../runs/") == 2  # one for each seed


def test_a_method_page_gives_all_right_answers_the_end_that_tables_give(tmp_path: Path):
    write_site(tmp_path, board([made_run("oracle", 1.0), made_run("otam", 0.5)]), "Ours")
    assert "≥ 98.51" in (tmp_path / "methods" / "oracle.html").read_text()


def test_a_run_counts_once_wherever_it_lies():
    (first, *_) = some_runs()
    again = replace(first, circumstances=Circumstances(device="another"))
    assert len(list(board([first, again]).places)) == 1


def test_a_method_has_one_line_however_many_seeds_a_bank_has_of_it():
    elsewhere = made_run("learned", 0.5, "real", seed=9, dataset="ucf101")
    found = board([*some_runs(), trained(elsewhere, 0, backbone=None)])
    (line,) = found.methods["learned"]
    assert [place.row.trained_words for place in line] == ["yes, 2 seeds", "yes"]


def test_recipes_of_one_name_and_other_content_have_a_line_each():
    runs = [
        trained(made_run("learned", 0.5, bank, seed=seed), 0)
        for seed, bank in enumerate(("one", "two", "three", "four", "five"))
    ]
    for number, recipe in enumerate((None, "a", "b", "a", None)):
        declared = runs[number].declared.changed(training_recipe_sha256=recipe)
        runs[number] = replace(runs[number], declared=declared)
    lines = [[place.row.bank for place in line] for line in board(runs).methods["learned"]]
    assert lines == [["one", "two", "four", "five"], ["three"]]


def test_the_reference_is_on_the_backbone_that_most_have():
    where = (("protonet", "another"), ("protonet", "usual"), ("otam", "usual"))
    runs = [
        made_run(name, 0.2 + 0.2 * seed, seed=seed, features={"backbone": backbone})
        for seed, (name, backbone) in enumerate(where)
    ]
    (one,) = board(runs).comparisons
    reference = one.of(one.reference)
    assert reference.backbone == "usual"


def test_runs_of_other_episodes_or_dtypes_have_a_bank_of_their_own():
    others = [{"dtype": "float16"}, {"dtype": "bfloat16"}, {"bank_sha256": "other"}]
    runs = [made_run("otam", 0.6), *(made_run("otam", 0.6, **one) for one in others)]
    assert len({one.bank for one in board(runs).comparisons}) == len(runs)


def test_a_reference_that_no_run_is_of_is_refused():
    with pytest.raises(UserError, match="'protonett' is not a method of these runs; there are: "):
        board(some_runs(), "protonett")


def test_titles_that_look_alike_have_pages_of_their_own(tmp_path: Path):
    names = ("x[shift=1]", "x[shift=-1]")
    runs = [made_run(name, 0.5, bank, seed=n) for n, name in enumerate(names) for bank in ALIKE]
    write_site(tmp_path, board(runs), "Ours")
    assert len(list((tmp_path / "banks").iterdir())) == len(ALIKE)
    assert len(list((tmp_path / "methods").iterdir())) == len(names)


def test_a_bank_named_like_a_column_hides_none(tmp_path: Path):
    banks = ("method", "needs", "accuracy %")
    write_site(tmp_path, board([made_run("otam", 0.5, bank) for bank in banks]), "Ours")
    header = (tmp_path / "index.html").read_text().partition("<thead>")[2].partition("</thead>")[0]
    assert len(re.findall(r"<th\b", header)) == 4 + len(banks)
    assert header.count("method") == 2


def test_a_site_that_was_interrupted_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(path: Path, text: str) -> None:
        if path.name == "index.html":
            write_text(path, text)
            raise KeyboardInterrupt
        write_text(path, text)

    monkeypatch.setattr("bench.site.pages.write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_site(tmp_path, board(some_runs()), "Ours")
    monkeypatch.undo()
    assert write_site(tmp_path, board(some_runs()), "Ours") > 1


def test_a_site_is_replaced_and_nothing_else_is(tmp_path: Path):
    write_site(tmp_path / "site", board(some_runs()), "Ours")
    write_site(tmp_path / "site", board(some_runs()[:1]), "Ours")
    assert not (tmp_path / "site" / "methods" / "theirs.html").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not a site of ours"):
        write_site(tmp_path / "mine", board(some_runs()), "Ours")


def test_submissions_are_checked_and_published(tmp_path: Path):
    write_run(tmp_path / "run", a_run())
    assert call("submit", tmp_path / "run", "--out", tmp_path / "run.zip")[0] == 0
    succeeds("publish", tmp_path / "run.zip", "--out", tmp_path / "site")
    method = (tmp_path / "site" / "methods" / "otam.html").read_text()
    assert run_id(read_run(tmp_path / "run")) in method
    (tmp_path / "run.zip").write_bytes(b"no archive")
    assert call("publish", tmp_path / "run.zip", "--out", tmp_path / "site")[0] == 2
