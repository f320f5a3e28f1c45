"""Charts as files, and as parts of a page that has themes."""

import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.report.charts.style import ACCENT, INK, LINE, MUTED, SECOND
from episodes.atomic import replacing
from episodes.errors import UserError

SUFFIXES = (".png", ".svg", ".pdf")
THEMED = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    ACCENT: "accent",
    SECOND: "second",
}
"""Colours that follow the theme of the page -> the name of their CSS variable."""
SALT = "fvbench"
"""Makes ids of an SVG file the same every time."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix, the same bytes every time.

    Raises:
        UserError: a suffix other than .png, .svg and .pdf.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"--out {path}: a figure ends in {', '.join(SUFFIXES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    _take_literally(figure)
    with mpl.rc_context({"svg.hashsalt": SALT}), replacing(path) as unfinished:
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
        figure.savefig(unfinished, dpi=150, metadata=metadata)


def _take_literally(figure: Figure) -> None:
    """Show dollars in names as dollars: to matplotlib two of them enclose a formula."""
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)


def inline_svg(figure: Figure, name: str, title: str, tips: Sequence[str] = ()) -> str:
    """Return a figure as an <svg> element that takes colours and font from its page.

    Args:
        figure: drawn in the colours of `bench.report.charts.style`.
        name: unique on the page; it is put before every id.
        title: what it shows, for those who do not see it.
        tips: what to say at the mark with the id ``tip-N``; in text, not in HTML.
    """
    with (
        io.StringIO() as file,
        mpl.rc_context({"svg.hashsalt": SALT, "svg.fonttype": "none"}),
    ):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    for size in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", svg, count=1)
    head = f'<svg class="chart" role="img" aria-label="{escape(title, quote=True)}"'
    svg = svg.replace("<svg", head, 1)
    for number, tip in enumerate(tips):
        svg = svg.replace(
            f'<g id="tip-{number}">', f'<g id="tip-{number}"><title>{escape(tip)}</title>'
        )
    return _themed(_with_own_ids(svg, name))


def _with_own_ids(svg: str, name: str) -> str:
    """Put a name before every id and every reference to one."""
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)


def _themed(svg: str) -> str:
    """Let the page decide on colours and font."""
    for colour, variable in THEMED.items():
        svg = re.sub(rf"{colour}\b", f"var(--{variable})", svg, flags=re.IGNORECASE)
    return re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", svg)
