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
    titles = ("method", "where", "accuracy %", "backbone", "pretraining", "split", "source")
    lines = [
        [
            row["method"],
            f"{row['venue']} {row['year']}".strip(),
            f"{float(row['accuracy']):.1f}",
            row["backbone"],
            row["pretraining"],
            row["split"],
            row["source"],
        ]
        for row in published_rows()
        if (row["dataset"], row["way"], row["shot"]) == setting
    ]
    if not lines:
        return None
    lines += [
        [
            row.title,
            HERE,
            f"{100 * row.accuracy:.1f}",
            row.backbone or "",
            one.first.declared.backbone_pretraining,
            comparison.bank,
            "these runs",
        ]
        for row, one in zip(comparison.rows, comparison.methods, strict=True)
    ]
    lines.sort(key=lambda line: -float(line[2]))
    notes = [
        "Not to be compared digit by digit: published figures differ in queries, episodes, frames,"
        " splits, backbones and in how the checkpoint was chosen. Ours are on this bank."
    ]
    caption = f"Published, {dataset}, {identity.way}-way {identity.shot}-shot"
    ours = frozenset(place for place, line in enumerate(lines) if line[1] == HERE)
    cells = [list(map(Cell, line)) for line in lines]
    grid = grid_of(f"{anchor}-published", caption, titles, cells, notes)
    return replace(grid, highlighted=ours)
