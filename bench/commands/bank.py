"""``fvbench bank``: show, verify, make, freeze and export banks of episodes."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from tabulate import tabulate

from bench.commands.options import Episodes, Json, Plugin, print_result
from episodes.errors import UserError, counted, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.machine.progress import Reporter
    from episodes.banks.bank import Bank
    from episodes.split import Video, VideoFile

Name = Annotated[str, typer.Argument(help="A bank's name (`fvbench list banks`) or a recipe file.")]


def show(
    name: Name,
    episodes: Annotated[int, typer.Option(help="Number of episodes to list.", min=0)] = 3,
    plugin: Plugin = None,
    json: Json = False,
) -> None:
    """Show a bank's recipe, its videos and first episodes.

    exit status
      0  done
      2  nothing shown: no such bank, or its dataset's list is not here

    Example: fvbench bank show default
    """
    from episodes.banks.bank import open_bank

    bank = open_bank(name)
    shown = [_episode(bank, number) for number in range(min(episodes, len(bank.episodes)))]
    if json:
        content = bank.recipe.model_dump() | {
            "classes": list(bank.split.classes),
            "videos": len(bank.split.videos),
            "videos_used": len(bank.used_videos()),
            "episodes_shown": shown,
        }
        print_result(content)
        return
    parts = [tabulate(list(bank.recipe.model_dump().items()), tablefmt="plain"), _use(bank)]
    for number, episode in enumerate(shown):
        columns = zip(episode["classes"], episode["support"], episode["query"], strict=True)
        lines = [
            [way, name, ", ".join(support), ", ".join(query)]
            for way, (name, support, query) in enumerate(columns)
        ]
        table = tabulate(lines, headers=["way", "class", "support", "query"], tablefmt="simple")
        parts.append(f"episode {number}\n\n{table}")
    typer.echo("\n\n".join(parts))


def verify(name: Name, plugin: Plugin = None, json: Json = False) -> None:
    """Draw a bank anew, and compare its hashes with the recipe's.

    If the bank was frozen, the contents of its videos are read and compared too.

    exit status
      0  equal: these are the episodes that everybody else has
      1  not equal; the message names the input that changed
      2  cannot tell: no such bank, or its dataset's list is not here

    Example: fvbench bank verify default
    """
    from bench.machine.progress import Reporter
    from episodes.banks.bank import BankMismatchError, check_contents, open_bank
    from episodes.banks.recipe import UNKNOWN

    try:
        bank = open_bank(name)
        if bank.recipe.contents_sha256 != UNKNOWN:
            check_contents(bank, _files(bank, Reporter()))
    except BankMismatchError as error:
        reason = str(error)
        print_result({"bank": name, "equal": False, "reason": reason} if json else reason)
        raise typer.Exit(1) from error
    print_result(
        {"bank": bank.recipe.name, "equal": True, "episodes_sha256": bank.sha256}
        if json
        else f"equal: {bank.recipe.name}, {bank.recipe.episodes:,} episodes, sha256 {bank.sha256}"
    )


def new(
    name: Annotated[str, typer.Argument(help="Name of the bank, and of its file.")],
    dataset: Annotated[str, typer.Option(help="The data set's name.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder of videos that becomes this data set.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="With --root: folder with train.txt, val.txt and test.txt.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    protocol: Annotated[
        str,
        typer.Option(
            help="standard: queries of every class; one-class: of one class; group-disjoint: no"
            " query shares its recording with a support video of its class; partners: as many"
            " pairs of classes that differ only in temporal order as fit."
        ),
    ] = "standard",
    way: Annotated[int, typer.Option(help="Classes in an episode.", min=2)] = 5,
    shot: Annotated[int, typer.Option(help="Support videos of each class.", min=1)] = 1,
    queries: Annotated[int, typer.Option(help="Query videos of each class.", min=1)] = 1,
    episodes: Annotated[int, typer.Option(help="Number of episodes.", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the episodes.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="File to write; default: NAME.toml.")] = None,
    plugin: Plugin = None,
) -> None:
    """Write the recipe of your own bank, with hashes to verify it by.

    The data set is one that `fvbench list datasets` shows, including those of plugins. With --root,
    a folder of CLASS/VIDEO or CLASS/RECORDING/VIDEO is registered under that name, as `fvbench data
    add` does, and --lists gives the lists of its splits.

    exit status
      0  written
      2  nothing written: no such data set, too few classes or videos, or a file is there already

    Example: fvbench bank new mine --dataset rendered --way 3 --out results/local/mine.toml
    """
    from episodes.atomic import write_text
    from episodes.banks.bank import frozen
    from episodes.banks.recipe import recipe_names, recipe_of, recipes_of_plugins
    from episodes.banks.sampler import VERSION
    from episodes.datasets import dataset as known_dataset
    from episodes.datasets.adding import examined

    path = out or Path(f"{name}.toml")
    if path.suffix != ".toml":
        raise UserError(f"--out {path}: a recipe's file name ends in .toml")
    if path.stem != name:
        raise UserError(
            f"--out {path}: a bank has the name of its file, so this one would be {path.stem}, not"
            f" {name}; give both the same name"
        )
    if name in {*recipe_names(), *recipes_of_plugins()}:
        raise UserError(
            f"{name} is a bank already (`fvbench bank show {name}`), and tables tell banks by their"
            " names; choose another name"
        )
    if path.exists():
        raise UserError(f"{path} is there already, and nothing is overwritten; choose another name")
    recipe = recipe_of(
        name=path.stem,
        dataset=dataset,
        split=split,
        protocol=protocol,
        way=way,
        shot=shot,
        queries=queries,
        episodes=episodes,
        seed=seed,
        sampler=VERSION,
    )
    if lists is not None and root is None:
        raise UserError(f"--lists {lists} needs the folder of the videos, too: --root FOLDER")
    added = None if root is None else examined(dataset, root, lists, trust=False)
    source = known_dataset(dataset) if added is None else added.source
    videos = source.split(recipe.split)
    if protocol == "group-disjoint" and (videos.group_bounds[1] == 1).all():
        note(
            f"no recording of {dataset}/{split} is known to have two videos, so that group-disjoint"
            " keeps nothing apart; recordings of your own are folders: CLASS/RECORDING/VIDEO"
        )
    made = frozen(recipe, videos)
    write_text(path, made.text())
    if added is not None:
        added.register()
        typer.echo("\n".join(added.lines()))
    typer.echo(f"wrote {path}, sha256 {made.episodes_sha256}; next:\n")
    file = shlex.quote(str(path))
    typer.echo(f"  fvbench bank show {file}\n  fvbench run --bank {file} --methods protonet,otam")


def freeze(
    file: Annotated[Path, typer.Argument(help="A recipe file of your own.")],
    again: Annotated[
        bool, typer.Option("--again", help="Replace hashes that no longer hold.")
    ] = False,
    plugin: Plugin = None,
) -> None:
    """Write a recipe's hashes into its file: names, episodes, contents.

    Reads all videos of the bank. From then on `fvbench bank verify`, and every run on all episodes,
    detect a video whose content has changed.

    exit status
      0  written
      1  the file already states different hashes; --again replaces them
      2  nothing written: no recipe, or videos are missing

    Example: fvbench bank freeze FILE.toml
    """
    from bench.machine.progress import Reporter
    from episodes.atomic import write_text
    from episodes.banks.bank import contents_sha256, frozen, rebuild
    from episodes.banks.recipe import UNKNOWN, read_recipe
    from episodes.datasets import dataset

    if file.suffix != ".toml" or not file.is_file():
        raise UserError(f"{file} is not a recipe file; `fvbench bank new` writes one")
    before = read_recipe(str(file))
    bank = rebuild(frozen(before, dataset(before.dataset).split(before.split)))
    contents = contents_sha256(_files(bank, Reporter()))
    after = bank.recipe.changed(contents_sha256=contents)
    differing = [
        field
        for field in ("split_sha256", "episodes_sha256", "contents_sha256")
        if getattr(before, field) not in (UNKNOWN, getattr(after, field))
    ]
    if differing and not again:
        typer.echo(
            f"error: {file} states another {' and another '.join(differing)}, and nothing was"
            " written; restore the videos, or use --again if the bank is meant to change",
            err=True,
        )
        raise typer.Exit(1)
    write_text(file, after.text())
    typer.echo(f"froze {file}: names {after.split_sha256}, contents {contents}")


def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="File to write, .csv or .parquet.")],
    episodes: Episodes = None,
    plugin: Plugin = None,
) -> None:
    """Write the episodes of a bank as a table for other frameworks.

    The table has a line for each video in each episode: episode, role (support or query), place
    (shot, or number of the query), way (the index of its class, which is a query's label), label,
    video, path (empty if the video cannot be used). To compare predictions made elsewhere, write
    rows with episode, query and prediction: see `fvbench compare`.

    exit status
      0  done
      2  nothing written: no such bank, or a file that is neither .csv nor .parquet

    Example: fvbench bank export default --episodes 100 --out results/local/bank.csv
    """
    import pandas as pd

    from bench.machine.progress import Reporter
    from episodes.atomic import replacing
    from episodes.banks.bank import open_bank, unusable
    from episodes.banks.manifest import manifest
    from episodes.datasets.folder import Folder

    if out.suffix not in {".csv", ".parquet"}:
        raise UserError(f"--out {out}: a manifest is a .csv or a .parquet file")
    bank = open_bank(name, episodes)
    videos = [bank.split.videos[index] for index in bank.used_videos()]
    try:
        if isinstance(bank.source, Folder):  # `unusable` would open each video
            gone = [video for video in videos if not bank.source.places(video)]
            missing = dict.fromkeys(gone, "it is not there")
        else:
            missing = unusable(bank, lambda *_: None)
        there = [video for video in videos if video not in missing]
        paths = {file.video: file.path for file in _files(bank, Reporter(), there)}
    except UserError as error:
        note(f"without paths: {error}")
        paths, missing = {}, {}
    if missing:
        video, why = next(iter(missing.items()))
        note(
            f"{counted(len(missing), 'video')} of {len(videos):,} cannot be used, and their lines"
            f" have no path: {video.label}/{video.name}: {why}; `fvbench data verify"
            f" {bank.recipe.dataset}` names all"
        )
    table = pd.DataFrame(manifest(bank, paths))
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as unfinished:  # half a table looks like a whole one
        write = table.to_csv if out.suffix == ".csv" else table.to_parquet
        write(unfinished, index=False)
    typer.echo(f"wrote {len(table):,} lines of {len(bank.episodes):,} episodes to {out}")


def _files(
    bank: "Bank", reporter: "Reporter", videos: "Sequence[Video] | None" = None
) -> "list[VideoFile]":
    """Locate videos, by default all that the bank uses, and hash their contents."""
    if videos is None:
        videos = [bank.split.videos[index] for index in bank.used_videos()]
    with reporter.stage(f"prepare {bank.source.name} videos") as progress:
        return bank.source.files(bank.recipe.split, videos, progress)


def _use(bank: "Bank") -> str:
    """Say how many videos the bank uses, and how often."""
    labels = np.concatenate([bank.episodes.support.ravel(), bank.episodes.query.ravel()])
    times = np.bincount(labels, minlength=len(bank.split.videos))
    return (
        f"{len(bank.split.classes)} classes, {len(bank.split.videos)} videos,"
        f" {len(bank.used_videos())} of them used, each {times[times > 0].min()} to {times.max()}"
        f" times (median {int(np.median(times[times > 0]))})"
    )


def _episode(bank: "Bank", number: int) -> dict[str, Any]:
    """The names of an episode's classes, and of the support and query videos of each."""
    support, query = bank.episodes.support[number], bank.episodes.query[number]
    labels = bank.episodes.labels[number]
    videos = bank.split.videos
    ways = range(len(support))
    return {
        "classes": [videos[support[way, 0]].label for way in ways],
        "support": [[videos[index].name for index in support[way]] for way in ways],
        "query": [[videos[index].name for index in query[labels == way]] for way in ways],
    }
