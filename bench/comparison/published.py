"""Published figures: ``results/published.csv``, one line for each."""

import csv

from pydantic import ConfigDict, Field

from bench.runs.directory import RESULTS_FOLDER
from episodes.datasets import datasets
from episodes.datasets.published import Published
from episodes.errors import UserError
from episodes.schema import Model, parsed

FILE = RESULTS_FOLDER / "published.csv"


class PublishedFigure(Model):
    """A line of ``published.csv``."""

    model_config = ConfigDict(strict=False)  # cells are text

    method: str = Field(min_length=1)
    """As the source calls it."""
    venue: str
    """Where it was published; empty if nowhere."""
    year: str
    """Year of publication."""
    backbone: str
    """Network of the features."""
    pretraining: str
    """Data that the network was pretrained on."""
    dataset: str = Field(min_length=1)
    """As the source calls it."""
    split: str
    """Whose split it is."""
    way: int
    """Classes in an episode."""
    shot: int
    """Support videos for each class."""
    accuracy: float = Field(gt=0, le=100)
    """Per cent."""
    source: str = Field(min_length=1)
    """Where the figure stands."""


def published_figures() -> list[PublishedFigure]:
    """Return the figures of the file; none where there is no file.

    Raises:
        UserError: it is damaged.
    """
    if not FILE.is_file():
        return []
    figures: list[PublishedFigure] = []
    try:
        with FILE.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                figures.append(parsed(PublishedFigure, row))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{FILE} is damaged: in line {len(figures) + 2}, {error}; take it from the repository"
            " again, or delete it to do without published figures"
        ) from error
    return figures


def published_on(dataset: str | None) -> list[PublishedFigure]:
    """Return the figures on one of our published data sets, under any of its names in papers."""
    source = datasets().get(dataset or "")
    if not isinstance(source, Published):
        return []
    return [figure for figure in published_figures() if source.is_called(figure.dataset)]
