"""Write what the program stores about a dataset: its facts, and the recipes of its banks.

    python -m episodes.banks.facts_of ucf101 --root UCF-101 --lists ucf101_ARN
    python -m episodes.banks.facts_of avletters --root avletters --classes 14,4,8

The dataset's file in `episodes/datasets/` says how its videos are named and grouped. The videos are
taken from a complete copy, the splits from the published lists or from `--classes`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from episodes.atomic import write_text
from episodes.banks.bank import frozen
from episodes.banks.recipe import FOLDER as RECIPES
from episodes.banks.recipe import Protocol, Recipe
from episodes.banks.sampler import VERSION
from episodes.datasets import dataset
from episodes.datasets.published import Published
from episodes.disk.facts import FOLDER, ClassFacts, Facts, SplitFacts, names_sha256
from episodes.disk.lists import by_split, read_lists
from episodes.errors import UserError
from episodes.split import SPLIT_NAMES, Split, SplitName

WAY = 5
EPISODES = 10_000
Classes = Mapping[str, frozenset[str]]
"""Class -> names of its videos."""


def shared_out(classes: Classes, counts: Sequence[int]) -> dict[SplitName, Classes]:
    """Assign classes to training, validation and test by the sha256 of their names.

    Raises:
        UserError: the counts do not add up to the number of classes.
    """
    if len(counts) != len(SPLIT_NAMES) or sum(counts) != len(classes):
        raise UserError(
            f"--classes {','.join(map(str, counts))}: name three counts, of training, validation"
            f" and test classes, {len(classes)} together: {', '.join(sorted(classes))}"
        )
    ordered = iter(sorted(classes, key=lambda label: hashlib.sha256(label.encode()).hexdigest()))
    return {
        split: {label: classes[label] for label in islice(ordered, count)}
        for split, count in zip(SPLIT_NAMES, counts, strict=True)
        if count
    }


def facts_of(source: Published, splits: Mapping[SplitName, Classes]) -> Facts:
    """Count and hash the classes of each split."""
    found: dict[SplitName, SplitFacts] = {}
    for name in SPLIT_NAMES:
        if classes := splits.get(name):
            facts = {
                label: _class_facts(source, label, classes[label]) for label in sorted(classes)
            }
            sha256 = split_of(source, name, classes).sha256
            found[name] = SplitFacts(sum(map(len, classes.values())), sha256, facts)
    return Facts(source.name, found)


def _class_facts(source: Published, label: str, videos: Collection[str]) -> ClassFacts:
    counts = Counter(source.recording(label, video) for video in videos)
    shared = len(counts) < len(videos)
    recordings = tuple(counts[group] for group in sorted(counts)) if shared else ()
    return ClassFacts(len(videos), names_sha256(videos), label, recordings=recordings)


def split_of(source: Published, name: SplitName, classes: Classes) -> Split:
    """Return classes and their videos as a split, with groups and partners."""
    members = tuple((label, video) for label, videos in classes.items() for video in videos)
    return source.as_split(name, members)


def recipes_of(split: Split, shots: Sequence[int]) -> Iterator[Recipe]:
    """Make a recipe for every protocol that the split allows, with both hashes.

    5-way, or with all classes if there are fewer; one query of each class.

    Raises:
        UserError: a class has too few videos.
    """
    _, group_sizes = split.group_bounds
    protocols: list[Protocol] = ["standard", "one-class"]
    protocols += ["group-disjoint"] if group_sizes.max() > 1 else []
    protocols += ["partners"] if split.partners else []
    way = min(WAY, len(split.classes))
    for protocol in protocols:
        for shot in shots:
            name = f"{split.dataset}-{way}w{shot}s-{split.name}"
            name += "" if protocol == "standard" else f"-{protocol}"
            recipe = Recipe(
                name=name,
                dataset=split.dataset,
                split=split.name,
                protocol=protocol,
                way=way,
                shot=shot,
                queries=1,
                episodes=EPISODES,
                seed=0,
                sampler=VERSION,
            )
            yield frozen(recipe, split)


def text(facts: Facts) -> str:
    """Return facts as the text of their file."""
    lines = []
    for name, split in facts.splits.items():
        lines += [f"[{name}]", f"videos = {split.videos}", f'sha256 = "{split.sha256}"', ""]
        lines.append(f"[{name}.classes]")
        for label, known in split.classes.items():
            more = f', alias = "{known.alias}"' if known.alias else ""
            more += f", recordings = {list(known.recordings)}" if known.recordings else ""
            quoted = json.dumps(label, ensure_ascii=False)
            lines.append(
                f'{quoted} = {{ videos = {known.videos}, sha256 = "{known.sha256}"{more} }}'
            )
        lines.append("")
    return "\n".join(lines)


def write(
    name: str,
    root: Path,
    classes: Sequence[int] | None,
    lists: Path | None,
    shots: Sequence[int] = (1, 5),
    facts_folder: Path = FOLDER,
    recipes_folder: Path = RECIPES,
) -> list[Path]:
    """Write facts and recipes of a dataset from a complete copy; return their files.

    The splits are those of ``lists``, the folder of the published ones, or have the numbers of
    training, validation and test ``classes``.

    Raises:
        UserError: no such dataset, both or neither of counts and lists, or a copy that does not
            match them.
    """
    source = dataset(name)
    if not isinstance(source, Published):
        raise UserError(f"{name} has no file in episodes/datasets/ that describes a published set")
    if (classes is None) == (lists is None):
        raise UserError("say which classes train, validate and test: either --classes or --lists")
    found = source.names_by_class(source.index(root.resolve()))
    members = {label: frozenset(videos) for label, videos in found.items()}
    splits: Mapping[SplitName, Classes]
    if lists is None:
        splits = shared_out(members, classes or ())
    else:
        splits = {split: listing.classes for split, listing in by_split(read_lists(lists)).items()}
    written = {facts_folder / f"{name}.toml": text(facts_of(source, splits))}
    for split in ("val", "test"):
        if split in splits:
            for recipe in recipes_of(split_of(source, split, splits[split]), shots):
                written[recipes_folder / f"{recipe.name}.toml"] = recipe.text()
    for path, content in written.items():
        write_text(path, content)
    return list(written)


def numbers(option: str, text: str) -> list[int]:
    """Read whole numbers with commas between them."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise UserError(f"{option} {text}: give whole numbers with commas between them") from error


def main(
    name: Annotated[
        str, typer.Argument(help="The dataset, which has a file in episodes/datasets.")
    ],
    root: Annotated[Path, typer.Option(help="The folder of a complete copy.")],
    classes: Annotated[
        str | None, typer.Option(help="How many classes train, validate and test, as in 14,4,8.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="The folder of lists train.txt, val.txt and test.txt.")
    ] = None,
    shots: Annotated[str, typer.Option(help="Shots of the banks.")] = "1,5",
) -> None:
    """Write what the program stores about a dataset: its facts and the recipes of its banks."""
    try:
        counts = numbers("--classes", classes) if classes else None
        for path in write(name, root, counts, lists, numbers("--shots", shots)):
            typer.echo(path)
    except UserError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
