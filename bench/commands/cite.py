"""``fvbench cite``."""

import importlib
import importlib.util
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from bench import __version__
from bench.commands.options import Plugin, Runs

if TYPE_CHECKING:
    from bench.report.sources import Cited
    from bench.runs.run import Run

PROJECT = "fewshot-video-bench"
ADDRESS = re.compile(r"https://\S+[\w/]")


def cite(
    places: Runs,
    plugin: Plugin = None,
) -> None:
    """Print BibTeX for everything that runs use.

    Covers every method, backbone and data set that the runs used, and this project. An entry holds
    only the fields that the methods' files state; comments say which entry belongs to what.

    exit status
      0  done
      2  nothing printed: no run there

    Example: fvbench cite results/local/try
    """
    from bench.report.sources import bibliography
    from bench.runs.directory import find_runs, read_run

    paths = dict.fromkeys(path for place in places for path in find_runs(place))
    typer.echo(bibliography(_cited([read_run(path) for path in paths])), nl=False)


def _cited(runs: "Sequence[Run]") -> "list[Cited]":
    """Return what to cite for runs, this project last."""
    from bench.report.sources import of_method

    sources: dict[str, str] = {}
    for run in runs:
        sources.setdefault(run.identity.method, run.declared.source)
    used = dict.fromkeys(run.identity.features.backbone for run in runs if run.identity.features)
    sets = dict.fromkeys(run.identity.dataset for run in runs if run.identity.dataset)
    return [
        *(of_method(name, source) for name, source in sources.items()),
        *(_of_backbone(name) for name in used),
        *(_of_dataset(name) for name in sets),
        _project(),
    ]


def _of_backbone(name: str) -> "Cited":
    from bench.features.backbones import backbones
    from bench.report.sources import Cited, publications

    known = backbones().get(name)
    return Cited(
        f"backbone {name}",
        publications(known.source) if known else [],
        source=known.source if known else "",
    )


def _of_dataset(name: str) -> "Cited":
    """The data set's paper if its file names one, or its address."""
    from bench.report.sources import Cited, Publication, bibtex_entry, publications
    from episodes.datasets import datasets

    known = datasets().get(name)
    module = f"episodes.datasets.{name.replace('-', '_')}"
    stated: list[Publication] = []
    entries: list[str] = []
    if known is not None and importlib.util.find_spec(module) is not None:
        stated = publications(importlib.import_module(module).__doc__ or "")
        address = ADDRESS.search(getattr(known, "how_to_get", ""))
        if address and not stated:
            entries = [bibtex_entry("misc", name, {"title": known.description, "url": address[0]})]
    return Cited(f"data set {name}", stated, entries)


def _project() -> "Cited":
    from bench.report.sources import Cited, bibtex_entry

    fields = {
        "author": f"{{The {PROJECT} contributors}}",
        "title": f"{PROJECT}: few-shot video classification on fixed, seeded episodes",
        "version": __version__,
        "year": "2026",
    }
    return Cited("this project", [], [bibtex_entry("software", PROJECT, fields)])
