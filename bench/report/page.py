"""The page: everything put into one HTML file that needs nothing else."""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import bench
from bench.comparison.summary import Comparison
from bench.machine.progress import Reporter
from bench.report.places import without_places
from bench.report.provenance import provenance
from bench.report.sections import BankSection, bank_section
from episodes.atomic import write_text
from episodes.errors import shown

TEMPLATES = PackageLoader("bench.report")
STYLE, POLICY = "@style sheet@", "@policy@"
"""Where in the page they go, once it is known what it holds."""


def write_report(
    path: Path, comparisons: Sequence[Comparison], reporter: Reporter | None = None
) -> None:
    """Write the report of comparisons to a file; arguments as for `render`."""
    write_text(path, render(comparisons, reporter))


def render(comparisons: Sequence[Comparison], reporter: Reporter | None = None) -> str:
    """Return the report as HTML, the same for the same runs.

    Args:
        comparisons: one for each bank, at least one.
        reporter: told of videos that are made or embedded for the pictures of cases, which take
            seconds; None leaves the pictures out.
    """
    environment = Environment(
        loader=TEMPLATES,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_places,
    )
    banks: list[BankSection] = [
        bank_section(one, number, reporter) for number, one in enumerate(comparisons, start=1)
    ]
    script = _own("script.js")
    page = environment.get_template("report.html").render(
        title=_title(comparisons),
        lead=_lead(comparisons),
        banks=banks,
        provenance=provenance(comparisons),
        version=bench.__version__,
        style=Markup(STYLE),  # noqa: S704 - a mark, which is replaced below
        policy=POLICY,
        script=script,
    )
    page, looks = _named_looks(page)
    style = f"{_own('style.css')}\n{looks}"
    policy = (
        f"default-src 'none'; style-src '{_sha256(style)}'; script-src '{_sha256(script)}';"
        " img-src data:"
    )
    return page.replace(POLICY, policy).replace(STYLE, style)


def _without_places(value: object) -> object:
    """Take folders of the machine out of whatever text goes into the page, and control codes."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return shown(without_places(value))


def _named_looks(page: str) -> tuple[str, str]:
    """Move what is written in ``style`` attributes into a style sheet: the page forbids those.

    Returns:
        the page, whose elements name their look; the rules, strong enough to take the attributes'
        place.
    """
    looks: dict[str, int] = {}

    def name(found: re.Match[str]) -> str:
        return f' data-look="n{looks.setdefault(unescape(found[1]), len(looks))}"'

    page = re.sub(r' style="([^"]*)"', name, page)
    rules = (f"{3 * f'[data-look=n{number}]'}{{{look}}}" for look, number in looks.items())
    return page, "\n".join(rules)


def _sha256(content: str) -> str:
    """A hash as a page's policy names what it allows."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _title(comparisons: Sequence[Comparison]) -> str:
    methods = len({row.method for one in comparisons for row in one.rows})
    names = _listed([one.bank for one in comparisons])
    return (
        f"{methods} method{'s' if methods > 1 else ''} on the"
        f" bank{'s' if len(comparisons) > 1 else ''} {names}"
    )


def _lead(comparisons: Sequence[Comparison]) -> str:
    """What was done, in a sentence."""
    counts = "; ".join(f"{one.bank}: {one.rows[0].episodes:,}" for one in comparisons)
    return (
        "Few-shot video classification, every method on the same fixed, seeded episodes"
        f" ({counts}). Every interval says what varies in it."
    )


def _listed(words: Sequence[str]) -> str:
    """Words with commas and an "and".

    >>> _listed(["one", "two", "three"])
    'one, two and three'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _own(name: str) -> Markup:
    """A file of this package, put into the page as it is."""
    return Markup((Path(__file__).parent / "templates" / name).read_text(encoding="utf-8"))  # noqa: S704
