"""Published figures beside ours, for data sets that have some."""

from bench.comparison.frame import Comparison
from bench.comparison.published import published_on
from bench.report.grid import Grid


def published(comparison: Comparison, anchor: str) -> Grid | None:
    """Tabulate published figures of the same data set, way and shot with ours among them."""
    identity = comparison.methods[0].first.identity
    theirs = [
        figure
        for figure in published_on(identity.dataset)
        if (figure.way, figure.shot) == (identity.way, identity.shot)
    ]
    if not theirs:
        return None
    titles = ("method", "where", "accuracy %", "backbone", "pretraining", "split", "source")
    lines = [
        (
            figure.method,
            f"{figure.venue} {figure.year}".strip(),
            f"{figure.accuracy:.1f}",
            figure.backbone,
            figure.pretraining,
            figure.split,
            figure.source,
        )
        for figure in theirs
    ]
    ours = [
        (
            row.title,
            "here",
            f"{100 * row.accuracy:.1f}",
            row.backbone or "",
            method.first.declared.backbone_pretraining,
            comparison.bank,
            "these runs",
        )
        for row, method in zip(comparison.rows, comparison.methods, strict=True)
    ]
    lines = sorted([*lines, *ours], key=lambda line: -float(line[2]))
    note = (
        "Not directly comparable: published figures differ in queries, episodes, frames,"
        " splits, backbones and in how the checkpoint was chosen. Ours are on this bank."
    )
    caption = f"Published, {theirs[0].dataset}, {identity.way}-way {identity.shot}-shot"
    highlighted = frozenset(index for index, line in enumerate(lines) if line in ours)
    return Grid(f"{anchor}-published", caption, titles, lines, [note], highlighted=highlighted)
