"""``fvbench cite``."""

import typer

from bench.commands.options import Plugin, Runs


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
    from bench.runs.directory import find_runs, read_run
    from bench.site.citations import bibliography, cited

    paths = dict.fromkeys(path for place in places for path in find_runs(place))
    typer.echo(bibliography(cited([read_run(path) for path in paths])), nl=False)
