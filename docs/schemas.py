"""JSON Schemas of the files of this program: ``python docs/schemas.py`` writes them.

They stand in `docs/schemas`, one for each kind of file; a test says that they are current.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench.comparison.frame import Summary
from bench.comparison.gate.baseline import BaselineRecord
from bench.comparison.published import PublishedFigure
from bench.comparison.summary import Family
from bench.features.files import FeatureCard
from bench.features.store import ShardIndex
from bench.runs.schema import Failure, Header
from bench.site.submission import ClaimedFigures
from bench.throughput.record import StageSpeed
from bench.training.state import Unfinished
from bench.weights.backbone_card import BackboneCard
from bench.weights.cards import Card
from bench.weights.recipe import TrainingRecipe
from episodes.banks.recipe import Recipe
from episodes.disk.facts import FactsFile
from episodes.disk.registration import Registration

FOLDER = Path(__file__).parent / "schemas"
KINDS: dict[str, Any] = {
    "run": Header,
    "failed": Failure,
    "summary": Summary,
    "card": Card,
    "backbone-card": BackboneCard,
    "training-state": Unfinished,
    "accepted": BaselineRecord,
    "features": FeatureCard,
    "throughput": list[StageSpeed],
    "facts": FactsFile,
    "registration": Registration,
    "bank-recipe": Recipe,
    "training-recipe": TrainingRecipe,
    "family": Family,
    "figures": ClaimedFigures,
    "published-figure": PublishedFigure,
    "shard": ShardIndex,
}
"""Name of a schema -> the type behind it."""
CALLED_LIKE_THEIR_FILE = ("registration", "bank-recipe", "training-recipe")
"""Kinds of files that do not state the name of what they hold."""


def text(name: str) -> str:
    """Return a JSON Schema as the text of its file."""
    schema = TypeAdapter(KINDS[name]).json_schema()
    if name in CALLED_LIKE_THEIR_FILE:
        del schema["properties"]["name"]
        schema["required"].remove("name")
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in KINDS:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")
