"""Tables of the report: cells that can be sorted, and the same table in other formats to copy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bench.comparison.tables import table

NUMBER = re.compile(r"[<>]?([+−-]?[\d,]*\.?\d+)(?=$|[ %])")


@dataclass(frozen=True)
class Cell:
    """A cell of a table with more than its text."""

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
        match = NUMBER.match(self.text)
        return None if match is None else float(match[1].replace(",", "").replace("−", "-"))


@dataclass(frozen=True)
class Grid:
    """A table with its notes."""

    name: str
    """Unique on the page."""
    caption: str
    titles: Sequence[str]
    """Of the columns, in one line or several; some may be alike, such as "method" and a class."""
    lines: Sequence[Sequence[str | Cell]]
    """Cells, one for each title."""
    notes: Sequence[str] = ()
    """What the figures mean, a sentence or two each."""
    look: str = ""
    """How weights are drawn: "bars", "heat" or not at all."""
    highlighted: frozenset[int] = frozenset()
    """Indices of the lines that are highlighted."""
    csv_copy: str | None = None
    """The table with unrounded figures; None for the text of the cells."""

    @cached_property
    def header(self) -> list[str]:
        """Titles in one line each."""
        return [title.replace("-\n", "-").replace("\n", " ").strip() for title in self.titles]

    @cached_property
    def rows(self) -> list[list[Cell]]:
        """The lines, with a cell for each text."""
        return [
            [cell if isinstance(cell, Cell) else Cell(cell) for cell in line] for line in self.lines
        ]

    @cached_property
    def numeric(self) -> list[bool]:
        """Whether most of the cells of each column that are not empty hold numbers."""
        numeric = []
        for index, column in enumerate(zip(*self.rows, strict=True)):
            filled = [cell for cell in column if cell.text]
            numbers = sum(cell.number is not None for cell in filled)
            numeric.append(index > 0 and 2 * numbers > len(filled))
        return numeric

    @cached_property
    def copies(self) -> dict[str, str]:
        """Format -> the table in it."""
        texts, notes = [[cell.text for cell in row] for row in self.rows], "\n".join(self.notes)
        as_csv = self.csv_copy or pd.DataFrame(texts).to_csv(
            index=False, header=self.header, lineterminator="\n"
        )
        return {
            "Markdown": table(self.titles, texts, notes, "markdown"),
            "LaTeX": table(self.titles, texts, notes, "latex"),
            "CSV": as_csv,
        }
