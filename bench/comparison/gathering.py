"""Which runs and rows a comparison is of, as its arguments say."""

from collections.abc import Sequence
from pathlib import Path

from bench.commands.banks import chosen_banks
from bench.comparison.rows_file import is_rows_file, read_rows_file
from bench.comparison.summary import rebuilt
from bench.runs.directory import Run, find_runs, read_run
from episodes.banks.bank import Bank
from episodes.errors import UserError


def gather(
    places: Sequence[Path], bank: str | None, data: Path | None, episodes: int | None
) -> tuple[list[Run], list[Bank]]:
    """Read run directories and files of rows.

    Args:
        places: run directories, folders that hold some, files of rows.
        bank: of the files of rows; that of the runs beside them if None.
        data: a folder of videos over which the bank was drawn instead.
        episodes: how many episodes of that bank; as many as the runs have if None.

    Returns:
        the runs, and the bank if one was named.

    Raises:
        UserError: there is nothing, something cannot be read, or the bank of rows is not known.
    """
    files = [place for place in places if is_rows_file(place)]
    folders = [place for place in places if not is_rows_file(place)]
    paths = dict.fromkeys(path for folder in folders for path in find_runs(folder))
    runs = [read_run(path) for path in paths]
    if episodes is None and runs:
        episodes = runs[0].identity["episodes"]
    banks = chosen_banks(bank, data, episodes) if bank or data else []
    if len(banks) > 1:
        raise UserError(f"--bank {bank!r}: a comparison is on one bank; name one")
    if files:
        banks = banks or [_bank_of(runs, files[0])]
        runs += [run for file in files for run in read_rows_file(file, banks[0])]
    return runs, banks


def _bank_of(runs: Sequence[Run], file: Path) -> Bank:
    if not runs:
        raise UserError(f"{file} does not say which bank it answers; give --bank NAME")
    bank, problem = rebuilt(runs[0])
    if bank is None:
        raise UserError(f"{file}: {problem}; give --bank FILE")
    return bank
