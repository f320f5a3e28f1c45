"""``fvbench data add`` and ``fvbench data verify``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tabulate import tabulate

from bench.commands.options import Cache, Json, print_result

if TYPE_CHECKING:
    from episodes.banks.verification import Verification

Name = Annotated[str, typer.Argument(help="A dataset's name, see `fvbench list datasets`.")]


def add(
    name: Name,
    root: Annotated[Path, typer.Option(help="Folder of the videos.")],
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder of the lists of training, validation and test videos."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Accept lists that differ from the published ones.")
    ] = False,
) -> None:
    """Register a dataset on this machine.

    NAME is one that `fvbench list datasets` shows, or any name for a folder of your own videos,
    CLASS/VIDEO.mp4. Videos stay where they are, in nearly any layout: by class, by split or flat,
    as files or as folders of JPEG frames. UCF101 and HMDB51 need no lists if the folder is
    complete, with a folder for each class, EgoGestAR and AVLetters never do. Lists may be in any
    published format, and are recognised by their content.

    exit status
      0  done
      2  nothing registered: no such folder, or lists that are not the published ones

    Example: fvbench data add ucf101 --root ~/UCF-101
    """
    from episodes.datasets.adding import add_dataset

    typer.echo("\n".join(add_dataset(name, root, lists, trust).lines()))


def verify(
    name: Name,
    fast: Annotated[
        bool, typer.Option("--fast", help="Only check that the files exist; open none.")
    ] = False,
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Check every video of a dataset.

    Reports what is missing, and which banks that affects. Decodes every video, counts its frames,
    and finds copies, empty files and files whose name does not match their content. Resumes after
    an interruption.

    exit status
      0  every listed video is there and can be decoded
      1  some are missing or damaged; a table says which, and what that does to the banks
      2  cannot tell: the dataset is not registered, or its lists are not known

    Example: fvbench data verify rendered --fast
    """
    from bench.machine.progress import Reporter
    from episodes.banks.verification import verify as verified
    from episodes.datasets import dataset
    from episodes.datasets.folder import Folder
    from episodes.datasets.published import Published

    source = dataset(name)
    if not isinstance(source, Published | Folder):
        print_result(
            {"dataset": name, "decoded": False, "state": source.state()}
            if json
            else f"{name}: {source.state()}; checked by hash whenever they are used"
        )
        return
    found = verified(source, fast, Reporter().stage)
    print_result(found.content() if json else as_text(found))
    if not found.usable:
        raise typer.Exit(1)


SHOWN = 20
"""Videos and classes named on a terminal; ``--json`` names all."""


def as_text(found: "Verification") -> str:
    """Return tables of videos by split, of classes that lack some and of banks, and the verdict."""
    from episodes.banks.verification import KINDS, by_class

    kinds = KINDS if found.decoded else ("missing", "empty", "several")
    splits = [
        [split, f"{listed:,}", *(f"{found.count(split, kind):,}" for kind in kinds)]
        for split, listed in found.listed.items()
    ]
    parts = [f"{found.dataset} at {found.root}", _table(["split", "listed", *kinds], splits)]
    unusable = [[split, label, f"{n}"] for (split, label), n in by_class(found.troubles).items()]
    if unusable:
        parts.append(_table(["split", "class", "unusable"], unusable[:SHOWN], names=2))
    if len(unusable) > SHOWN:
        parts.append(f"... and {len(unusable) - SHOWN} more classes")
    banks = [
        [one.bank, f"{one.episodes:,}", f"{one.whole:,}", f"{one.whole / one.episodes:.1%}"]
        for one in found.banks
    ]
    if banks:
        parts.append(_table(["bank", "episodes", "usable", "coverage"], banks, names=1))
    parts += [f"{split}: not known. {reason}" for split, reason in found.unknown.items()]
    named = [
        f"{one.kind}: {one.split} {one.label}/{one.name}: {one.words}"
        for one in found.troubles[:SHOWN]
    ]
    if named:
        parts.append("\n".join(named))
    if len(found.troubles) > SHOWN:
        parts.append(f"... and {len(found.troubles) - SHOWN:,} more; --json names all")
    return "\n\n".join([*parts, _verdict(found)]) + "\n"


def _table(headers: list[str], lines: list[list[str]], names: int = 0) -> str:
    """A table of text, since a class may be called 1e3; all but the first columns are numbers."""
    sides = ["left"] * names + ["right"] * (len(headers) - names)
    return tabulate(lines, headers, tablefmt="simple", disable_numparse=True, colalign=sides)


def _verdict(found: "Verification") -> str:
    from episodes.banks.verification import FATAL

    unusable = sum(one.kind in FATAL for one in found.troubles)
    listed = sum(found.listed.values())
    how = "decoded" if found.decoded else "not opened"
    if not unusable:
        but = f", but not all of {' and '.join(found.unknown)}"
        return f"all {listed:,} listed videos are there ({how}){but if found.incomplete else ''}"
    remain = not found.banks or any(bank.whole for bank in found.banks)
    way_out = ", or run on the remaining episodes with --allow-missing" if remain else ""
    share = f"{unusable:,} of {listed:,} listed videos"
    return f"{share} cannot be used ({how}); get them again{way_out}"
