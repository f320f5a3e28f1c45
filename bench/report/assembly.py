"""Assembling a page: one HTML file that needs no other, and whose policy forbids any other.

Values in a template are escaped, without control characters and folders of the machine.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from html import unescape

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

import bench
from bench.report.charts.style import NARROW, WIDE, inline_svg, rendered
from bench.report.provenance import without_places
from bench.report.sources import linked
from episodes.errors import shown

POLICY = "@policy@"
"""Placeholder in the page, replaced when its style and script are known."""
SHARPNESS = 110
"""Pixels per inch in pictures."""


@dataclass(frozen=True)
class Figure:
    """A chart in two widths, or a picture, with its caption."""

    caption: str
    wide: Markup
    """Safe HTML."""
    narrow: Markup | None = None


def chart(name: str, caption: str, draw: Callable[[float], Drawing], width: float = WIDE) -> Figure:
    """Draw a chart for a page, ``width`` inches wide, and for a phone; no other has its name."""
    wide, narrow = (
        Markup(inline_svg(draw(inches), f"{name}-{size}", caption))  # noqa: S704 - escaped
        for size, inches in (("wide", width), ("narrow", NARROW))
    )
    return Figure(caption, wide, narrow)


def picture(caption: str, drawing: Drawing) -> Figure:
    """Embed a drawing that holds photographs as a bitmap."""
    content = rendered(drawing, format="webp", dpi=SHARPNESS, pil_kwargs={"quality": 82})
    width, height = (round(inches * SHARPNESS) for inches in drawing.get_size_inches())
    source = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
    image = Markup('<img src="{}" alt="{}" width="{}" height="{}">')
    return Figure(caption, image.format(source, caption, width, height))


def assembled(template: str, content: Mapping[str, object], package: str = "bench.report") -> str:
    """Return a page as HTML, the same for the same content.

    Args:
        template: its name in the templates of ``package``, or of the report.
        content: values for the template; version and policy are added.
        package: the package that holds the template.
    """
    content = {**content, "version": bench.__version__, "policy": POLICY}
    page = _environment(package).get_template(template).render(content)
    page, rules = _without_style_attributes(page)
    page = page.replace("</style>", f"{rules}\n</style>", 1)
    # Ours are the first style sheet and the last script: whatever got in between stays forbidden.
    style = page.partition("<style>")[2].partition("</style>")[0]
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    policy = (
        f"default-src 'none'; style-src '{_sha256(style)}'; script-src '{_sha256(script)}';"
        " img-src data:"
    )
    return page.replace(POLICY, policy, 1)


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("bench.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_cleaned,
    )
    environment.filters["linked"] = lambda text: linked(str(_cleaned(text)))
    return environment


def _cleaned(value: object) -> object:
    """Strip folders of the machine and control characters from text."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return shown(without_places(value))


def _without_style_attributes(page: str) -> tuple[str, str]:
    """Move ``style`` attributes, which the page's policy forbids, into a style sheet.

    Returns:
        the page, whose elements name their rules, and the rules, as specific as the attributes.
    """
    looks: dict[str, int] = {}

    def name(match: re.Match[str]) -> str:
        return f' data-look="n{looks.setdefault(unescape(match[1]), len(looks))}"'

    page = re.sub(r' style="([^"]*)"', name, page)
    rules = (f"{3 * f'[data-look=n{number}]'}{{{look}}}" for look, number in looks.items())
    return page, "\n".join(rules)


def _sha256(content: str) -> str:
    """A hash in the form of a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
