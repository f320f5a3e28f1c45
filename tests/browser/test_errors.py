"""The browser of errors: any two methods, and the queries on which one of them is right."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.runs.directory import read_run
from tests.browser.conftest import pytestmark  # noqa: F401
from tests.command import call
from tests.conftest import draw_no_charts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    few = ("--methods", "protonet,otam,chance", "--episodes", "4")
    assert call("run", *few, "--out", out)[0] == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.comparison.classes.LEAST", 1)  # so few episodes have no pairs else
        draw_no_charts(patch)
        assert call("report", out, "--out", out / "report.html")[0] == 0
    return out


@pytest.fixture(scope="module")
def address(folder: Path) -> str:
    return (folder / "report.html").as_uri()


@pytest.fixture
def page(page: Any, said: list[str]) -> Iterator[Any]:
    page.locator("#bank-1-who").scroll_into_view_if_needed()
    page.wait_for_selector(".errors:visible")
    yield page
    assert said == []


def right(folder: Path, method: str) -> np.ndarray:
    rows = read_run(folder / method).rows
    return (rows["prediction"] == rows["label"]).to_numpy()


def choose(page: Any, first: str, second: str, who: str) -> None:
    page.get_by_label("first method").select_option(first)
    page.get_by_label("second method").select_option(second)
    page.get_by_label("who is right").select_option(who)


def test_any_two_methods_are_held_beside_each_other(page: Any, folder: Path):
    otam, chance = right(folder, "otam"), right(folder, "chance")
    expected = {
        "the first alone": otam & ~chance,
        "the second alone": ~otam & chance,
        "neither": ~otam & ~chance,
        "both": otam & chance,
    }
    for who, which in expected.items():
        choose(page, "otam", "chance", who)
        told = page.locator(".errors output").text_content()
        assert told == f"{which.sum()} of {len(which)} queries", who
    choose(page, "chance", "otam", "the first alone")
    told = page.locator(".errors output").text_content()
    assert told == f"{(chance & ~otam).sum()} of 20 queries"


def test_the_surest_stand_first(page: Any, folder: Path):
    choose(page, "otam", "chance", "the first alone")
    rows = read_run(folder / "otam").rows
    surest = rows[right(folder, "otam") & ~right(folder, "chance")].nlargest(1, "margin")
    first = page.locator(".errors li p").first.text_content()
    assert f"Episode {surest['episode'].item()}, query {surest['query'].item()}:" in first


def test_frames_of_the_query_and_of_every_support_video_are_seen(page: Any):
    choose(page, "otam", "chance", "the first alone")
    clips = page.locator(".errors li").first.locator(".clip")
    assert clips.count() == 6  # the query, and five classes of one shot
    seen = "(images) => images.every((one) => one.complete && one.naturalWidth > 100)"
    assert page.locator(".errors li").first.locator("img").evaluate_all(seen)
    assert clips.locator("span", has_text="← otam").count() == 1
    right = page.locator(".errors li").first.locator(".clip.right span")
    assert right.text_content().endswith("← otam")


def test_figures_by_class_have_colours_and_bars(page: Any):
    colours = "(cells) => cells.map((one) => getComputedStyle(one).backgroundColor)"
    assert len(set(page.locator(".heat td").evaluate_all(colours))) > 3
    bars = "(cells) => cells.map((one) => getComputedStyle(one).backgroundImage)"
    assert any("gradient" in one for one in page.locator(".bars td").evaluate_all(bars))


def test_a_small_laptop_shows_verdicts_without_scrolling_sideways(page: Any):
    page.set_viewport_size({"width": 1000, "height": 900})
    verdict = page.locator("#bank-1-ranking thead th", has_text="verdict").bounding_box()
    frame = page.locator("#bank-1-ranking .scroll").bounding_box()
    assert verdict["x"] + verdict["width"] <= frame["x"] + frame["width"]
