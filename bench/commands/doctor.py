"""``fvbench doctor``."""

import typer

from bench.commands.options import Cache, Json, use_cache

HELP = """Say which packages, devices and datasets are here.

\b
exit status
  0  everything that the default run needs is there
  1  something is missing; the line says what to do
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", help=HELP, epilog="\b\nExample: fvbench doctor")(doctor)


def doctor(cache: Cache = None, json: Json = False) -> None:
    """Examine the installation."""
    use_cache(cache)
    from json import dumps

    from bench.machine.installation import look_at_packages

    findings = look_at_packages()
    if all(finding.ok for finding in findings):
        from bench.commands.diagnosis import diagnose

        findings += diagnose()
    if json:
        typer.echo(dumps({"findings": [finding._asdict() for finding in findings]}, indent=2))
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "MISS" if finding.needed else "--  "
            typer.echo(f"{mark}  {finding.subject}: {finding.words}")
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)
