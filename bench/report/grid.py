"""Tables of the report: cells that can be sorted, and the same table in other formats to copy."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.comparison.tables import table

NUMBER = re.compile(r"[<>]?([+−-]?[\d,]*\.?\d+)(?=$|[ %])")


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    weight: float | None = None
    """0 to 1: the length of a bar, or the strength of a colour, behind the text."""
    link: str = ""
    """Address that the text links to."""
    is_source: bool = False
    """Whether publications and code that the text names become links."""

    @property
    def number(self) -> float | None:
        """The number that the text begins with, by which a column is sorted.

        >>> Cell("72.8 ± 0.4").number, Cell("−2.1 ± 0.4").number, Cell("14,270").number
        (72.8, -2.1, 14270.0)
        >>> Cell("reference").number
        >>> Cell("39a0aaf58442").number
        """
        found = NUMBER.match(self.text)
        return None if found is None else float(found[1].replace(",", "").replace("−", "-"))


@dataclass(frozen=True)
class Grid:
    """A table: titles, lines of cells, notes, and the same in other formats."""

    name: str
    """Unique on the page."""
    caption: str
    titles: Sequence[str]
    lines: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    """Format (Markdown, LaTeX, CSV) -> the table in it."""
    look: str = ""
    """How weights are drawn: "bars", "heat" or not at all."""
    highlighted: frozenset[int] = frozenset()
    """Numbers of the lines that are highlighted."""

    def is_numeric(self, column: int) -> bool:
        """Whether most of the cells of a column that are not empty hold numbers."""
        cells = [line[column] for line in self.lines if line[column].text]
        return column > 0 and 2 * sum(cell.number is not None for cell in cells) > len(cells)


def grid_of(
    name: str,
    caption: str,
    titles: Sequence[str],
    lines: Sequence[Sequence[Cell]],
    notes: Sequence[str] = (),
    look: str = "",
    csv_copy: str | None = None,
) -> Grid:
    """Make a table of titles and lines of cells, with copies of it in other formats.

    Args:
        name: unique on the page.
        caption: what it shows, in one line.
        titles: of the columns, some of which may be alike, such as "method" and a class.
        lines: cells, one for each title.
        notes: what its figures mean, a sentence or two each.
        look: how weights are drawn.
        csv_copy: the table with unrounded figures; that of the cells if None.
    """
    plain = [[cell.text for cell in line] for line in lines]
    note = "\n".join(notes)
    header = [title.replace("\n", " ").strip() for title in titles]
    copies = {
        "Markdown": table(titles, plain, note, "markdown"),
        "LaTeX": table(titles, plain, note, "latex"),
        "CSV": csv_copy
        or pd.DataFrame(plain).to_csv(index=False, header=header, lineterminator="\n"),
    }
    shown = [title.replace("-\n", "-").replace("\n", " ").strip() for title in titles]
    return Grid(name, caption, shown, lines, notes, copies, look)
