"""Reading what arguments of commands name: banks, runs, files of rows, families of comparisons.

Heavy: a command imports it when it runs.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.commands.options import at_home
from bench.comparison.rows_file import is_rows_file, read_rows_file
from bench.comparison.summary import Family, Pair
from bench.runs.checking import rebuilt
from bench.runs.directory import read_runs
from bench.runs.run import Run
from episodes.banks.bank import Bank, open_bank
from episodes.banks.own_videos import bank_over_folder
from episodes.errors import UserError
from episodes.schema import parsed, read_toml

DEFAULT = "default"
FEW = "FVBENCH_EPISODES"
"""Environment variable: most episodes of a bank in a run. It makes examples quick to try."""


def chosen_banks(names: str | None, data: Path | None, episodes: int | None) -> list[Bank]:
    """Open banks by name, or draw one over a folder of videos.

    Args:
        names: names or recipe files, separated by commas; the default bank if None.
        data: a folder of ``class/video`` files instead.
        episodes: number of episodes, from the first.

    Raises:
        UserError: a folder is given beside a bank, a bank is named twice, or one cannot be opened.
    """
    if data is not None:
        if names is not None:
            raise UserError(
                f"--data {data} makes a bank of its own, and --bank {names} names another; give one"
                " of the two"
            )
        banks = [bank_over_folder(data, episodes)]
    else:
        wanted = DEFAULT if names is None else names
        banks = [open_bank(at_home(name.strip()), episodes) for name in wanted.split(",")]
    if len({bank.recipe.name for bank in banks}) < len(banks):
        raise UserError(f"--bank {names!r} names a bank twice; name each once")
    return banks


def shortened(episodes: int | None) -> int | None:
    """Return the number of episodes asked for, at most that in `FEW`.

    Raises:
        UserError: `FEW` is not a number.
    """
    few = os.environ.get(FEW)
    if not few:
        return episodes
    if not few.isdecimal() or not int(few):
        raise UserError(f"{FEW}={few}: it is the most episodes that a bank may have, such as 100")
    return int(few) if episodes is None else min(int(few), episodes)


def opener(bank: str | None, data: Path | None) -> Callable[[int], list[Bank]] | None:
    """Return what opens the bank that is named, with a number of episodes; None if none is."""
    return partial(chosen_banks, bank, data) if bank or data else None


def gather(
    places: Sequence[Path],
    data: Path | None = None,
    bank: str | None = None,
    episodes: int | None = None,
) -> tuple[list[Run], list[Bank]]:
    """Read run directories and files of rows.

    Args:
        places: run directories, folders that hold some, files of rows.
        data: the folder of videos over which their bank was drawn.
        bank: the bank of the files of rows instead; that of the runs beside them if None.
        episodes: number of episodes of that bank; as many as the runs have if None.

    Returns:
        the runs, and the bank if one was named.

    Raises:
        UserError: nothing is found or can be read, or the bank of the rows is not known.
    """
    files = [place for place in places if is_rows_file(place)]
    folders = [place for place in places if not is_rows_file(place)]
    runs = read_runs(folders)
    if episodes is None:
        episodes = runs[0].identity.episodes if runs else shortened(None)
    banks = chosen_banks(bank, data, episodes) if bank or data else []
    if len(banks) > 1:
        raise UserError(f"--bank {bank!r}: a comparison is on one bank; name one")
    if files:
        banks = banks or [_bank_of(runs, files[0])]
        runs += [run for file in files for run in read_rows_file(file, banks[0])]
    return runs, banks


def _bank_of(runs: Sequence[Run], file: Path) -> Bank:
    banks = sorted({run.identity.bank for run in runs})
    if len(banks) != 1:
        among = f", and the runs are on {', '.join(banks)}" if banks else ""
        raise UserError(
            f"{file} does not say which bank it answers{among}; name it beside the runs of one"
            " bank, or give --bank NAME to `fvbench compare`"
        )
    bank, problem = rebuilt(runs[0])
    if bank is None:
        raise UserError(f"{file}: {problem}; give --bank FILE")
    return bank


def read_family(path: Path | None) -> list[Pair]:
    """Read the comparisons that a study declared before it was run; none without a file.

    P-values and verdicts are corrected for these alone. The file is TOML, with pairs of methods, or
    of titles as `fvbench compare` prints them; the second is subtracted from the first:

        comparisons = [
            ["otam", "protonet"],
            ["mastaf-noml-mean (tuned, 3 seeds)", "mastaf (tuned, 3 seeds)"],
        ]

    Raises:
        UserError: the file cannot be read, or does not hold pairs of two different methods.
    """
    try:
        return [] if path is None else parsed(Family, read_toml(path)).comparisons
    except (OSError, ValueError) as error:
        raise UserError(
            f'--family {path}: {error}; write comparisons = [["otam", "protonet"]], a pair for each'
        ) from error
