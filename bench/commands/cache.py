"""``fvbench cache show`` and ``fvbench cache clean``."""

from typing import Annotated

import typer
from tabulate import tabulate

from bench.commands.options import Cache, Json, print_result
from episodes.errors import UserError, counted


def show(cache: Cache = None, json: Json = False) -> None:
    """Show what is kept on disk.

    Features, text features, rendered videos.

    All of it is regenerated when it is needed.

    exit status
      0  done
      2  the cache is not a folder

    Example: fvbench cache show
    """
    from episodes.cache import cache_folder, parts

    found = parts()
    if json:
        records = [
            {
                "kind": part.kind,
                "folder": str(part.folder),
                "holds": part.holds,
                "bytes": part.size,
                "used": part.used.isoformat(timespec="seconds"),
                "in_use": part.in_use,
            }
            for part in found
        ]
        print_result(records)
        return
    in_use = {True: "now", False: "", None: "unknown"}
    cells = [
        [
            part.kind,
            part.holds,
            f"{part.size / 1e6:,.1f}",
            f"{part.used:%Y-%m-%d}",
            in_use[part.in_use],
            part.folder.name,
        ]
        for part in found
    ]
    heads = ["kind", "holds", "MB", "last used", "in use", "folder"]
    typer.echo(tabulate(cells, heads, tablefmt="simple", colalign=("left", "left", "right")))
    typer.echo(f"{sum(part.size for part in found) / 1e6:,.1f} MB in {cache_folder()}")


def clean(
    kind: Annotated[str | None, typer.Option(help="Only features, text or datasets.")] = None,
    unused_days: Annotated[
        float | None,
        typer.Option(help="Only what has not been used for this many days.", min=0, max=100_000),
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Everything; with --kind or --unused-days, all that they name."),
    ] = False,
    cache: Cache = None,
) -> None:
    """Remove what is kept on disk and can be regenerated.

    What a run is using now is never removed. Runs and trained weights are not part of the cache.

    exit status
      0  done
      2  nothing removed: neither --all nor what to remove was given, or the cache is not a folder

    Example: fvbench cache clean --unused-days 30
    """
    from episodes.cache import clean as remove

    if not every and kind is None and unused_days is None:
        raise UserError("say what to remove: --kind, --unused-days, or --all")
    removed, kept = remove(kind, unused_days)
    for part, why in kept:
        typer.echo(f"kept, {why}: {part.kind} {part.holds}, {part.folder}")
    size = sum(part.size for part in removed)
    typer.echo(f"removed {counted(len(removed), 'folder')}, {size / 1e6:,.1f} MB")
