"""Citations for runs as BibTeX: methods, backbones, data sets and this project."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import bench
from bench.features.backbones import backbones
from bench.plugins.registry import all_methods
from bench.report.sources import Publication, bibtex, bibtex_entry, merged, publications
from bench.runs.run import Run
from episodes.datasets import datasets

PROJECT = "fewshot-video-bench"
ADDRESS = re.compile(r"https://\S+[\w/]")


@dataclass(frozen=True)
class Cited:
    """Something that runs use, and its publications."""

    name: str
    """Such as "method otam"."""
    publications: Sequence[Publication]
    entries: Sequence[str] = ()
    """BibTeX entries of what is not a publication."""
    source: str = ""
    """The source that is stated, in words."""


def cited(runs: Sequence[Run]) -> list[Cited]:
    """Return what to cite for runs, this project last."""
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


def of_method(name: str, source: str) -> Cited:
    """Return a method's publications, as its run states them with the titles in its file."""
    known = all_methods().get(name)
    file = sys.modules[known.cls.__module__].__doc__ if known else None
    return Cited(f"method {name}", publications(source, file or ""), source=source)


def _of_backbone(name: str) -> Cited:
    known = backbones().get(name)
    return Cited(
        f"backbone {name}",
        publications(known.source) if known else [],
        source=known.source if known else "",
    )


def _of_dataset(name: str) -> Cited:
    """The data set's paper if its file names one, or its address."""
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


def _project() -> Cited:
    fields = {
        "author": f"{{The {PROJECT} contributors}}",
        "title": f"{PROJECT}: few-shot video classification on fixed, seeded episodes",
        "version": bench.__version__,
        "year": "2026",
    }
    return Cited("this project", [], [bibtex_entry("software", PROJECT, fields)])


def bibliography(cited: Sequence[Cited]) -> str:
    """Return BibTeX: comments that say which entries belong to what, then every entry once."""
    known = merged(publication for one in cited for publication in one.publications)
    lines = []
    for one in cited:
        # Another of those that are cited may state the same publication more fully.
        keys = [
            other.key
            for other in known
            if any(
                other.same == stated.same and stated.arxiv in ("", other.arxiv)
                for stated in one.publications
            )
        ]
        keys += [entry.partition("{")[2].partition(",")[0] for entry in one.entries]
        stated = " ".join(one.source.split()) or "this project, or nothing is stated"
        lines.append(f"% {one.name}: {', '.join(keys) or stated}")
    entries = [bibtex(one) for one in known] + [entry for one in cited for entry in one.entries]
    return "\n".join([*lines, "", "\n\n".join(entries), ""])
