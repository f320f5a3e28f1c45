"""The look of all charts, as files and as parts of a page with themes."""

import io
import re
import sys
import warnings
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from episodes.atomic import replacing
from episodes.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, LINE = "#1b2430", "#5b6470", "#d5dae0"
ACCENT, SECOND = "#0068a9", "#c2510a"
"""Distinguishable without colour vision, and in print."""
WIDE, HALF, NARROW = 7.2, 5.2, 3.7
"""Widths in inches: of a page, of one of two charts side by side, and of a phone."""
TEXT = 8.5
"""Points."""
ROW = 0.205
"""Height in inches of a line of text with its mark."""


def sheet(width: float, height: float) -> "tuple[Figure, Axes]":
    """Return a figure of a size in inches with one set of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def tidy(axes: "Axes", grid: str = "x") -> None:
    """Remove what carries no information, and draw the grid faintly."""
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelsize=TEXT, colors=MUTED, labelcolor=MUTED)
    axes.grid(axis=grid, color=LINE, linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=MUTED, fontsize=TEXT)


def name_lines(axes: "Axes", names: list[str]) -> None:
    """Write a name before each line of a chart, the first one on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    for label in axes.get_yticklabels():
        label.set_color(INK)


def add_legend(figure: Figure, *entries: list[Any], columns: int = 2) -> None:
    """Put a legend above a chart: of labelled marks, or of given handles and their labels."""
    look: dict[str, Any] = {"frameon": False, "fontsize": TEXT, "labelcolor": MUTED}
    figure.legend(*entries, loc="outside upper left", ncols=columns, **look)


def shortened(name: str, width: float) -> str:
    """Cut a long name to leave room for the chart.

    >>> shortened("a-name-of-more-than-twenty-letters", NARROW)
    'a-name-of-more-tha…'
    """
    room = 19 if width <= NARROW else 34
    return name if len(name) <= room else name[: room - 1] + "…"


SUFFIXES = (".png", ".svg", ".pdf")
THEMED = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", SECOND: "second"}
"""Colours that follow the theme of the page -> the name of their CSS variable."""
SALT = "fvbench"
"""Makes the ids in SVG files reproducible."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix, reproducible byte for byte.

    Raises:
        UserError: a suffix other than .png, .svg and .pdf.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"--out {path}: a figure ends in {', '.join(SUFFIXES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
    content = rendered(figure, format=path.suffix[1:], dpi=150, metadata=metadata)
    if path.suffix == ".svg":
        content = _with_tips(content.decode()).encode()
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def rendered(figure: Figure, **options: Any) -> bytes:
    """Return the content of a file that shows a figure.

    Letters that the font of the charts lacks, such as Chinese ones, are taken from other fonts.

    Args:
        figure: the figure.
        options: of `matplotlib.figure.Figure.savefig`, its format among them.
    """
    texts = cast("list[Text]", figure.findobj(Text))
    others = _fonts_with(frozenset("".join(text.get_text() for text in texts)))
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), *others])
    return _rendered(figure, **options)


def _rendered(figure: Figure, **options: Any) -> bytes:
    """The same in the font of the charts alone. Dollar signs in names enclose no formula."""
    for text in cast("list[Text]", figure.findobj(Text)):
        text.set_parse_math(False)
    with io.BytesIO() as file, mpl.rc_context({"svg.hashsalt": SALT}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # `_fonts_with` says it
        figure.savefig(file, **options)
        return file.getvalue()


@cache
def _fonts_with(letters: frozenset[str]) -> tuple[str, ...]:
    """Names of installed fonts with the letters that the font of the charts lacks."""
    own = get_font(findfont(FontProperties())).get_charmap()
    lacking = {ord(letter) for letter in letters if not letter.isspace()} - own.keys()
    names = []
    for font in fontManager.ttflist if lacking else ():
        if not Path(font.fname).is_file():
            continue  # matplotlib remembers fonts that have been removed
        found = lacking & get_font(font.fname).get_charmap().keys()
        if found and not font.name.startswith("Last Resort"):  # which has boxes for all letters
            names.append(font.name)
            lacking -= found
    if lacking:
        print(  # noqa: T201
            f"note: no installed font has {''.join(map(chr, sorted(lacking)))}: charts show boxes"
            " in place of these letters; install one that has them, such as Noto Sans CJK",
            file=sys.stderr,
        )
    return tuple(names)


def tip(text: str) -> str:
    """Return the ``gid`` of a mark that shows a text on hover in SVG."""
    return f"tip {text}"


def _with_tips(svg: str) -> str:
    """Turn ids made by `tip` into titles, which browsers show."""
    return re.sub(r"""<g id=(["'])tip (.*?)\1>""", r"<g><title>\2</title>", svg)


def inline_svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an <svg> element that takes colours and font from its page.

    Args:
        figure: drawn in the colours above.
        name: unique on the page; put before every id.
        title: what the figure shows, for screen readers.
    """
    with mpl.rc_context({"svg.fonttype": "none"}):
        content = _rendered(figure, format="svg", transparent=True, metadata={"Date": None})
    svg = content.decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)
    for size in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", svg, count=1)
    head = f'<svg class="chart" role="img" aria-label="{escape(title, quote=True)}"'
    svg = svg.replace("<svg", head, 1)
    svg = re.sub(r'\bid="', f'id="{name}-', _with_tips(svg))
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    for colour, variable in THEMED.items():
        svg = re.sub(rf"{colour}\b", f"var(--{variable})", svg, flags=re.IGNORECASE)
    return re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", svg)
