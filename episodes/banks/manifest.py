"""The episodes of a bank as a flat list, for frameworks that draw none themselves."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from episodes.banks.bank import Bank
from episodes.split import Video


class EpisodeVideo(NamedTuple):
    """One video in one episode."""

    episode: int
    role: str
    """"support" or "query"."""
    place: int
    """The shot of a support video, 0..shot-1; the number of a query, 0..queries-1."""
    way: int
    """The place of its class in the episode, 0..way-1: for a query, the label to predict."""
    label: str
    """The class's name."""
    video: str
    """CLASS/VIDEO, as features are named too."""
    path: str
    """Path of the file; empty if it is not known."""


def manifest(bank: Bank, paths: Mapping[Video, Path]) -> Iterator[EpisodeVideo]:
    """Yield the support set and then the queries of every episode, numbered as in rows."""
    videos = bank.split.videos
    for number, support, query, labels in zip(
        bank.numbers, bank.episodes.support, bank.episodes.query, bank.episodes.labels, strict=True
    ):
        members = [
            ("support", shot, way, index)
            for way, row in enumerate(support)
            for shot, index in enumerate(row)
        ]
        members += [
            ("query", place, way, index)
            for place, (index, way) in enumerate(zip(query, labels, strict=True))
        ]
        for role, place, way, index in members:
            video = videos[index]
            name, path = f"{video.label}/{video.name}", str(paths.get(video, ""))
            yield EpisodeVideo(int(number), role, place, int(way), video.label, name, path)
