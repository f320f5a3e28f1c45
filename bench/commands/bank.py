"""``fvbench bank show`` and ``fvbench bank verify``."""

from typing import Annotated

import typer

from bench.commands.options import Json

Name = Annotated[str, typer.Argument(help="A bank's name (`fvbench list banks`) or a recipe file.")]

SHOW = """Show a bank's recipe, its videos and first episodes.

\b
exit status
  0  done
  2  nothing shown: no such bank, or its dataset's list is not here
"""
VERIFY = """Draw a bank anew, and compare its hashes with the recipe's.

\b
exit status
  0  equal: these are the episodes that everybody else has
  1  not equal; the message names the input that changed
  2  cannot tell: no such bank, or its dataset's list is not here
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bank = typer.Typer(help="Show and verify episode banks.", no_args_is_help=True)
    bank.command("show", help=SHOW, epilog="\b\nExample: fvbench bank show default")(show)
    bank.command("verify", help=VERIFY, epilog="\b\nExample: fvbench bank verify default")(verify)
    app.add_typer(bank, name="bank")


def show(
    name: Name,
    episodes: Annotated[int, typer.Option(help="How many episodes to list.", min=0)] = 3,
    json: Json = False,
) -> None:
    """Show a bank."""
    from bench.commands.bank_view import as_content, as_text
    from bench.runs.directory import dump
    from episodes.banks.bank import open_bank

    bank = open_bank(name)
    typer.echo(dump(as_content(bank, episodes)) if json else as_text(bank, episodes), nl=False)


def verify(name: Name, json: Json = False) -> None:
    """Verify a bank."""
    from bench.runs.directory import dump
    from episodes.banks.bank import BankMismatchError, open_bank

    try:
        bank = open_bank(name)
    except BankMismatchError as error:
        typer.echo(dump({"bank": name, "equal": False, "reason": str(error)}) if json else error)
        raise typer.Exit(1) from error
    found = {"bank": bank.recipe.name, "equal": True, "episodes_sha256": bank.sha256}
    if json:
        typer.echo(dump(found), nl=False)
    else:
        typer.echo(
            f"equal: {bank.recipe.name}, {bank.recipe.episodes:,} episodes, sha256 {bank.sha256}"
        )
