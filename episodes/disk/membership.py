"""Which videos belong to a published split, whatever lists or folders call its classes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from episodes.disk.facts import Facts, all_facts, folded, names_sha256
from episodes.disk.lists import ClassList, by_split
from episodes.disk.registration import Members
from episodes.errors import UserError, counted
from episodes.split import SplitName

SHOWN = 3
"""Lists or classes that a message names."""


def recognised(facts: Facts, lists: Sequence[ClassList], trust: bool) -> dict[SplitName, Members]:
    """Find the published splits of a dataset in lists of any origin.

    A class is recognised by the hash of its videos' names. So it does not matter whether lists
    name classes or number them, nor how the classes are spread over files. With ``trust``, lists
    with other content are also accepted, each for the split in its name.

    Raises:
        UserError: the content of a list is not the published one, and it is not trusted.
    """
    known, others = _sorted(facts, lists)
    splits = {
        name: _members(classes)
        for name, classes in known.items()
        if classes.keys() == facts.splits[name].classes.keys()
    }
    strange = [listing for listing in others if listing.split not in splits]
    if trust:
        return splits | _trusted(facts, strange)
    if strange:
        raise _unknown_content(facts, strange[0])
    if not splits:
        raise UserError(
            f"none of the lists is a whole split of {facts.dataset}:"
            f" {', '.join(str(listing.path) for listing in lists[:SHOWN])}; give all files of a"
            " split"
        )
    return splits


def _sorted(
    facts: Facts, lists: Sequence[ClassList]
) -> tuple[dict[SplitName, dict[str, frozenset[str]]], list[ClassList]]:
    """Return the published classes by split, and the lists that hold any other class.

    A list is recognised if all its classes are. The others are then tried together, since each may
    hold some videos of a class.
    """
    known: defaultdict[SplitName, dict[str, frozenset[str]]] = defaultdict(dict)

    def recognise(classes: Mapping[str, Iterable[str]]) -> bool:
        hashed = {names_sha256(videos): frozenset(videos) for videos in classes.values()}
        if recognised := hashed.keys() <= facts.by_hash.keys():
            for sha256, videos in hashed.items():
                split, published = facts.by_hash[sha256]
                known[split][published.label] = videos
        return recognised

    others = [listing for listing in lists if not recognise(listing.classes)]
    together: defaultdict[str, set[str]] = defaultdict(set)
    for listing in others:
        for label, videos in listing.classes.items():
            together[label] |= videos
    return known, [] if recognise(together) else others


def _members(classes: Mapping[str, Iterable[str]]) -> Members:
    return tuple(sorted((label, video) for label, videos in classes.items() for video in videos))


def _trusted(facts: Facts, lists: Sequence[ClassList]) -> dict[SplitName, Members]:
    """Take lists as they are; a class keeps its published name where the list uses it."""

    def label(name: str) -> str:
        known = facts.by_name.get(folded(name))
        return known[1].label if known else name

    return {
        split: _members({label(name): videos for name, videos in listing.classes.items()})
        for split, listing in by_split(lists).items()
    }


def _unknown_content(facts: Facts, listing: ClassList) -> UserError:
    for other in all_facts():
        hits = sum(names_sha256(videos) in other.by_hash for videos in listing.classes.values())
        if other.dataset != facts.dataset and hits == len(listing.classes):
            return UserError(f"{listing.path} lists {other.dataset}, not {facts.dataset}")
    videos = sum(map(len, listing.classes.values()))
    return UserError(
        f"{listing.path} ({counted(len(listing.classes), 'class')}, {counted(videos, 'video')}) is"
        f" not a published split of {facts.dataset}:{_differences(facts, listing)} no committed"
        " bank fits it. Get the published list (`fvbench list datasets` says where), or accept this"
        " one with --trust and make a recipe of your own"
    )


def _differences(facts: Facts, listing: ClassList) -> str:
    """Describe how the videos differ, for a few of the published classes."""
    found = []
    for label, videos in listing.classes.items():
        if folded(label) in facts.by_name and names_sha256(videos) not in facts.by_hash:
            known = facts.by_name[folded(label)][1]
            apart = f"{known.videos:,} in the published list;"
            if len(videos) == known.videos:
                apart = f"as many as published, but other names, the first {min(videos)!r};"
            found.append(f" {known.label!r} has {counted(len(videos), 'video')} there, {apart}")
    more = f" and {len(found) - SHOWN} more classes differ;" if len(found) > SHOWN else ""
    return "".join(found[:SHOWN]) + more


def derived(
    facts: Facts,
    split: SplitName,
    members: Mapping[str, Iterable[str]],
    root: Path,
    by_rule: bool = False,
) -> Members:
    """Take a split's membership from a complete folder of classes.

    Args:
        facts: the dataset's.
        split: the name of the split.
        members: the names of the videos of each class, in any spelling of the class.
        root: the folder, for the message.
        by_rule: whether a rule names the videos, so that there are no lists to give.

    Raises:
        UserError: a class is not complete, or has videos that the published list does not.
    """
    classes = facts.splits[split].classes
    names: defaultdict[str, set[str]] = defaultdict(set)
    for label, videos in members.items():
        names[folded(label)].update(videos)
    found = {label: frozenset(names[folded(label)]) for label in classes}
    wrong = [
        label for label, videos in found.items() if names_sha256(videos) != classes[label].sha256
    ]
    if wrong:
        named = ", ".join(
            f"{label} ({len(found[label])} of {classes[label].videos}"
            f"{', other names' if len(found[label]) == classes[label].videos else ''})"
            for label in wrong[:SHOWN]
        )
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        way_out = "Name the folder that holds the whole data set, or a folder above it"
        if not by_rule:
            way_out = (
                "Complete the folder, with a folder for each class, or name the lists: `fvbench"
                f" data add {facts.dataset} --root {root} --lists FOLDER`"
            )
        raise UserError(
            f"{facts.dataset}/{split}: the videos below {root} are not those of the published"
            f" list in {len(wrong)} of {len(classes)} classes: {named}{more}. {way_out}"
        )
    return _members(found)
