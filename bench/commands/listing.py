"""``fvbench list``."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from textwrap import TextWrapper
from typing import Annotated, Any

import typer
from tabulate import tabulate

from bench.commands.options import Json, Plugin, print_result
from episodes.errors import UserError

Records = list[dict[str, Any]]
LONG = {"source", "description", "pretraining", "state", "weights"}
"""Fields that hold sentences; no word of them is broken, which may be an address."""


def list_(
    kind: Annotated[
        str | None, typer.Argument(help="methods, banks, datasets, backbones or charts.")
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", help="With sources, pretraining and the like.")
    ] = False,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """List methods, banks, datasets, backbones or charts.

    Lists all of these if KIND is left out.

    exit status
      0  done
      2  nothing listed: a word that is not one of these

    Example: fvbench list methods --json
    """
    kinds: dict[str, Callable[[], Records]] = {
        "methods": _methods,
        "banks": _banks,
        "datasets": _datasets,
        "backbones": _backbones,
        "charts": _charts,
    }
    if kind is not None and kind not in kinds:
        raise UserError(f"{kind!r} is not one of {', '.join(kinds)}")
    wanted = {name: records() for name, records in kinds.items() if kind in (None, name)}
    if json:
        print_result(wanted[kind] if kind else wanted)
        return
    for name, records in wanted.items():
        typer.echo(_as_text(name, records, long))


def _as_text(title: str, records: Records, long: bool) -> str:
    """A titled table and, below it, the fields that hold sentences, record by record."""
    hidden = {"differs", "settings", "sha256", "input"}
    if not long:
        hidden |= {"source", "pretraining"}
    shown = [key for key in records[0] if key not in hidden]
    columns = [key for key in shown if key not in LONG]
    whole = TextWrapper(
        shutil.get_terminal_size().columns,
        initial_indent=" ",
        subsequent_indent="   ",  # the longest address fits into 80 columns
        break_long_words=False,
        break_on_hyphens=False,
    )
    parts = [title]
    if len(columns) > 1:
        cells = [[record[key] for key in columns] for record in records]
        parts.append(tabulate(cells, columns, "simple"))
    if below := [key for key in shown if key in LONG]:
        lines = (
            [record["name"], *(whole.fill(f"{key}: {record[key]}") for key in below)]
            for record in records
        )
        parts.append("\n".join(chain.from_iterable(lines)))
    return "\n\n".join(parts) + "\n"


def _methods() -> Records:
    from bench.plugins.registry import all_methods

    declared = ("revision", "sees", "needs", "order_aware", "source", "differs")
    return [
        {"name": name}
        | {field: getattr(method.cls, field) for field in declared}
        | {"settings": asdict(method.settings)}
        for name, method in sorted(all_methods().items())
    ]


def _banks() -> Records:
    from episodes.banks.recipe import read_recipe, recipe_names, recipes_of_plugins

    shared = ("name", "dataset", "split", "protocol", "way", "shot")
    return [
        {field: getattr(recipe, field) for field in shared}
        | {
            "queries": recipe.queries_per_episode,
            "episodes": recipe.episodes,
            "sha256": recipe.episodes_sha256,
        }
        for recipe in map(read_recipe, [*recipe_names(), *sorted(recipes_of_plugins())])
    ]


def _datasets() -> Records:
    from episodes.datasets import datasets

    return [
        {"name": name, "description": dataset.description, "state": dataset.state()}
        for name, dataset in sorted(datasets().items())
    ]


def _backbones() -> Records:
    from bench.features.backbones import backbones, where_weights_come_from

    return [
        {
            "name": name,
            "revision": cls.revision,
            "maps": " x ".join(map(str, (cls.channels, *cls.grid))),
            "weights": where_weights_come_from(name),
            "pretraining": cls.pretraining,
            "source": cls.source,
            "input": asdict(cls.input),
        }
        for name, cls in sorted(backbones().items())
    ]


def _charts() -> Records:
    from bench.report.charts.catalogue import ChartOfOneBank, charts

    return [
        {
            "name": name,
            "shows": chart.about,
            "banks": "one" if isinstance(chart, ChartOfOneBank) else "any",
        }
        for name, chart in sorted(charts().items())
    ]
