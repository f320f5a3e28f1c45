"""Figures of the report: charts that follow its theme and width, and pictures of cases."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from bench.report.charts.style import NARROW, WIDE, inline_svg

SHARPNESS = 110
"""Pixels an inch, of pictures."""


@dataclass(frozen=True)
class Figure:
    """A chart in two widths, or a picture, with what it shows in words."""

    caption: str
    wide: Markup
    """HTML: made here, and safe."""
    narrow: Markup | None = None


def chart(
    name: str,
    caption: str,
    draw: Callable[[float], Drawing],
    width: float = WIDE,
) -> Figure:
    """Draw a chart for a page and for a telephone.

    Args:
        name: unique on the page.
        caption: what it shows.
        draw: gives the chart for a width in inches.
        width: inches on a page.
    """
    wide, narrow = (
        Markup(inline_svg(draw(inches), f"{name}-{size}", caption))  # noqa: S704 - escaped
        for size, inches in (("wide", width), ("narrow", NARROW))
    )
    return Figure(caption, wide, narrow)


def picture(caption: str, drawing: Drawing) -> Figure:
    """Embed a drawing that holds photographs: SVG would only wrap them."""
    with io.BytesIO() as file:
        drawing.savefig(file, format="webp", dpi=SHARPNESS, pil_kwargs={"quality": 82})
        content = base64.b64encode(file.getvalue()).decode()
    width, height = (round(inches * SHARPNESS) for inches in drawing.get_size_inches())
    source = f"data:image/webp;base64,{content}"
    image = Markup('<img src="{}" alt="{}" width="{}" height="{}">')
    return Figure(caption, image.format(source, caption, width, height))
