"""The leaderboard in a real browser, opened as a file: filters, sorting, links, and silence."""

from pathlib import Path
from typing import Any

import pytest

from bench.site.board import board
from bench.site.pages import write_site
from tests.browser.conftest import CONTRAST, THEMES, pytestmark  # noqa: F401
from tests.test_publish import NASTY, some_runs


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, board(some_runs()), "Ours")
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> str:
    return (site / "index.html").as_uri()


def shown(page: Any) -> list[str]:
    rows = page.locator("#board tbody tr:visible th")
    return [text.replace(" →", "").strip() for text in rows.all_text_contents()]


def test_every_page_opens_from_a_folder_without_a_complaint(page: Any, site: Path, said: list[str]):
    for file in sorted(site.rglob("*.html")):
        page.goto(file.as_uri())
        assert page.locator("h1").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280, file
    assert [one for one in said if not one.startswith("file:")] == []


def test_filters_leave_the_rows_that_fit(page: Any):
    assert set(shown(page)) == {"protonet", "otam", "learned", "theirs"}
    page.get_by_label("needs").select_option("maps")
    assert shown(page) == ["theirs"]
    assert page.locator("#shown").text_content() == "1 of 4 rows"
    page.get_by_label("needs").select_option("all")
    page.get_by_label("training").select_option("yes")
    assert shown(page) == ["learned"]


def test_real_videos_alone_show_their_banks_and_who_ran_on_them(page: Any):
    page.get_by_label("videos").select_option("real")
    assert set(shown(page)) == {"otam", "theirs"}
    titles = page.locator("#board thead th:visible").all_text_contents()
    assert any("real" in title for title in titles)
    assert not any("small" in title for title in titles)


def test_rows_are_sorted_by_a_bank(page: Any):
    header = page.locator("#board thead th", has_text="small")
    header.locator("button").click()
    assert shown(page)[0] == "otam"
    header.locator("button").click()
    assert shown(page)[0] != "otam"


def test_from_a_method_to_its_run_and_back(page: Any):
    page.locator("#board tbody a", has_text="theirs").click()
    assert page.locator("h1").text_content() == "theirs"
    assert NASTY in (page.locator(".lead").text_content() or "")
    page.locator("#runs-of tbody th a").click()
    assert "theirs on real" in page.locator("h1").text_content()
    page.locator(".kicker a").click()
    assert page.locator("#board").is_visible()


@THEMES
def test_everything_can_be_read_in_both_themes(page: Any, scheme: str):
    for selector in ("h1", ".lead", ".notes", "tbody th a", "label", "select", "thead th"):
        assert page.evaluate(CONTRAST, selector) > 4.5, (selector, scheme)


@pytest.mark.window(viewport={"width": 390, "height": 844})
def test_a_telephone_shows_it_without_scrolling_sideways(page: Any, site: Path):
    for name in ("index.html", "methods/otam.html", "banks/small.html"):
        page.goto((site / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
