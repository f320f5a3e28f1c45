"""The report in a real browser: themes, widths, keys, sorting, copying, and silence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.comparison.summary import compare
from bench.report.page import write_report
from bench.runs.schema import Circumstances
from tests.browser.conftest import CONTRAST, THEMES, pytestmark  # noqa: F401
from tests.test_tables import RUNS, made_run

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    around = Circumstances(device="CPU", command=f"fvbench run --methods {'mastaf,' * 50}otam")
    runs = [*RUNS, replace(made_run(NASTY, 0.7, seed=5), circumstances=around)]
    write_report(path, compare(runs))
    return path.as_uri()


def first_column(page: Any) -> list[str]:
    return list(page.locator("#bank-1-ranking tbody th").all_text_contents())


def test_it_asks_for_nothing_and_complains_of_nothing(page: Any, said: list[str]):
    page.wait_for_timeout(200)
    assert said == []
    assert NASTY in first_column(page)


@THEMES
def test_everything_can_be_read_in_both_themes(page: Any, scheme: str):
    for selector in ("h1", ".lead", ".notes", "tbody td", "figcaption", "nav a", "thead th"):
        assert page.evaluate(CONTRAST, selector) > 4.5, selector
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    assert dark == (scheme == "dark")


@pytest.mark.window(viewport={"width": 390, "height": 844})
def test_a_telephone_shows_it_without_scrolling_sideways(page: Any):
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".narrow svg").first.is_visible()
    assert not page.locator(".wide svg").first.is_visible()
    # Commands are shown whole.
    width = page.evaluate(
        "(() => { const one = document.querySelector('.commands pre');"
        " return [one.scrollWidth, one.clientWidth]; })()"
    )
    assert width[0] <= width[1]


@pytest.mark.window(reduced_motion="reduce")
def test_every_part_of_a_bank_is_one_click_away(page: Any):
    for link in page.locator(".parts a").all():
        link.click()
        target = page.locator(link.get_attribute("href"))
        assert 0 <= target.bounding_box()["y"] < 900


def test_a_wide_window_shows_wide_charts_and_sorts_columns_by_their_numbers(page: Any):
    assert page.locator(".wide svg").first.is_visible()
    assert not page.locator(".narrow svg").first.is_visible()
    header = page.locator("#bank-1-ranking thead th", has_text="accuracy")
    best_first = first_column(page)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert first_column(page) == best_first
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert first_column(page) == best_first[::-1]


def test_keys_alone_reach_and_sort_the_table(page: Any):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#bank-1-ranking .sort").first.focus()
    page.keyboard.press("Enter")
    assert first_column(page) == sorted(first_column(page))


@pytest.mark.window(permissions=["clipboard-read", "clipboard-write"])
def test_a_table_is_copied_as_markdown(page: Any):
    page.get_by_role("button", name="Markdown").first.click()
    page.wait_for_selector("#said.shown")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("| method")
    assert "| otam" in copied


def test_the_theme_can_be_chosen(page: Any):
    background = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for _ in range(3):
        page.locator("#theme").click()
        seen.append(page.evaluate(background))
    assert seen == ["rgb(255, 255, 255)", "rgb(18, 22, 28)", "rgb(255, 255, 255)"]


def test_paper_is_white_and_has_no_buttons(page: Any, tmp_path: Path):
    page.emulate_media(media="print", color_scheme="dark")
    for chosen in ("", "dark"):
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", chosen)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert not page.locator("#theme").is_visible()
    assert page.locator("details:not([open])").count() > 0
    assert not any(one.is_visible() for one in page.locator("details:not([open])").all())
    assert page.pdf(path=str(tmp_path / "report.pdf")).startswith(b"%PDF")
