"""Which banks a command runs on, as its options say."""

from pathlib import Path

from episodes.bank import Bank, open_bank
from episodes.coverage import without_missing
from episodes.errors import UserError
from episodes.own_videos import bank_over_folder

DEFAULT = "default"


def chosen_banks(
    names: str | None, data: Path | None, episodes: int | None, allow_missing: bool = False
) -> list[Bank]:
    """Open the banks that are named, or draw one over a folder of videos.

    Args:
        names: names or recipe files, separated by commas; the default bank if None.
        data: a folder of ``class/video`` files instead.
        episodes: how many episodes, from the first.
        allow_missing: leave out the episodes whose videos are not all there.

    Raises:
        UserError: a folder is given beside a bank or with ``allow_missing``, a bank is named twice,
            or one cannot be opened.
    """
    if data is not None:
        if names is not None:
            raise UserError(
                f"--data {data} makes a bank of its own, and --bank {names} names another; give one"
                " of the two"
            )
        if allow_missing:
            raise UserError(
                f"--allow-missing is for banks: that of --data {data} is drawn over the videos that"
                " are there; take damaged ones away"
            )
        return [bank_over_folder(data, episodes)]
    banks = [open_bank(name.strip(), episodes) for name in (names or DEFAULT).split(",")]
    if len({bank.recipe.name for bank in banks}) < len(banks):
        raise UserError(f"--bank {names!r} names a bank twice; each has one folder below --out")
    return [without_missing(bank) for bank in banks] if allow_missing else banks
