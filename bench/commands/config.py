"""The options that were given, on the command line or in a TOML file; ``--save-config``."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.options import at_home
from episodes.errors import UserError, near

NOT_OPTIONS = ("config", "save_config", "help", "dry_run")
"""Parameters that a file does not hold: a saved dry run becomes a run."""


def is_given(context: typer.Context, parameter: str) -> bool:
    """Whether the user gave a parameter a value: on the command line, or in a file."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name in {"COMMANDLINE", "DEFAULT_MAP", "ENVIRONMENT"}


def refuse(context: typer.Context, parameters: Collection[str], why: str) -> None:
    """Refuse options that mean nothing in this form of the command.

    Raises:
        UserError: the user gave one of them.
    """
    options = {one.name or "": one.opts[0] for one in context.command.params}
    given = [options[name] for name in options if name in parameters and is_given(context, name)]
    if given:
        them = "it" if len(given) == 1 else "them"
        raise UserError(f"{', '.join(given)}: {why}; leave {them} out")


def refuse_options_of_videos(context: typer.Context) -> None:
    """Refuse options that mean nothing beside ``--features``, where no video is read."""
    names = ("backbone", "sampling", "resize", "decoder", "allow_missing")
    refuse(context, names, "for videos, which --features replaces")


def save_options(context: typer.Context, path: Path | None) -> None:
    """Write the options that were given to a file that repeats the command."""
    if path is None:
        return
    from episodes.atomic import write_text

    if path.suffix != ".toml":
        raise UserError(f"--save-config {path}: a configuration file ends in .toml")
    lines = [
        f"# fvbench {context.info_name} --config {path.name}; what is left out has its default"
    ]
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in NOT_OPTIONS and is_given(context, name):
            lines.append(f"{name.replace('_', '-')} = {_as_toml(context.params[name])}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(lines) + "\n")


def _as_toml(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False)


def _read(context: typer.Context, path: Path | None) -> Path | None:
    """Make the options in a file the defaults of the command."""
    if path is None:
        return None
    from episodes.schema import read_toml

    options = {one.name or "": one for one in context.command.params}
    known = {name.replace("_", "-"): name for name in options if name not in NOT_OPTIONS}
    try:
        content = read_toml(path)
    except (OSError, ValueError) as error:
        raise UserError(f"--config {path} cannot be read: {error}") from error
    defaults: dict[str, Any] = {}
    for key, value in content.items():
        name = known.get(key.replace("_", "-"))
        if name is None:
            raise UserError(
                f"--config {path}: `fvbench {context.info_name}` has no option {key};"
                f" {near(key, known) or 'see --help'}"
            )
        if isinstance(value, dict):
            raise UserError(f"--config {path}: {key} is a table; an option is one value")
        if isinstance(value, bool) and not getattr(options[name], "is_flag", False):
            raise UserError(  # it would count as 1 or 0
                f"--config {path}: {key} is {_as_toml(value)}; it takes a value, not true or false"
            )
        if isinstance(value, list):
            defaults[name] = [at_home(str(one)) for one in value]
        else:
            plain = isinstance(value, bool | int | float)
            defaults[name] = value if plain else at_home(str(value))
    context.default_map = defaults
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        help='TOML file with options of this command, such as methods = "otam,trx"; options on the'
        " command line take precedence.",
        is_eager=True,
        callback=_read,
    ),
]
SaveConfig = Annotated[
    Path | None,
    typer.Option(help="Write the options given, those of --config too, to a TOML file."),
]
