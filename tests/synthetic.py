"""Features and episodes without videos, for tests of methods and of the loop."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.backbone import Backbone
from bench.features.filling import Embedding
from bench.method import Method
from bench.runs.run import Answers, Run, make_rows
from bench.runs.schema import Circumstances, Cost, Declared, Identity
from episodes.banks.bank import Bank, open_bank
from episodes.banks.recipe import Protocol, Recipe
from episodes.banks.sampler import VERSION, Episodes, draw
from episodes.datasets import dataset

NOTHING = lambda done, total: None  # noqa: E731 - a progress report that nobody reads
CPU = torch.device("cpu")
COST = Cost(
    score_episodes_per_s=1234.5,
    encode_clips_per_s=99.0,
    embed_clips_per_s=float("nan"),
    peak_memory_bytes=10**8,
)
CIRCUMSTANCES = Circumstances(device="CPU, 2 threads")


def embed(backbone: Backbone, clips: Sequence[Tensor], device: torch.device = CPU) -> np.ndarray:
    """Features of videos, float32 (videos, C, T, H, W), given their clips."""
    embedding = Embedding(backbone, device)
    embedding.add([("", clip) for clip in clips])
    return embedding.result()[0]


class MeanVectors(Method):
    """Inner products of mean vectors: it keeps all rules, and methods made for a test change it."""

    name, revision, source, differs = "mean-vectors", 1, "test, 2026", "nothing"
    needs, order_aware = "vector", False

    def encode(self, features: Tensor) -> Any:
        return features.mean(dim=(2, 3, 4))

    def adapt(self, support: Any) -> Any:
        return support.mean(dim=2)

    def score(self, state: Any, query: Any) -> Tensor:
        return query @ state.mT


def recipe_with(**values: Any) -> Recipe:
    """A recipe of the rendered test split, 5-way 1-shot of 100 episodes but for what is named."""
    usual = {"name": "test", "dataset": "rendered", "split": "test", "protocol": "standard"}
    counts = {"way": 5, "shot": 1, "queries": 1, "episodes": 100, "seed": 0, "sampler": VERSION}
    return Recipe(**(usual | counts | values))


def draw_episodes(
    episodes: int, way: int = 5, shot: int = 1, protocol: Protocol = "standard"
) -> Episodes:
    """Draw episodes over the rendered test split; nothing is rendered for it."""
    recipe = recipe_with(protocol=protocol, way=way, shot=shot, episodes=episodes, seed=3)
    return draw(recipe, dataset("rendered").split("test"), episodes)


def class_of_video() -> Tensor:
    """Class index of each of the 960 rendered test videos."""
    split = dataset("rendered").split("test")
    return torch.from_numpy(np.repeat(np.arange(24), np.diff(split.class_starts)))


def separable_features(noise: float, shape: tuple[int, ...] = (24, 4, 2, 2)) -> Tensor:
    """Features of the test videos in which each class has a channel of its own, plus noise."""
    generator = torch.Generator().manual_seed(0)
    labels = class_of_video()
    features = noise * torch.rand(len(labels), *shape, generator=generator)
    features[torch.arange(len(labels)), labels] += 1.0
    return features


def random_features(videos: int = 960, shape: tuple[int, ...] = (12, 4, 2, 2)) -> Tensor:
    """Features that say nothing about the class."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(videos, *shape, generator=generator)


def answered(
    method: str, hits: float, seed: int = 0, episodes: int = 200, bank: Bank | None = None
) -> Run:
    """A run in which about a fraction ``hits`` of the answers is right, on the default bank."""
    bank = bank or open_bank("default", episodes)
    labels = bank.episodes.labels
    right = np.random.default_rng(seed).random(labels.shape) < hits
    wrong = (labels + 1) % bank.recipe.way
    answers = Answers(np.where(right, labels, wrong), np.ones(labels.shape), 1.0, 2.0, 10**8)
    return Run(
        identity=Identity(
            bank=bank.title,
            bank_sha256=bank.sha256,
            method=method,
            revision=1,
            episodes=len(bank.episodes),
            dtype="float32",
        ),
        declared=Declared(sees="one query", trained=None),
        cost=COST,
        circumstances=CIRCUMSTANCES,
        rows=make_rows(bank.episodes, answers, bank.numbers),
    )


def with_identity(run: Run, **changed: Any) -> Run:
    """The run with other fields of its identity."""
    return replace(run, identity=run.identity.changed(**changed))


def trained(run: Run, seed: int, **training: Any) -> Run:
    """The run as if its method had been trained."""
    how = {"recipe": "default", "seed": seed, "backbone": "frozen", "episodes": 8} | training
    return replace(with_identity(run, training=how), declared=run.declared.changed(trained=True))
