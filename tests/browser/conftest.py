"""One browser for all pages."""

import importlib.util
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None,
        reason="needs the package playwright: pip install fewshot-video-bench[browser]",
    ),
    pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt-get install chromium"),
]
THEMES = pytest.mark.parametrize(
    "scheme",
    [pytest.param(one, marks=pytest.mark.window(color_scheme=one)) for one in ("light", "dark")],
)
CONTRAST = """
(selector) => {
  const element = document.querySelector(selector);
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ink = light(getComputedStyle(element).color);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}
"""


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def said() -> list[str]:
    """What the page complained of, or asked for."""
    return []


@pytest.fixture
def page(
    browser: Any, address: str, said: list[str], request: pytest.FixtureRequest
) -> Iterator[Any]:
    """What a module's ``address`` shows, in a window as the test's marks ask for."""
    wanted = request.node.get_closest_marker("window")
    options = {"viewport": {"width": 1280, "height": 900}} | (wanted.kwargs if wanted else {})
    context = browser.new_context(**options)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    known = (address, "data:")
    page.on("request", lambda one: None if one.url.startswith(known) else said.append(one.url))
    page.goto(address)
    yield page
    context.close()
