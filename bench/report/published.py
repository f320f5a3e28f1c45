"""Published figures beside ours, for data sets that have some."""

from dataclasses import replace

from bench.comparison.frame import Comparison
from bench.comparison.published import published_rows
from bench.report.grid import Cell, Grid, grid_of

NAMES = {
    "ucf101": "UCF101",
    "hmdb51": "HMDB51",
    "kinetics-100": "Kinetics-100",
    "ssv2-all": "SSv2-Full",
    "ssv2-part": "SSv2-Small",
}
"""Data set -> its name in the file of published figures."""
HERE = "here"
"""Stands for a paper where a figure is ours."""


def published(comparison: Comparison, anchor: str) -> Grid | None:
    """Tabulate published figures of the same data set, way and shot with ours among them."""
    identity = comparison.methods[0].first.identity
    dataset = NAMES.get(identity.dataset or "")
    setting = (dataset, str(identity.way), str(identity.shot))
    lines = [
        {
            "method": Cell(row["method"]),
            "where": Cell(f"{row['venue']} {row['year']}".strip()),
            "accuracy %": Cell(f"{float(row['accuracy']):.1f}"),
            "backbone": Cell(row["backbone"]),
            "pretraining": Cell(row["pretraining"]),
            "split": Cell(row["split"]),
            "source": Cell(row["source"]),
        }
        for row in published_rows()
        if (row["dataset"], row["way"], row["shot"]) == setting
    ]
    if not lines:
        return None
    lines += [
        {
            "method": Cell(row.title),
            "where": Cell(HERE),
            "accuracy %": Cell(f"{100 * row.accuracy:.1f}"),
            "backbone": Cell(row.backbone or ""),
            "pretraining": Cell(one.first.declared.backbone_pretraining),
            "split": Cell(comparison.bank),
            "source": Cell("these runs"),
        }
        for row, one in zip(comparison.rows, comparison.methods, strict=True)
    ]
    lines.sort(key=lambda line: -float(line["accuracy %"].text))
    notes = [
        "Not to be compared digit by digit: published figures differ in queries, episodes, frames,"
        " splits, backbones and in how the checkpoint was chosen. Ours are on this bank."
    ]
    caption = f"Published, {dataset}, {identity.way}-way {identity.shot}-shot"
    ours = frozenset(place for place, line in enumerate(lines) if line["where"].text == HERE)
    return replace(grid_of(f"{anchor}-published", caption, lines, notes), highlighted=ours)
