"""A bank as people look at it."""

from dataclasses import asdict
from typing import Any

import numpy as np
from tabulate import tabulate

from episodes.banks.bank import Bank


def as_content(bank: Bank, episodes: int) -> dict[str, Any]:
    """Return a bank's recipe, its use of videos and its first episodes as plain values."""
    return asdict(bank.recipe) | {
        "classes": list(bank.split.classes),
        "videos": len(bank.split.videos),
        "videos_used": len(bank.used_videos()),
        "episodes_shown": [_episode(bank, number) for number in range(_shown(bank, episodes))],
    }


def as_text(bank: Bank, episodes: int) -> str:
    """Return the same for a terminal."""
    parts = [tabulate(list(asdict(bank.recipe).items()), tablefmt="plain"), _use(bank)]
    for number in range(_shown(bank, episodes)):
        episode = _episode(bank, number)
        lines = [
            [place, name, ", ".join(support), ", ".join(query)]
            for place, (name, support, query) in enumerate(
                zip(episode["classes"], episode["support"], episode["query"], strict=True)
            )
        ]
        table = tabulate(lines, headers=["way", "class", "support", "query"], tablefmt="simple")
        parts.append(f"episode {number}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _shown(bank: Bank, episodes: int) -> int:
    return min(episodes, len(bank.episodes))


def _use(bank: Bank) -> str:
    """How often videos and classes occur."""
    labels = np.concatenate([bank.episodes.support.ravel(), bank.episodes.query.ravel()])
    times = np.bincount(labels, minlength=len(bank.split.videos))
    return (
        f"{len(bank.split.classes)} classes, {len(bank.split.videos)} videos,"
        f" {len(bank.used_videos())} of them used, each {times[times > 0].min()} to {times.max()}"
        f" times (median {int(np.median(times[times > 0]))})"
    )


def _episode(bank: Bank, number: int) -> dict[str, Any]:
    """One episode in words: for each way its class, support videos and query videos."""
    support, query = bank.episodes.support[number], bank.episodes.query[number]
    labels = bank.episodes.labels[number]
    videos = bank.split.videos
    ways = range(len(support))
    return {
        "classes": [videos[support[way, 0]].label for way in ways],
        "support": [[videos[index].name for index in support[way]] for way in ways],
        "query": [[videos[index].name for index in query[labels == way]] for way in ways],
    }
