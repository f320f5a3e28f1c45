"""``fvbench doctor``."""

import typer

from bench.commands.options import Cache, Json, print_result


def doctor(cache: Cache = None, json: Json = False) -> None:
    """Say which packages, devices and datasets are here.

    exit status
      0  everything that the default run needs is there
      1  something is missing; the line says what to do

    Example: fvbench doctor
    """
    from bench.machine.installation import look_at_packages

    findings = look_at_packages()
    if all(finding.ok or not finding.needed for finding in findings):
        from bench.commands.diagnosis import diagnose

        findings += diagnose()
    if json:
        print_result({"findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "MISS" if finding.needed else "--  "
            typer.echo(f"{mark}  {finding.subject}: {finding.words}")
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)
