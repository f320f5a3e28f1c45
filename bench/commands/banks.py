"""Which banks a command runs on, as its options say."""

from pathlib import Path

from bench.machine import distributed
from bench.machine.progress import Reporter
from episodes.banks.bank import Bank, open_bank
from episodes.banks.coverage import unusable, without
from episodes.banks.own_videos import bank_over_folder
from episodes.errors import UserError

DEFAULT = "default"
SHOWN = 20
"""Unusable videos that are named; `fvbench data verify --json` names all of a registered set."""


def chosen_banks(
    names: str | None,
    data: Path | None,
    episodes: int | None,
    allow_missing: bool = False,
    reporter: Reporter | None = None,
) -> list[Bank]:
    """Open the banks that are named, or draw one over a folder of videos.

    Args:
        names: names or recipe files, separated by commas; the default bank if None.
        data: a folder of ``class/video`` files instead.
        episodes: how many episodes, from the first.
        allow_missing: leave out the episodes whose videos are not all there, or damaged.
        reporter: told which videos that is.

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
        banks = [open_bank(name.strip(), episodes) for name in (names or DEFAULT).split(",")]
    if len({bank.recipe.name for bank in banks}) < len(banks):
        raise UserError(f"--bank {names!r} names a bank twice; each has one folder below --out")
    return [_whole(bank, reporter or Reporter()) for bank in banks] if allow_missing else banks


def _whole(bank: Bank, reporter: Reporter) -> Bank:
    """The bank without the episodes that touch a video which cannot be used."""
    with distributed.first_alone(), reporter.stage("open videos") as progress:
        missing = unusable(bank, progress)
    left = without(bank, missing)
    if missing:
        named = [f"{one.label}/{one.name}: {why}" for one, why in list(missing.items())[:SHOWN]]
        more = [f"and {len(missing) - SHOWN:,} more"] if len(missing) > SHOWN else []
        reporter.say(
            "\n  ".join(
                [
                    f"note: {left.left_out:,} episodes of {bank.recipe.name} are left out, since"
                    f" they touch {len(missing):,} videos that cannot be used:",
                    *named,
                    *more,
                ]
            )
        )
    return left
