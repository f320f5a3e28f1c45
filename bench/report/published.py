"""Published figures beside ours, for data sets that have some."""

from bench.comparison.frame import Comparison
from bench.comparison.published import published_rows
from bench.report.grid import Grid

NAMES = {
    "ucf101": "UCF101",
    "hmdb51": "HMDB51",
    "kinetics-100": "Kinetics-100",
    "ssv2-all": "SSv2-Full",
    "ssv2-part": "SSv2-Small",
}
"""Data set -> its name in the file of published figures."""


def published(comparison: Comparison, anchor: str) -> Grid | None:
    """Tabulate published figures of the same data set, way and shot with ours among them."""
    identity = comparison.methods[0].first.identity
    dataset = NAMES.get(identity.dataset or "")
    setting = (dataset, str(identity.way), str(identity.shot))
    titles = ("method", "where", "accuracy %", "backbone", "pretraining", "split", "source")
    lines = [
        (
            row["method"],
            f"{row['venue']} {row['year']}".strip(),
            f"{float(row['accuracy']):.1f}",
            row["backbone"],
            row["pretraining"],
            row["split"],
            row["source"],
        )
        for row in published_rows()
        if (row["dataset"], row["way"], row["shot"]) == setting
    ]
    if not lines:
        return None
    ours = [
        (
            row.title,
            "here",
            f"{100 * row.accuracy:.1f}",
            row.backbone or "",
            one.first.declared.backbone_pretraining,
            comparison.bank,
            "these runs",
        )
        for row, one in zip(comparison.rows, comparison.methods, strict=True)
    ]
    lines = sorted([*lines, *ours], key=lambda line: -float(line[2]))
    note = (
        "Not to be compared digit by digit: published figures differ in queries, episodes, frames,"
        " splits, backbones and in how the checkpoint was chosen. Ours are on this bank."
    )
    caption = f"Published, {dataset}, {identity.way}-way {identity.shot}-shot"
    highlighted = frozenset(index for index, line in enumerate(lines) if line in ours)
    return Grid(f"{anchor}-published", caption, titles, lines, [note], highlighted=highlighted)
