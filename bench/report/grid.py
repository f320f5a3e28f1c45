"""Tables of the report: cells that can be sorted, and the same table in other forms to copy."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.comparison.tables import table

NUMBER = re.compile(r"[<>]?([+−-]?[\d,]*\.?\d+)(?=$|[ %])")


@dataclass(frozen=True)
class Cell:
    """What a table shows in one place."""

    text: str
    weight: float | None = None
    """0 to 1: how far a bar reaches, or how strong a colour is, behind the text."""
    link: str = ""
    """What the text links to."""
    is_source: bool = False
    """Whether the text names publications and code, which become links."""

    @property
    def number(self) -> float | None:
        """The number that the text begins with: what a column is sorted by.

        >>> Cell("72.8 ± 0.4").number, Cell("−2.1 ± 0.4").number, Cell("14,270").number
        (72.8, -2.1, 14270.0)
        >>> Cell("reference").number
        >>> Cell("39a0aaf58442").number
        """
        found = NUMBER.match(self.text)
        return None if found is None else float(found[1].replace(",", "").replace("−", "-"))


@dataclass(frozen=True)
class Grid:
    """A table: titles, lines of cells, what its figures are, and its other forms."""

    name: str
    """Unique on the page."""
    caption: str
    titles: Sequence[str]
    lines: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    """Form (Markdown, LaTeX, CSV) -> the table in it."""
    look: str = ""
    """How weights are drawn: "bars", "heat" or not at all."""
    set_off: frozenset[int] = frozenset()
    """Lines that stand out from the others, by number."""

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers, by most of the cells that hold anything."""
        cells = [line[column] for line in self.lines if line[column].text]
        return column > 0 and 2 * sum(cell.number is not None for cell in cells) > len(cells)


def grid_of(
    name: str,
    caption: str,
    lines: Sequence[Mapping[str, Cell]],
    notes: Sequence[str] = (),
    look: str = "",
    csv_copy: str | None = None,
) -> Grid:
    """Make a table of lines, title -> cell, each with the same titles.

    Args:
        name: unique on the page.
        caption: what it shows, in one line.
        lines: at least one.
        notes: what its figures are, a sentence or two each.
        look: how weights are drawn.
        csv_copy: the table with unrounded figures; made of the cells if None.
    """
    plain = [{title: cell.text for title, cell in line.items()} for line in lines]
    said = "\n".join(notes)
    copies = {
        "Markdown": table(plain, said, "markdown"),
        "LaTeX": table(plain, said, "latex"),
        "CSV": csv_copy or _csv(plain),
    }
    titles = [title.replace("-\n", "-").replace("\n", " ").strip() for title in lines[0]]
    return Grid(name, caption, titles, [list(line.values()) for line in lines], notes, copies, look)


def _csv(lines: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([title.replace("\n", " ").strip() for title in lines[0]])
    writer.writerows(list(line.values()) for line in lines)
    return text.getvalue()
