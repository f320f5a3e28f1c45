"""What to cite for runs: methods, backbones, data sets and this project, as BibTeX."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import bench
from bench.features.backbones import backbones
from bench.plugins.registry import all_methods
from bench.report.sources import Publication, bibtex, entry, merged, publications
from bench.runs.run import Run
from episodes.datasets import datasets

PROJECT = "fewshot-video-bench"
TITLE = f"{PROJECT}: few-shot video classification on fixed, seeded episodes"
ADDRESS = re.compile(r"https://\S+[\w/]")


@dataclass(frozen=True)
class Cited:
    """Something that runs use, and the publications that it comes from."""

    name: str
    """Such as "method otam"."""
    publications: Sequence[Publication]
    entries: Sequence[str] = ()
    """BibTeX of what is not a publication."""


def cited(runs: Iterable[Run]) -> list[Cited]:
    """Return what to cite for runs, this project last."""
    methods: dict[str, Cited] = {}
    backbones_: dict[str, Cited] = {}
    datasets_: dict[str, Cited] = {}
    for run in runs:
        name, features = run.identity.method, run.identity.features
        methods.setdefault(name, of_method(name, run.declared.source))
        if features is not None:
            backbone = backbones().get(features.backbone)
            stated = publications(backbone.source) if backbone else []
            title = f"backbone {features.backbone}"
            backbones_.setdefault(features.backbone, Cited(title, stated))
        if dataset := run.identity.dataset:
            datasets_.setdefault(dataset, _of_dataset(dataset))
    return [*methods.values(), *backbones_.values(), *datasets_.values(), _project()]


def of_method(name: str, source: str) -> Cited:
    """Return what a method is from: as its run states it, with the titles that its file gives."""
    known = all_methods().get(name)
    file = sys.modules[known.cls.__module__].__doc__ if known else None
    return Cited(f"method {name}", publications(source, file or ""))


def _of_dataset(name: str) -> Cited:
    """The data set's paper where its file names one, else where to get it."""
    known = datasets().get(name)
    module = f"episodes.datasets.{name.replace('-', '_')}"
    if known is None or importlib.util.find_spec(module) is None:
        return Cited(f"data set {name}", [])
    if stated := publications(importlib.import_module(module).__doc__ or ""):
        return Cited(f"data set {name}", stated)
    address = ADDRESS.search(getattr(known, "how_to_get", ""))
    fields = {"title": known.description, "url": address[0] if address else ""}
    return Cited(f"data set {name}", [], [entry("misc", name, fields)] if address else [])


def _project() -> Cited:
    fields = {
        "author": f"{{The {PROJECT} contributors}}",
        "title": TITLE,
        "version": bench.__version__,
        "year": "2026",
    }
    return Cited("this project", [], [entry("software", PROJECT, fields)])


def bibliography(found: Sequence[Cited]) -> str:
    """Return BibTeX: in comments what is from where, then every entry once."""
    known = merged(publication for one in found for publication in one.publications)
    lines = []
    for one in found:
        # A publication may be told more fully by another of those that are cited.
        keys = [
            other.key
            for other in known
            if any(
                other.same == stated.same and stated.arxiv in ("", other.arxiv)
                for stated in one.publications
            )
        ]
        keys += [entry.partition("{")[2].partition(",")[0] for entry in one.entries]
        lines.append(f"% {one.name}: {', '.join(keys) or 'this project, or nothing is stated'}")
    entries = [bibtex(one) for one in known] + [each for one in found for each in one.entries]
    return "\n".join([*lines, "", "\n\n".join(entries), ""])
